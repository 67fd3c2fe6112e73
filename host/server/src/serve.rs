//! A server's lifecycle: start, reload of settings, and graceful shutdown.
//! The shutdown refuses new queries, drains the running ones, and after a time limit cuts off the
//! rest, with a log line for each.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use frond_deploy::{Host, OpenError, Registry, Settings, Watching};
use frond_root::memory::Memory;
use frond_run::{Crew, Machine, RunError};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::config::{Config, ConfigError};
use crate::jobs::{Jobs, Telemetry};
use crate::leaf_slots::LeafSlots;
use crate::listen::Listener;
use crate::metrics::{LostLines, Metrics};
use crate::router::router;
use crate::server::Server;
use crate::tls::{self, Certificate};
use crate::traces::Traces;

/// Time limit for each of three closing steps, once queries have ended: connections and loads,
/// jobs, traces.
pub(crate) const CLOSING: Duration = Duration::from_millis(1500);

/// Reason why a server does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The settings are invalid.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The machine or the runtime failed.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The folder of apps or the state folder cannot be used.
    #[error(transparent)]
    Apps(#[from] OpenError),
    /// The store of jobs cannot be opened.
    #[error("jobs cannot be kept in {place}")]
    Jobs {
        /// The location of the store.
        place: String,
        /// The cause.
        source: frond_jobs::StoreError,
    },
}

/// A command to a running server.
pub enum Order {
    /// Shut down gracefully, within the drain time.
    Stop,
    /// Shut down at once.
    Quit,
    /// Apply these settings.
    Reload(Box<Config>),
}

/// A server that listens, but does not serve yet.
pub struct Starting {
    server: Arc<Server>,
    listener: Listener,
}

/// The work that was cut off when the server stopped.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct CutOff {
    /// Queries, by id and app.
    pub queries: Vec<String>,
    /// Number of connections.
    pub connections: usize,
}

impl Starting {
    /// Loads the apps below `dir`, and listens.
    ///
    /// # Errors
    /// See [`ServeError`]. A broken app is no error: the others are served.
    pub async fn new(dir: &Path, config: Config) -> Result<Self, ServeError> {
        let starting = Self::start(dir, config).await?;
        starting.server.apps.ready().await;
        Ok(starting)
    }

    /// Listens, while the apps below `dir` are loaded one by one in the background.
    ///
    /// # Errors
    /// See [`Starting::new`].
    pub async fn start(dir: &Path, config: Config) -> Result<Self, ServeError> {
        check(dir, &config)?;
        let listener = Listener::bind(&config).await?;
        Ok(Self { server: open(dir, config).await?, listener })
    }

    /// The bound address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.listener.address()
    }

    /// The server's URL, for browsers.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}://{}", if self.listener.is_secure() { "https" } else { "http" }, self.address())
    }

    /// The counter of log lines that could not be written.
    #[must_use]
    pub fn lost_log_lines(&self) -> LostLines {
        self.server.telemetry.metrics.lost_log_lines()
    }

    /// The apps that it serves.
    #[must_use]
    pub fn apps(&self) -> Arc<Registry> {
        self.server.apps.clone()
    }

    /// Serves until it is told to stop. Returns the work that was cut off.
    pub async fn serve(self, mut orders: mpsc::Receiver<Order>) -> CutOff {
        let Self { server, listener } = self;
        let app = router(&server);
        let certificate = listener.certificate();
        let checking = watch_certificate(certificate.clone());
        let stop = async {
            loop {
                match orders.recv().await {
                    Some(Order::Reload(config)) => reload(&server, *config, certificate.as_deref()),
                    Some(Order::Stop) => return Duration::MAX,
                    Some(Order::Quit) | None => return Duration::ZERO,
                }
            }
        };
        let (patience, received) = tokio::sync::oneshot::channel();
        let until = async {
            let _ = patience.send(stop.await);
            server.stop();
        };
        let connections = listener.run(server.clone(), app, until).await;
        drop(checking);
        let patience = received.await.unwrap_or_default().min(server.settings().config.limits.drain.0);
        tracing::info!(running = server.recent.running(), "stopping");
        let queries = drain(&server, patience, &mut orders).await;
        let close = async {
            let time = if patience.is_zero() { Duration::ZERO } else { CLOSING };
            let (connections, ()) = tokio::join!(connections.close(time), server.apps.close());
            if let Some(jobs) = &server.jobs {
                jobs.close(CLOSING).await;
            }
            server.slots.leave().await;
            if let Some(traces) = &server.telemetry.traces {
                traces.close(patience.min(CLOSING)).await;
            }
            connections
        };
        let connections = tokio::select! {
            connections = close => connections,
            () = quit(&mut orders) => 0,
        };
        CutOff { queries, connections }
    }
}

/// Checks the settings and the folder of apps, before anything is created in it.
pub(crate) fn check(dir: &Path, config: &Config) -> Result<(), ServeError> {
    config.check()?;
    std::fs::read_dir(dir).map_err(|cause| OpenError::Folder { path: dir.to_path_buf(), cause })?;
    Ok(())
}

