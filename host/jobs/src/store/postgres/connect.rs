//! Connections, and the schema.

use std::str::FromStr;
use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime};
use tokio_postgres::{Client, Config, NoTls};

use crate::migrations;
use crate::store::{StoreError, Stored, cause};

use super::Options;
use super::fault::in_migration;

/// How long a transaction may be left alone: a process that hangs should not keep others from its rows for ever. One
/// that is merely starved should not lose its connection.
const IDLE: Duration = Duration::from_secs(60);
/// The number by which processes lock the schema: "frndjobs".
const LOCK: i64 = 0x6672_6E64_6A6F_6273;

pub(super) fn pool(config: &str, options: &Options) -> Stored<Pool> {
    let mut config = Config::from_str(config).map_err(|error| StoreError::Other(cause(error)))?;
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(options.connect_timeout);
    }
    if config.get_application_name().is_none() {
        config.application_name("frond-jobs");
    }
    let (timeout, idle) = (options.statement_timeout.as_millis(), options.statement_timeout.max(IDLE).as_millis());
    let ours = format!(
        "-c statement_timeout={timeout} -c lock_timeout={timeout} -c idle_in_transaction_session_timeout={idle}"
    );
    let all = config.get_options().map_or(ours.clone(), |theirs| format!("{ours} {theirs}"));
    config.options(&all);
    let manager = Manager::from_config(config, NoTls, ManagerConfig { recycling_method: RecyclingMethod::Fast });
    Pool::builder(manager)
        .max_size(options.connections.max(1))
        .wait_timeout(Some(options.connect_timeout))
        .create_timeout(Some(options.connect_timeout))
        .recycle_timeout(Some(options.connect_timeout))
        .runtime(Runtime::Tokio1)
        .build()
        .map_err(|error| StoreError::Other(cause(error)))
}

/// Brings the schema to the latest version, one process at a time.
pub(super) async fn migrate(client: Object) -> Stored<()> {
    // Not given back to the pool: whatever happens, the lock goes with the connection.
    let mut client = Object::take(client);
    let client: &mut Client = &mut client;
    client.execute("SELECT pg_advisory_lock($1)", &[&LOCK]).await?;
    let table = migrations::TABLE;
    let known = client.query_one("SELECT to_regclass($1) IS NOT NULL", &[&table]).await?;
    if known.try_get(0)? {
        let found = client.query_one(&format!("SELECT COALESCE(max(version), 0)::bigint FROM {table}"), &[]).await?;
        migrations::check(&migrations::POSTGRES, found.try_get(0)?)?;
    }
    migrations::runner(&migrations::POSTGRES)?.run_async(client).await.map_err(in_migration)?;
    Ok(())
}
