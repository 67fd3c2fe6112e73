//! Jobs over HTTP: submission, state, events, answers. `frond_jobs` stores and runs them.

pub(crate) mod answers;
pub(crate) mod api;
mod feed;
mod follow;
pub(crate) mod submit;
mod telemetry;
mod views;

pub(crate) use telemetry::Telemetry;
pub(crate) use views::View;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use frond_deploy::Registry;
use frond_deploy::jobs::{JobApps, announce};
use frond_jobs::processor::{self, Wakeup};
use frond_jobs::service::Settings;
use frond_jobs::{AppProvider, JobService, JobStore, Quotas, StoreError, Tally};
use frond_root::fair::{FairPermit, FairPermits};
use tokio::time::timeout;

use self::feed::Feeds;
use crate::auth::Principal;
use crate::config::{Config, JobRole, Jobs as JobsConfig, Token};
use crate::leaf_slots::LeafSlots;
use crate::reply::Problem;

/// The most partial answers that are merged at once, of one caller a single one; each reads all
/// partials of its job.
const MERGING: usize = 2;
/// The most lists that are read at once, of one caller two, or one while others ask for lists.
const LISTING: usize = 3;

/// Store, quotas and feeds of this server's jobs.
pub(crate) struct Jobs {
    pub(crate) store: Arc<dyn JobStore>,
    pub(crate) wakeup: Wakeup,
    pub(crate) tally: Arc<Tally>,
    service: JobService,
    pub(crate) config: JobsConfig,
    pub(crate) slots: LeafSlots,
    feeds: Feeds,
    /// Permits for merging partial answers.
    merging: FairPermits,
    /// Permits for reading lists.
    listing: FairPermits,
}

/// Applies the quotas: of each token, and the default for tokens without a quota.
fn set_quotas(quotas: &Quotas, config: &Config) {
    let own = |token: &Token| token.job_quota.map(|quota| (token.name.clone(), quota.0));
    quotas.set(Some(config.jobs.token_quota.0), config.tokens.iter().filter_map(own).collect());
}

impl Jobs {
    /// Opens the store and starts the background tasks; `None` for a server without jobs.
    /// `state` is the folder of a store with a relative path.
    pub(crate) async fn start(
        config: &Config,
        state: &Path,
        apps: &Arc<Registry>,
        slots: LeafSlots,
        telemetry: &Telemetry,
    ) -> Result<Option<Self>, StoreError> {
        let quotas = Quotas::default();
        set_quotas(&quotas, config);
        let config = &config.jobs;
        if config.role == JobRole::None {
            return Ok(None);
        }
        let provider = Arc::new(provider(apps.clone(), telemetry.clone()));
        let provider = config.role.processes().then_some(provider as Arc<dyn AppProvider>);
        // Before the processor begins, so that no change is missed.
        let changes = apps.changes();
        let service = JobService::start(&settings(config), state, provider, quotas).await?;
        if config.role.processes() {
            tokio::spawn(announce(changes, service.wakeup.clone()));
        }
        Ok(Some(Self {
            store: service.store.clone(),
            wakeup: service.wakeup.clone(),
            tally: service.tally.clone(),
            service,
            config: config.clone(),
            slots,
            feeds: Feeds::default(),
            merging: FairPermits::new(MERGING),
            listing: FairPermits::new(LISTING),
        }))
    }

    /// Applies the quotas of reloaded settings.
    pub(crate) fn reload(&self, config: &Config) {
        set_quotas(&self.service.quotas, config);
    }

    /// True while the store responds.
    pub(crate) fn is_reached(&self) -> bool {
        self.service.is_reached()
    }

    /// Releases the running jobs, so that another server can resume them.
    pub(crate) async fn close(&self, within: Duration) {
        self.service.stop();
        self.feeds.close().await;
        self.service.close(within).await;
    }
}

/// The settings of the store and the processor.
pub(crate) fn settings(config: &JobsConfig) -> Settings {
    Settings {
        store: config.store.clone(),
        password_file: config.password_file.clone(),
        store_wait: config.store_wait.0,
        quota: config.quota.0,
        processor: processor::Settings {
            at_once: config.at_once,
            lease: config.lease.0,
            lives: config.lives,
            ..processor::Settings::default()
        },
    }
}

/// The apps as a provider of jobs, whose events go to the telemetry.
fn provider(apps: Arc<Registry>, telemetry: Telemetry) -> JobApps {
    JobApps::new(apps, Arc::new(move |app, events| telemetry.of(app, events)))
}

/// Waits for the caller's turn, at most for this time.
async fn permit(
    permits: &FairPermits,
    principal: &Principal,
    patience: Duration,
    what: &str,
) -> Result<FairPermit, Problem> {
    let caller: Arc<str> = Arc::from(principal.name.as_str());
    let permit = timeout(patience, permits.take(&caller)).await;
    let text = || format!("too many {what} are being made\n(try again later)");
    permit.map_err(|_| Problem::overloaded(text(), Duration::from_secs(10)))
}