/// Opens the jobs of a folder, while the apps below it are loaded one by one in the background.
pub(crate) async fn open(dir: &Path, config: Config) -> Result<Arc<Server>, ServeError> {
    let trust = config.trust()?;
    let traces = config.traces.as_deref().map(|endpoint| Traces::start(endpoint, &trust)).transpose();
    let traces = traces.map_err(|error| ConfigError::Refused(format!("`traces` is no OTLP receiver: {error}")))?;
    let machine = Machine::new(config.slots)?.with_waiting(config.wait_limits()).trusting(trust);
    let machine = machine.with_memory(Memory::new(config.limits.memory.0));
    let machine = machine.isolating(&Handle::current(), config.workers.spare_processes);
    let crew = crew(&config).await?;
    let machine = Arc::new(match &crew {
        Some(crew) => crew.on(machine),
        None => machine,
    });
    let threads = machine.start_with(&Handle::current(), config.leaves_step_back)?;
    let host =
        Host { machine: machine.clone(), threads: threads.clone(), runtime: Handle::current(), crew: crew.clone() };
    let settings = app_settings(&config, dir);
    let state = settings.state.clone();
    let apps = Registry::start(dir, settings, host)?;
    let refused = |source| ServeError::Jobs { place: crate::jobs::settings(&config.jobs).place(&state), source };
    let telemetry = Telemetry { metrics: Arc::new(Metrics::new()), traces: traces.map(Arc::new) };
    let slots = LeafSlots::new(threads, config.workers.local_slots(config.slots), crew, machine);
    let jobs = Jobs::start(&config, &state, &apps, slots.clone(), &telemetry).await.map_err(refused)?;
    Ok(Arc::new(Server::new(config, apps, slots, telemetry, jobs)))
}

/// Starts worker processes, and hears the workers of the broker once it can be reached.
async fn crew(config: &Config) -> Result<Option<Arc<Crew>>, ServeError> {
    let settings = config.workers.crew(config.slots)?;
    if !settings.is_any() {
        return Ok(None);
    }
    let crew = Arc::new(Crew::start(settings, &Handle::current())?);
    crew.join_when_reached().await?;
    Ok(Some(crew))
}

/// The settings of the apps in `dir`.
fn app_settings(config: &Config, dir: &Path) -> Settings {
    let settings = Settings::with_state(dir, config.state.as_deref());
    Settings {
        component_bytes: config.limits.component.0,
        load_time: config.limits.load.0,
        state: own_state(settings.state),
        watch: if config.watch { Watching::Told } else { Watching::Off },
        ..settings
    }
}

/// The state folder: `dir`, or a private folder inside it if others can write to `dir`, as on
/// volumes of Kubernetes.
/// A folder that a server has used before is not changed.
fn own_state(dir: PathBuf) -> PathBuf {
    if dir.join("lock").exists() {
        return dir;
    }
    match frond_run::private_folder(&dir) {
        Ok(own) if own != dir => {
            tracing::info!(
                folder = %own.display(),
                "others may write to the state's folder: the state is kept in a private folder inside"
            );
            own
        }
        // Opening the folder will report the error.
        _ => dir,
    }
}

/// Checks the certificate's files periodically, as long as the returned set lives.
fn watch_certificate(certificate: Option<Arc<Certificate>>) -> JoinSet<()> {
    let mut checking = JoinSet::new();
    if let Some(certificate) = certificate {
        checking.spawn(async move {
            loop {
                tokio::time::sleep(tls::EVERY).await;
                let certificate = certificate.clone();
                // A network volume may be slow.
                let _ = tokio::task::spawn_blocking(move || certificate.look()).await;
            }
        });
    }
    checking
}

fn reload(server: &Server, config: Config, certificate: Option<&Certificate>) {
    match server.reload(config, certificate) {
        Ok(()) => {
            server.apps.reload();
            tracing::info!("settings reloaded");
        }
        Err(error) => tracing::error!(%error, "the new settings are refused: the old ones stay"),
    }
}

/// Waits for the order to stop at once.
async fn quit(orders: &mut mpsc::Receiver<Order>) {
    loop {
        match orders.recv().await {
            Some(Order::Quit) => return,
            Some(Order::Stop | Order::Reload(_)) => {}
            // All senders of orders may be gone: then only the time limit ends the wait.
            None => std::future::pending().await,
        }
    }
}

/// Waits up to `patience` for queries to end, then cancels the rest and returns their names.
async fn drain(server: &Server, patience: Duration, orders: &mut mpsc::Receiver<Order>) -> Vec<String> {
    let ended = async {
        loop {
            let ended = server.ended.notified();
            if server.recent.running() == 0 {
                return;
            }
            ended.await;
        }
    };
    tokio::select! {
        () = ended => return Vec::new(),
        () = tokio::time::sleep(patience) => {}
        () = quit(orders) => {}
    }
    let unfinished = server.recent.unfinished(None);
    for query in &unfinished {
        query.cancel.cancel();
        tracing::warn!(query = %query.id, app = query.app, "cut off");
    }
    unfinished.iter().map(|query| format!("{} of {}", query.id, query.app)).collect()
}

#[cfg(test)]
mod tests;
