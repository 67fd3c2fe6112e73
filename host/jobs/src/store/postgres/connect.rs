//! New connections with their timeouts, and the connection pool.

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use deadpool_postgres::{Connect, Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
use tokio::task::JoinHandle;
use tokio_postgres::{Client, Config, Error};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::store::{StoreError, StoreResult, cause};

use super::options::Options;
use super::session::heard;
use super::target::Target;

/// Least timeout of an idle transaction: a hanging process must release its rows at last, but a
/// merely starved one should keep its connection.
const IDLE: Duration = Duration::from_secs(60);

/// Factory of connections.
#[derive(Clone)]
pub(super) struct Connector {
    config: Config,
    tls: MakeRustlsConnect,
    /// Read for each connection, since the password may change while the process runs.
    password_file: Option<PathBuf>,
    /// SQL that configures a new connection.
    settings: String,
    patience: Duration,
}

impl Connector {
    pub(super) fn new(target: Target, options: &Options) -> StoreResult<Self> {
        let Target { mut config, tls } = target;
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(options.connect_timeout);
        }
        if config.get_application_name().is_none() {
            config.application_name("frond-jobs");
        }
        let settings = settings(&config, options);
        let password_file = options.password_file.clone();
        Ok(Self { config, tls: tls.connector()?, password_file, settings, patience: options.connect_timeout })
    }

    /// Opens a connection without the configuration of a session.
    pub(super) async fn plain(&self) -> StoreResult<(Client, JoinHandle<()>)> {
        heard(self.patience, self.connected()).await
    }

    async fn connected(&self) -> Result<(Client, JoinHandle<()>), Error> {
        let mut config = self.config.clone();
        if let Some(file) = &self.password_file {
            match frond_files::read_text(file, frond_files::SETTINGS) {
                Ok(password) => {
                    config.password(password.trim_end_matches(['\r', '\n']));
                }
                Err(error) => tracing::error!(%error, "the password file `{}` cannot be read", file.display()),
            }
        }
        let (client, connection) = config.connect(self.tls.clone()).await?;
        // Ends with the client, or when the pool aborts it.
        let task = tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection to the store of jobs has ended");
            }
        });
        Ok((client, task))
    }
}

impl Connect for Connector {
    fn connect(
        &self,
        _: &Config,
    ) -> Pin<Box<dyn Future<Output = Result<(Client, JoinHandle<()>), Error>> + Send + '_>> {
        Box::pin(async move {
            let (client, task) = self.connected().await?;
            client.batch_execute(&self.settings).await?;
            Ok((client, task))
        })
    }
}

/// Returns the SQL of a connection's timeouts, except those set by `options` in the URL. They are
/// set by statements, since poolers refuse them as startup parameters.
fn settings(config: &Config, options: &Options) -> String {
    let timeout = options.statement_timeout.as_millis();
    let idle = options.statement_timeout.max(IDLE).as_millis();
    let ours =
        [("statement_timeout", timeout), ("lock_timeout", timeout), ("idle_in_transaction_session_timeout", idle)];
    let theirs = config.get_options().unwrap_or("");
    let ours = ours.iter().filter(|(name, _)| !theirs.contains(name));
    ours.map(|(name, ms)| format!("SET {name} = {ms};")).collect()
}

/// Builds the pool of connections.
pub(super) fn pool(connector: Connector, options: &Options) -> StoreResult<Pool> {
    let config = ManagerConfig { recycling_method: RecyclingMethod::Fast };
    let manager = Manager::from_connect(connector.config.clone(), connector, config);
    Pool::builder(manager)
        .max_size(options.connections.max(1))
        .wait_timeout(Some(options.connect_timeout))
        .create_timeout(Some(options.connect_timeout))
        .recycle_timeout(Some(options.connect_timeout))
        .runtime(Runtime::Tokio1)
        .build()
        .map_err(|error| StoreError::Other(cause(error)))
}
