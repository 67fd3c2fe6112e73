//! Connections to a database: silence, poolers, TLS and rights.

use std::fmt::Debug;
use std::time::Duration;

use frond_jobs::postgres::{Options, PostgresStore};
use frond_jobs::store::location::DatabaseUrl;
use frond_jobs::store::{EventBatch, Filter, JobFilter, NewJob, Page, chain};
use frond_jobs::{End, JobStore, StoreError};
use frond_testkit::{Pooler, Postgres, Proxy};
use tempfile::TempDir;

use crate::kit::{done, ended, id, job, plan};
use crate::server::{Database, options, run};

const LEASE: Duration = Duration::from_secs(3600);

fn url(text: impl AsRef<str>) -> DatabaseUrl {
    DatabaseUrl::from(text.as_ref())
}

async fn open(text: impl AsRef<str>) -> Result<PostgresStore, StoreError> {
    PostgresStore::open(&url(text), options(9)).await
}

/// Message of a refusal, with its causes.
async fn refusal(text: impl AsRef<str>) -> String {
    chain(&open(text).await.map(|_| ()).unwrap_err())
}

/// Retries until the store can be reached.
async fn insist<T>(call: impl AsyncFn() -> Result<T, StoreError>) -> T {
    loop {
        match call().await {
            Err(StoreError::Unavailable(_)) => {}
            other => break other.unwrap(),
        }
    }
}

#[tokio::test]
async fn a_connection_that_falls_silent_is_given_up() {
    let Some(database) = Database::new().await else { return };
    let proxy = Proxy::before(database.server().port()).await;
    let place = url(proxy.url(database.name()));
    let short = Duration::from_millis(300);
    let options = Options { patience: short, statement_timeout: short, connect_timeout: short, ..Options::default() };
    let store = insist(async || PostgresStore::open(&place, options.clone()).await).await;
    insist(async || store.submit(job(1)).await).await;
    proxy.fall_silent();
    let page = Page { after: None, limit: 9 };
    let calls = [
        store.take("owner", &JobFilter::All, LEASE).await.map(drop),
        store.get(id(1)).await.map(drop),
        store.list(&Filter::default(), page).await.map(drop),
        store.partials(id(1), None, 1).await.map(drop),
        store.sweep().await.map(drop),
        store.ping().await,
        store.usage().await.map(drop),
    ];
    let slugs: Vec<_> = calls.iter().map(|call| call.as_ref().unwrap_err().slug()).collect();
    assert_eq!(slugs, ["timed-out"; 7], "{calls:?}");
    // The silent connections stay closed; the store opens new ones.
    proxy.speak();
    assert_eq!(insist(async || store.get(id(1)).await).await.id, id(1));
}

#[tokio::test]
async fn every_call_of_an_owner_gives_a_silent_connection_up() {
    const CALLS: usize = 8;
    let Some(database) = Database::new().await else { return };
    let proxy = Proxy::before(database.server().port()).await;
    let place = url(proxy.url(database.name()));
    let short = Duration::from_secs(2);
    let options = Options { patience: short, statement_timeout: short, connections: 1, ..options(9) };
    // Each store has a connection that has worked before and then falls silent.
    let mut stores = Vec::new();
    for _ in 0..CALLS {
        let store = insist(async || PostgresStore::open(&place, options.clone()).await).await;
        insist(async || store.ping().await).await;
        stores.push(store);
    }
    proxy.fall_silent();
    let [renew, wanted, release, planning, accept, merge, append, finish] = &stores[..] else { panic!() };
    // Reads of large data are left out, since their timeout is longer: see `Options::patience`.
    let news = EventBatch { lines: vec!["{}".to_owned()], ..EventBatch::default() };
    let answers = tokio::join!(
        async { said(renew.renew(id(1), 1, LEASE).await) },
        async { said(wanted.wanted(id(1), 1).await) },
        async { said(release.release(id(1), 1).await) },
        async { said(planning.plan(id(1), 1, plan(2)).await) },
        async { said(accept.accept(id(1), 1, vec![done(0)]).await) },
        async { said(merge.merge(id(1), 1).await) },
        async { said(append.append(id(1), 1, news).await) },
        async { said(finish.finish(id(1), 1, ended(End::Failed, 9).0).await) },
    );
    let answers: [String; CALLS] = answers.into();
    let silent = |answer: &String| answer.starts_with("timed-out: ") && answer.contains("has not answered for");
    assert!(answers.iter().all(silent), "{answers:#?}");
}

/// Error of a call, with its causes.
fn said<T: Debug>(answer: Result<T, StoreError>) -> String {
    let error = answer.unwrap_err();
    format!("{}: {}", error.slug(), chain(&error))
}

