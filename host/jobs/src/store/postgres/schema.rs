//! Schema of the store: created, migrated and checked before work begins. The connection is
//! checked, too: it must lead to the server, and not to a pooler in transaction mode.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, SimpleQueryMessage};

use crate::migrations;
use crate::store::{StoreError, StoreResult, cause};

use super::connect::Connector;
use super::fault::{ServerMessage, in_migration, silent};
use super::session::heard;

/// Key of the advisory lock on the schema: "frndjobs".
const LOCK: i64 = 0x6672_6E64_6A6F_6273;
/// Timeout of the wait for another process that changes the schema, in milliseconds.
const LOCKED: u64 = 60_000;
/// Timeout of a schema change.
const CHANGE: Duration = Duration::from_secs(600);
/// Statement that creates a database for a store, whatever the server's locale.
const CREATE: &str = "CREATE DATABASE jobs ENCODING 'UTF8' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'";
/// Number of probes for a pooler. A pooler that shares connections does so at once.
const LOOKS: usize = 3;

/// Creates or migrates the tables, one process at a time. If the tables are current, the role needs
/// only the rights to use them.
pub(super) async fn prepare(connector: &Connector, patience: Duration) -> StoreResult<()> {
    let (mut client, _one) = connector.plain().await?;
    let (locking, _other) = connector.plain().await?;
    let (pids, others) = backends(&client, &locking, patience).await?;
    if pids.len() > 1 || !pids.is_disjoint(&others) {
        return Err(StoreError::Settings(
            "the database is behind a pooler that shares connections between transactions: locks and settings would \
             belong to another connection\n(connect to the server itself, or set the pooler's `pool_mode` to `session`)"
                .to_owned(),
        ));
    }
    encoding(&client, patience).await?;
    let latest = migrations::latest(&migrations::POSTGRES);
    if version(&client, patience).await? != Some(u64::from(latest)) {
        change(&mut client, locking, patience).await?;
    }
    rights(&client, patience).await
}

/// Returns the server processes behind two connections.
async fn backends(
    one: &Client,
    other: &Client,
    patience: Duration,
) -> StoreResult<(BTreeSet<String>, BTreeSet<String>)> {
    let pid = async |client: &Client| -> StoreResult<String> {
        let messages = heard(patience, client.simple_query("SELECT pg_backend_pid()")).await?;
        let pid = messages.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        });
        pid.ok_or_else(|| StoreError::Other(cause("the database does not say which process answers")))
    };
    let mut pids = BTreeSet::new();
    let mut others = BTreeSet::new();
    for _ in 0..LOOKS {
        pids.insert(pid(one).await?);
        others.insert(pid(other).await?);
    }
    Ok((pids, others))
}

/// Refuses a database whose encoding is not UTF8: it could not store every key and message.
async fn encoding(client: &Client, patience: Duration) -> StoreResult<()> {
    let select = "SELECT current_setting('server_encoding'), current_database()::text";
    let row = heard(patience, client.query_one(select, &[])).await?;
    let encoding: String = row.try_get(0)?;
    let database: String = row.try_get(1)?;
    if encoding == "UTF8" {
        return Ok(());
    }
    Err(StoreError::Settings(format!(
        "the encoding of the database `{database}` is {encoding}, which cannot store every text: it must be UTF8\n\
         (make another database: {CREATE})"
    )))
}

/// Version of the tables; `None` if there are none.
async fn version(client: &Client, patience: Duration) -> StoreResult<Option<u64>> {
    let table = migrations::TABLE;
    let known = heard(patience, client.query_one("SELECT to_regclass($1) IS NOT NULL", &[&table])).await?;
    if !known.try_get::<_, bool>(0)? {
        return Ok(None);
    }
    let select = format!("SELECT COALESCE(max(version), 0)::bigint FROM {table}");
    let row = heard(patience, client.query_one(&select, &[])).await;
    let found: i64 = match row {
        Ok(row) => row.try_get(0)?,
        Err(error) => return Err(lacking(client, patience, error, Need::Use).await),
    };
    migrations::check(&migrations::POSTGRES, found)?;
    Ok(u64::try_from(found).ok())
}

