//! A PostgreSQL server for tests, started on first use, with a separate database for each test.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use frond_jobs::StoreError;
use frond_jobs::clock::SetClock;
use frond_jobs::postgres::{Options, PostgresStore};
use frond_jobs::store::location::DatabaseUrl;
use frond_testkit::Postgres;
use tokio::sync::Mutex;
use tokio_postgres::NoTls;

use crate::kit::{STONES, Store};

/// Name of the template that the databases are copied from.
const TEMPLATE: &str = "frond";

/// A separate database for one test, copied from a template with the tables.
pub(crate) struct Database {
    server: &'static Server,
    name: String,
}

impl Database {
    /// Returns `None`, with a message, if there is no PostgreSQL on this machine; on CI that is a
    /// failure.
    pub(crate) async fn new() -> Option<Self> {
        Self::from(TEMPLATE).await
    }

    /// Creates a database without tables.
    pub(crate) async fn empty() -> Option<Self> {
        Self::from("template1").await
    }

    async fn from(template: &str) -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        // The template must not be in use while it is copied, nor be copied before it has its
        // tables.
        static COPYING: Mutex<bool> = Mutex::const_new(false);
        let server = server()?;
        let mut has_tables = COPYING.lock().await;
        if !*has_tables {
            server.run(&format!("CREATE DATABASE {TEMPLATE}")).await;
            drop(PostgresStore::open(&server.url(TEMPLATE).as_str().into(), options(1)).await.unwrap());
            *has_tables = true;
        }
        let name = format!("test_{}", COUNT.fetch_add(1, Ordering::Relaxed));
        server.copy(template, &name).await;
        Some(Self { server, name })
    }

    pub(crate) fn url(&self) -> String {
        self.server.url(&self.name)
    }

    /// URL of the database for a store.
    pub(crate) fn place(&self) -> DatabaseUrl {
        DatabaseUrl::from(self.url().as_str())
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn server(&self) -> &'static Postgres {
        &self.server.0
    }

    pub(crate) async fn open(&self, events_kept: u64) -> Result<Store, StoreError> {
        let clock = SetClock::default();
        let options = Options { clock: Some(clock.clone()), ..options(events_kept) };
        Ok(Store::of(PostgresStore::open(&self.place(), options).await?, clock))
    }

    /// Runs `sql` in this database.
    pub(crate) async fn run(&self, sql: &str) {
        run(&self.url(), sql).await.unwrap();
    }

    /// Forbids writes, as on a standby, and ends all connections.
    pub(crate) async fn forbid_writes(&self) {
        self.server.run(&format!("ALTER DATABASE {} SET default_transaction_read_only = on", self.name)).await;
        self.hang_up().await;
    }

    /// Sets the clock of this database this many seconds ahead of its server's. The first call
    /// affects only new connections; a later call also affects existing ones.
    pub(crate) async fn skew(&self, seconds: i64) {
        let sql = format!(
            "CREATE SCHEMA IF NOT EXISTS skew; \
             CREATE TABLE IF NOT EXISTS skew.by (seconds BIGINT); \
             DELETE FROM skew.by; \
             INSERT INTO skew.by VALUES ({seconds}); \
             CREATE OR REPLACE FUNCTION skew.statement_timestamp() RETURNS timestamptz LANGUAGE sql STABLE AS \
             'SELECT pg_catalog.statement_timestamp() + make_interval(secs => (SELECT seconds FROM skew.by))'; \
             ALTER DATABASE {} SET search_path = skew, pg_catalog, public",
            self.name
        );
        self.run(&sql).await;
    }

    /// Ends all connections to this database, and waits for their end.
    pub(crate) async fn hang_up(&self) {
        let sql =
            format!("SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = '{}'", self.name);
        self.server.run(&sql).await;
    }
}

/// Options with long timeouts, as other tests may keep this machine busy.
pub(crate) fn options(events_kept: u64) -> Options {
    let long = Duration::from_secs(300);
    Options {
        events_kept,
        tombstones_kept: STONES,
        statement_timeout: long,
        patience: long,
        connect_timeout: long,
        ..Options::default()
    }
}

struct Server(Postgres);

impl Server {
    fn url(&self, database: &str) -> String {
        self.0.url(database)
    }

    async fn run(&self, sql: &str) {
        run(&self.url("postgres"), sql).await.unwrap();
    }

    /// Copies the template. Retries while closing connections still use it.
    async fn copy(&self, template: &str, name: &str) {
        let sql = format!("CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy");
        while let Err(error) = run(&self.url("postgres"), &sql).await {
            let is_in_use = error.code().is_some_and(|code| code.code() == "55006");
            assert!(is_in_use, "{error:?}");
            tokio::task::yield_now().await;
        }
    }
}

pub(crate) async fn run(url: &str, sql: &str) -> Result<(), tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    let connection = tokio::spawn(connection);
    let done = client.batch_execute(sql).await;
    drop(client);
    let _ = connection.await;
    done
}

/// The single server of all tests.
fn server() -> Option<&'static Server> {
    static SERVER: OnceLock<Option<Server>> = OnceLock::new();
    SERVER.get_or_init(|| Postgres::start().map(Server)).as_ref()
}
