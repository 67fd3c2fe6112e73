//! A server's life: it starts, takes settings anew when it is told to, and stops in three steps: it takes nothing new on,
//! lets what runs end, and gives up, by name, what takes too long.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use frond_run::{Machine, RunError};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::apps::{Host, OpenError, Registry};
use crate::config::{Config, ConfigError};
use crate::jobs::{Jobs, Telemetry};
use crate::listen::Listener;
use crate::metrics::{LostLines, Metrics};
use crate::router::router;
use crate::server::Server;
use crate::tls::{self, Certificate};
use crate::traces::Traces;

/// How long each of three may take to close when queries have ended: connections and loads, jobs, and traces.
const CLOSING: Duration = Duration::from_millis(1500);

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// It was told what cannot be.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The machine does not let it.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The apps cannot be looked at.
    #[error(transparent)]
    Apps(#[from] OpenError),
    /// The store of jobs cannot be opened.
    #[error("jobs cannot be kept in {place}")]
    Jobs {
        /// Where they were to be.
        place: String,
        /// What is in the way.
        source: frond_jobs::StoreError,
    },
}

/// What a running server is told.
pub enum Order {
    /// Stop: let queries end within the time for that.
    Stop,
    /// Stop now.
    Quit,
    /// Take these settings.
    Reload(Box<Config>),
}

/// A server that listens, and has not begun to serve.
pub struct Starting {
    server: Arc<Server>,
    listener: Listener,
}

/// What was cut off when the server stopped.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct CutOff {
    /// Queries, by id and app.
    pub queries: Vec<String>,
    /// Connections.
    pub connections: usize,
}

impl Starting {
    /// Loads the apps below `dir`, and listens.
    ///
    /// # Errors
    /// See [`ServeError`]. An app that is broken is none: the others are served.
    pub async fn new(dir: &Path, config: Config) -> Result<Self, ServeError> {
        let starting = Self::start(dir, config).await?;
        starting.server.apps.ready().await;
        Ok(starting)
    }

    /// Listens, while the apps below `dir` are still being loaded, one after the other.
    ///
    /// # Errors
    /// As [`Starting::new`].
    pub async fn start(dir: &Path, config: Config) -> Result<Self, ServeError> {
        config.check()?;
        // Before the state folder is made in it.
        std::fs::read_dir(dir).map_err(|cause| OpenError::Folder { path: dir.to_path_buf(), cause })?;
        let listener = Listener::bind(&config).await?;
        let trust = config.trust()?;
        let traces = config.traces.as_deref().map(|endpoint| Traces::start(endpoint, &trust)).transpose();
        let traces = traces.map_err(|error| ConfigError::Refused(format!("`traces` is no OTLP receiver: {error}")))?;
        let machine = Arc::new(Machine::new(config.slots)?.trusting(trust));
        let threads = machine.start_with(&Handle::current(), config.leaves_step_back)?;
        let host = Host { machine, threads: threads.clone(), runtime: Handle::current() };
        let settings = crate::apps::Settings::of(&config, dir);
        let state = own_state(settings.state);
        let apps = Registry::start(dir, crate::apps::Settings { state: state.clone(), ..settings }, host)?;
        let refused = |source| ServeError::Jobs { place: crate::jobs::place(&config.jobs, &state), source };
        let telemetry = Telemetry { metrics: Arc::new(Metrics::new()), traces: traces.map(Arc::new) };
        let jobs = Jobs::start(&config, &state, &apps, threads.behind(), &telemetry).await.map_err(refused)?;
        let server = Arc::new(Server::new(config, apps, threads, telemetry, jobs));
        Ok(Self { server, listener })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.listener.address()
    }

    /// Where it listens, as an address for browsers.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}://{}", if self.listener.is_secure() { "https" } else { "http" }, self.address())
    }

    /// Where log lines are counted that could not be written.
    #[must_use]
    pub fn lost_log_lines(&self) -> LostLines {
        self.server.telemetry.metrics.lost_log_lines()
    }

    /// The apps that it serves.
    #[must_use]
    pub fn apps(&self) -> Arc<Registry> {
        self.server.apps.clone()
    }

    /// Serves until it is told to stop. Says what was cut off.
    pub async fn serve(self, mut orders: mpsc::Receiver<Order>) -> CutOff {
        let Self { server, listener } = self;
        let app = router(&server);
        let certificate = listener.certificate();
        let looking = look(certificate.clone());
        let stop = async {
            loop {
                match orders.recv().await {
                    Some(Order::Reload(config)) => reload(&server, *config, certificate.as_deref()),
                    Some(Order::Stop) => return Duration::MAX,
                    Some(Order::Quit) | None => return Duration::ZERO,
                }
            }
        };
        let (patience, told) = tokio::sync::oneshot::channel();
        let until = async {
            let _ = patience.send(stop.await);
            server.stop();
        };
        let connections = listener.run(server.clone(), app, until).await;
        drop(looking);
        let patience = told.await.unwrap_or_default().min(server.settings().config.limits.drain.0);
        tracing::info!(running = server.recent.running(), "stopping");
        let queries = drain(&server, patience, &mut orders).await;
        let close = async {
            let time = if patience.is_zero() { Duration::ZERO } else { CLOSING };
            let (connections, ()) = tokio::join!(connections.close(time), server.apps.close());
            if let Some(jobs) = &server.jobs {
                jobs.close(CLOSING).await;
            }
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

/// The folder for the state: `dir`, or a folder of this user's inside where others may write to `dir`, as on volumes of
/// Kubernetes. One that a server has used already stays as it is: it knows what it has to keep.
fn own_state(dir: PathBuf) -> PathBuf {
    if dir.join("lock").exists() {
        return dir;
    }
    match frond_run::private_folder(&dir) {
        Ok(own) if own != dir => {
            tracing::info!(folder = %own.display(), "others may write to the state's folder: it is kept inside");
            own
        }
        // Whoever opens it says what is wrong.
        _ => dir,
    }
}

/// Looks at the certificate's files every now and then, for as long as what it returns lives.
fn look(certificate: Option<Arc<Certificate>>) -> JoinSet<()> {
    let mut looking = JoinSet::new();
    if let Some(certificate) = certificate {
        looking.spawn(async move {
            loop {
                tokio::time::sleep(tls::EVERY).await;
                let certificate = certificate.clone();
                // A volume of a network may be slow.
                let _ = tokio::task::spawn_blocking(move || certificate.look()).await;
            }
        });
    }
    looking
}

fn reload(server: &Server, config: Config, certificate: Option<&Certificate>) {
    match server.reload(config, certificate) {
        Ok(()) => {
            server.apps.reload();
            tracing::info!("settings taken anew");
        }
        Err(error) => tracing::error!(%error, "the new settings are refused: the old ones stay"),
    }
}

/// Comes back when the server is told to stop at once.
async fn quit(orders: &mut mpsc::Receiver<Order>) {
    loop {
        match orders.recv().await {
            Some(Order::Quit) => return,
            Some(Order::Stop | Order::Reload(_)) => {}
            // Whoever could give orders may be gone: then time alone ends the wait.
            None => std::future::pending().await,
        }
    }
}

/// Waits for queries to end, for so long; then cancels them. Names those that were cut off.
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