#[tokio::test]
async fn calls_that_nobody_waits_for_do_not_keep_a_silent_connection() {
    let Some(database) = Database::new().await else { return };
    let proxy = Proxy::before(database.server().port()).await;
    let one = Options { connections: 1, ..options(9) };
    let store = PostgresStore::open(&url(proxy.url(database.name())), one).await.unwrap();
    store.submit(job(1)).await.unwrap();
    proxy.fall_silent();
    // The caller gives up after a while.
    assert!(tokio::time::timeout(Duration::from_millis(1500), store.get(id(1))).await.is_err());
    proxy.speak();
    assert_eq!(store.get(id(1)).await.unwrap().id, id(1));
}

#[tokio::test]
async fn a_pooler_that_shares_connections_between_transactions_is_refused() {
    let Some(database) = Database::empty().await else { return };
    for mode in ["transaction", "statement"] {
        let Some(pooler) = Pooler::start(database.server(), mode) else { return };
        let said = refusal(pooler.url(database.name())).await;
        assert!(said.contains("pooler") && said.contains("`pool_mode`"), "{said}");
        // The refused attempt has left no lock behind.
        database.open(9).await.unwrap();
    }
    let Some(pooler) = Pooler::start(database.server(), "session") else { return };
    let store = open(pooler.url(database.name())).await.unwrap();
    assert!(store.submit(job(1)).await.unwrap().fresh);
}

#[tokio::test]
async fn a_role_that_may_only_use_the_tables_is_enough_where_they_are() {
    let Some(database) = Database::new().await else { return };
    let role = format!("worker_{}", database.name());
    database.run(&format!("CREATE ROLE {role} LOGIN")).await;
    let place = database.url().replace("frond@", &format!("{role}@"));
    let said = refusal(&place).await;
    assert!(said.contains("GRANT") && said.contains(&role), "{said}");
    let tables = "artifact_blobs, artifacts, blobs, events, jobs, partitions, parts";
    database.run(&format!("GRANT SELECT ON {tables}, refinery_schema_history TO {role}")).await;
    let said = refusal(&place).await;
    let grant = format!("GRANT DELETE, INSERT, UPDATE ON {tables} TO {role}");
    assert!(said.contains(&grant), "{said}");
    database.run(&grant).await;
    assert!(open(&place).await.unwrap().submit(job(1)).await.unwrap().fresh);
}

#[tokio::test]
async fn a_role_that_may_not_make_tables_is_told_what_it_lacks() {
    let Some(database) = Database::empty().await else { return };
    let role = format!("worker_{}", database.name());
    let sql = format!("CREATE ROLE {role} LOGIN; REVOKE CREATE ON SCHEMA public FROM PUBLIC");
    database.run(&sql).await;
    let place = database.url().replace("frond@", &format!("{role}@"));
    let said = refusal(&place).await;
    assert!(said.contains(&format!("GRANT USAGE, CREATE ON SCHEMA public TO {role}")), "{said}");
    assert!(said.contains("PostgreSQL says 42501: permission denied for schema public"), "{said}");
    assert!(!said.contains("folder"), "{said}");
    database.run("REVOKE USAGE ON SCHEMA public FROM PUBLIC").await;
    let said = refusal(&place).await;
    assert!(said.contains(&format!("GRANT USAGE, CREATE ON SCHEMA public TO {role}")), "{said}");
    database.run(&format!("GRANT USAGE, CREATE ON SCHEMA public TO {role}")).await;
    assert!(open(&place).await.unwrap().submit(job(1)).await.unwrap().fresh);
}

#[tokio::test]
async fn a_database_that_lacks_characters_is_refused_with_the_statement_that_makes_another() {
    let Some(database) = Database::empty().await else { return };
    for encoding in ["LATIN1", "SQL_ASCII"] {
        let name = format!("{}_{}", database.name(), encoding.to_lowercase());
        let own = "TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'";
        database.run(&format!("CREATE DATABASE {name} ENCODING '{encoding}' {own}")).await;
        let said = refusal(database.url().replace(database.name(), &name)).await;
        assert!(said.contains(&format!("the encoding of the database `{name}` is {encoding}")), "{said}");
        let (_, remedy) = said.split_once("(make another database: ").unwrap_or_else(|| panic!("{said}"));
        let (remedy, _) = remedy.split_once(')').unwrap();
        assert!(remedy.starts_with("CREATE DATABASE jobs ") && remedy.contains("UTF8"), "{said}");
        let made = format!("{name}_made");
        database.run(&remedy.replace("DATABASE jobs", &format!("DATABASE {made}"))).await;
        let store = open(database.url().replace(database.name(), &made)).await.unwrap();
        let new = NewJob { caller: Some("日本 \u{1f33f}".to_owned()), ..job(1) };
        assert_eq!(store.submit(new.clone()).await.unwrap().job.caller, new.caller);
    }
}