/// Migrates the tables to the latest version.
async fn change(client: &mut Client, mut locking: Client, patience: Duration) -> StoreResult<()> {
    // A transaction's lock: it is released with the transaction, whatever happens to the process or
    // to a pooler.
    let lock = heard(patience, locking.transaction()).await?;
    let limits = format!(
        "SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0; \
         SET LOCAL lock_timeout = {LOCKED}"
    );
    heard(patience, lock.batch_execute(&limits)).await?;
    let waiting = Duration::from_millis(LOCKED) + patience;
    heard(waiting, lock.execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK])).await?;
    let changed = {
        let running = migrations::runner(&migrations::POSTGRES)?;
        let running = running.run_async(client);
        match tokio::time::timeout(CHANGE, running).await {
            Ok(done) => done.map(drop).map_err(in_migration),
            Err(_) => Err(silent(CHANGE)),
        }
    };
    if let Err(error) = changed {
        return Err(lacking(client, patience, error, Need::Make).await);
    }
    heard(patience, lock.commit()).await
}

/// Purpose of a role's rights.
enum Need {
    /// Creation of the tables.
    Make,
    /// Use of the tables.
    Use,
}

/// Adds the remedy to an error of missing rights; returns other errors unchanged.
async fn lacking(client: &Client, patience: Duration, error: StoreError, need: Need) -> StoreError {
    let StoreError::Denied { cause, .. } = error else { return error };
    let select = "SELECT current_user::text, current_database()::text, current_schema()::text";
    let Ok(row) = heard(patience, client.query_one(select, &[])).await else {
        return StoreError::Denied { what: "the database denies what a store of jobs needs".to_owned(), cause };
    };
    let name = |index: usize| row.try_get::<_, Option<String>>(index).ok().flatten();
    let role = name(0).unwrap_or_default();
    let database = name(1).unwrap_or_default();
    let schema = name(2).unwrap_or_else(|| "public".to_owned());
    let what = match need {
        Need::Make => format!(
            "the role `{role}` may not make tables in the schema `{schema}` of the database `{database}`\n\
             (GRANT USAGE, CREATE ON SCHEMA {schema} TO {role}; or let a role that may do so start a server once)"
        ),
        Need::Use => format!(
            "the role `{role}` may not use the tables of the store of jobs in the database `{database}`\n\
             (GRANT SELECT ON {} TO {role}; GRANT SELECT, INSERT, UPDATE, DELETE ON {} TO {role})",
            migrations::TABLE,
            migrations::TABLES.join(", ")
        ),
    };
    StoreError::Denied { what, cause }
}

/// Refuses a read-only database, and a role that may not use the tables.
async fn rights(client: &Client, patience: Duration) -> StoreResult<()> {
    let read_only = "SELECT current_setting('transaction_read_only') = 'on'";
    if heard(patience, client.query_one(read_only, &[])).await?.try_get(0)? {
        return Err(StoreError::ReadOnly(cause("PostgreSQL says that its transactions are read-only")));
    }
    let select = "SELECT string_agg(DISTINCT one, ', '), string_agg(DISTINCT may, ', '), current_user::text \
         FROM unnest($1::text[]) one, unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) may \
         WHERE NOT has_table_privilege(one, may)";
    let row = heard(patience, client.query_one(select, &[&migrations::TABLES.as_slice()])).await?;
    let tables: Option<String> = row.try_get(0)?;
    let missing: Option<String> = row.try_get(1)?;
    let Some((tables, missing)) = tables.zip(missing) else {
        return Ok(());
    };
    let role: String = row.try_get(2)?;
    let what = format!(
        "the role `{role}` lacks rights on the tables of the store of jobs: {missing} on {tables}\n\
         (GRANT {missing} ON {tables} TO {role})"
    );
    let message = ServerMessage::Code(SqlState::INSUFFICIENT_PRIVILEGE, "permission denied".to_owned());
    Err(StoreError::Denied { what, cause: cause(message) })
}
