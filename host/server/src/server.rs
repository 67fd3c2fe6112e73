//! State shared by all requests: apps, recent queries, admission, jobs, settings.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use arc_swap::ArcSwap;
use frond_deploy::{Registry, Version};
use tokio::sync::Notify;

use crate::admission::Admission;
use crate::auth::Authenticator;
use crate::config::{Config, ConfigError};
use crate::hide::HiddenPaths;
use crate::jobs::{Jobs, Telemetry};
use crate::leaf_slots::LeafSlots;
use crate::links::Links;
use crate::log_limit::LogLimit;
use crate::logins::Logins;
use crate::recent::Recent;
use crate::reply::Problem;
use crate::sending::Sending;
use crate::tls::Certificate;

/// State shared by all requests.
pub(crate) struct Server {
    pub(crate) apps: Arc<Registry>,
    pub(crate) recent: Recent,
    pub(crate) admission: Admission,
    pub(crate) telemetry: Telemetry,
    pub(crate) jobs: Option<Arc<Jobs>>,
    /// The folders whose paths are hidden from clients.
    pub(crate) hidden: HiddenPaths,
    pub(crate) slots: LeafSlots,
    pub(crate) started: SystemTime,
    /// Bodies in flight, and their connections.
    pub(crate) sending: Arc<Sending>,
    pub(crate) logins: Logins,
    /// Limits the log lines about refused queries.
    pub(crate) refusals: LogLimit,
    settings: ArcSwap<Settings>,
    stopping: AtomicBool,
    /// Notified when a query has ended.
    pub(crate) ended: Notify,
}

/// The part that a reload replaces: settings and tokens.
pub(crate) struct Settings {
    pub(crate) config: Config,
    pub(crate) authenticator: Authenticator,
}

impl Server {
    pub(crate) fn new(
        config: Config,
        apps: Arc<Registry>,
        slots: LeafSlots,
        telemetry: Telemetry,
        jobs: Option<Jobs>,
    ) -> Self {
        let limits = &config.limits;
        let recent = Recent::new(limits.recent, limits.recent_memory.len());
        let links = Links::new(limits.connections, limits.peer_connections, telemetry.metrics.closed.clone());
        let sending = Sending::new(limits.bodies.0, links);
        let logins = Logins::new(telemetry.metrics.failed_logins.clone());
        Self {
            recent,
            sending,
            logins,
            refusals: LogLimit::new(),
            admission: Admission::new(config.limits.queries),
            telemetry,
            hidden: HiddenPaths::new(&apps.folders()),
            jobs: jobs.map(Arc::new),
            apps,
            slots,
            started: SystemTime::now(),
            settings: ArcSwap::from_pointee(Settings { authenticator: Authenticator::new(&config), config }),
            stopping: AtomicBool::new(false),
            ended: Notify::new(),
        }
    }

    /// The current settings.
    pub(crate) fn settings(&self) -> Arc<Settings> {
        self.settings.load_full()
    }

    /// Applies new settings: tokens, origins, the certificate, and limits of requests.
    /// The other settings keep their old values, which are also the ones that are checked.
    pub(crate) fn reload(&self, mut config: Config, certificate: Option<&Certificate>) -> Result<(), ConfigError> {
        let changed = config.fix(&self.settings().config);
        config.check()?;
        if let (Some(certificate), Some(files)) = (certificate, &config.tls) {
            certificate.replace(files)?;
        }
        for key in changed {
            tracing::warn!(key, "this setting changes with a restart, not with a reload");
        }
        self.admission.allow(config.limits.queries);
        if let Some(jobs) = &self.jobs {
            jobs.reload(&config);
        }
        let settings = Settings { authenticator: Authenticator::new(&config), config };
        self.settings.store(Arc::new(settings));
        Ok(())
    }

    /// The app's serving version.
    pub(crate) fn version(&self, app: &str) -> Result<Arc<Version>, Problem> {
        self.apps.current(app).ok_or_else(|| match self.apps.app(app) {
            Some(view) => Problem::broken(format!("the app `{app}` has no version that could answer{}", view.why())),
            None => Problem::no_app(app),
        })
    }

    /// Refuses new queries from now on.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
    }

    /// True once the server was told to stop.
    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }
}