#[tokio::test]
async fn an_error_carries_what_the_database_said() {
    let Some(database) = Database::new().await else { return };
    let said = refusal(database.url().replace(database.name(), "no_such_database")).await;
    assert!(said.contains("3D000") && said.contains("no_such_database"), "{said}");
    let store = open(database.url()).await.unwrap();
    database.run("ALTER TABLE jobs RENAME COLUMN share TO shares").await;
    let refused = store.submit(job(1)).await.unwrap_err();
    let said = chain(&refused);
    assert!(said.contains("PostgreSQL says 42703: column \"share\""), "{said}");
    // Clients of a server do not see that message.
    assert!(!refused.to_string().contains("share"), "{refused}");
}

/// Starts a server that accepts only encrypted connections. Returns it and the folder with the root
/// certificate for `localhost`.
fn encrypted() -> Option<(Postgres, TempDir)> {
    let folder = TempDir::new().unwrap();
    let mut root = rcgen::CertificateParams::default();
    root.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let root_key = rcgen::KeyPair::generate().unwrap();
    let pem = root.self_signed(&root_key).unwrap().pem();
    std::fs::write(folder.path().join("root.pem"), pem).unwrap();
    let issuer = rcgen::Issuer::new(root, root_key);
    let key = rcgen::KeyPair::generate().unwrap();
    let own = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    // A root that did not sign the server's certificate.
    let other = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    std::fs::write(folder.path().join("other.pem"), other.cert.pem()).unwrap();
    Postgres::start_encrypted(&own.pem(), &key.serialize_pem()).map(|server| (server, folder))
}

#[tokio::test]
async fn connections_are_encrypted_as_sslmode_says() {
    let Some((server, folder)) = encrypted() else { return };
    let root = |name: &str| format!("sslrootcert={}", folder.path().join(name).display());
    let at = |host: &str, more: &str| format!("postgres://frond@{host}:{}/postgres?{more}", server.port());
    let right = root("root.pem");
    let wrong = root("other.pem");
    for (host, more) in [
        ("127.0.0.1", String::new()),
        ("127.0.0.1", "sslmode=prefer".to_owned()),
        ("127.0.0.1", "sslmode=require".to_owned()),
        ("127.0.0.1", format!("sslmode=verify-ca&{right}")),
        ("127.0.0.1", format!("sslmode=require&{right}")),
        ("localhost", format!("sslmode=verify-full&{right}")),
    ] {
        let store = open(at(host, &more)).await.unwrap_or_else(|error| panic!("{host} {more}: {}", chain(&error)));
        store.ping().await.unwrap();
        let encrypted = "SELECT 1 / (CASE WHEN bool_and(ssl) THEN 1 ELSE 0 END) FROM pg_stat_ssl \
             JOIN pg_stat_activity USING (pid) WHERE application_name = 'frond-jobs'";
        run(&local(&server), encrypted).await.unwrap();
    }
    for (host, more, why) in [
        ("127.0.0.1", "sslmode=disable".to_owned(), "28000"),
        ("127.0.0.1", "sslmode=verify-full".to_owned(), "root certificate"),
        ("127.0.0.1", format!("sslmode=verify-full&{right}"), "not valid for name"),
        ("localhost", format!("sslmode=verify-full&{wrong}"), "invalid peer certificate"),
        ("127.0.0.1", format!("sslmode=verify-ca&{wrong}"), "invalid peer certificate"),
        ("127.0.0.1", format!("sslmode=require&{wrong}"), "invalid peer certificate"),
        ("127.0.0.1", "sslmode=sometimes".to_owned(), "verify-full"),
        ("127.0.0.1", "sslrootcert=/no/such/file&sslmode=verify-ca".to_owned(), "/no/such/file"),
    ] {
        let said = refusal(at(host, &more)).await;
        assert!(said.contains(why), "{host} {more}: {said}");
    }
}

/// Address of the server's socket, for direct access by tests.
fn local(server: &Postgres) -> String {
    format!("host={} port={} user=frond dbname=postgres", server.folder().display(), server.port())
}

#[tokio::test]
async fn a_password_comes_from_the_url_or_from_a_file() {
    let Some((server, folder)) = encrypted() else { return };
    run(&local(&server), "CREATE ROLE secret LOGIN SUPERUSER PASSWORD 'pass:word/@'").await.unwrap();
    let at = |user: &str| format!("postgres://{user}@127.0.0.1:{}/postgres?sslmode=require", server.port());
    open(at("secret:pass%3Aword%2F%40")).await.unwrap();
    let said = refusal(at("secret:wr0ng")).await;
    assert!(said.contains("28P01") && !said.contains("wr0ng"), "{said}");
    let file = folder.path().join("password");
    std::fs::write(&file, "pass:word/@\n").unwrap();
    let with_file = Options { password_file: Some(file.clone()), ..options(9) };
    let store = PostgresStore::open(&url(at("secret")), with_file.clone()).await.unwrap();
    // The password file is read again for each connection.
    run(&local(&server), "ALTER ROLE secret PASSWORD 'another'").await.unwrap();
    std::fs::write(&file, "another").unwrap();
    let end = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE application_name = 'frond-jobs'";
    run(&local(&server), end).await.unwrap();
    insist(async || store.ping().await).await;
}
