//! Version of the app that runs a job: the one that planned the job, from this server or from the
//! store.

use std::sync::Arc;
use std::time::Duration;

use super::JobRun;
use super::exit::Exit;
use crate::job::JobState;
use crate::work::{AppVersion, NoVersion};

impl JobRun {
    /// Returns the version that planned the job, or the latest if the job has no plan.
    pub(super) async fn app_version(&self) -> Result<Arc<dyn AppVersion>, NoVersion> {
        let app = &self.job.app;
        let version = &self.job.version;
        if !self.job.planned {
            return self.services.provider.app(app).ok_or(NoVersion::NoApp);
        }
        match self.services.provider.version(app, version).await {
            Err(NoVersion::Lost(why)) if self.services.store.is_shared() => {
                match self.lease.until_available(|store| store.artifact(app, version)).await {
                    Ok(Some(kept)) => self.services.provider.restore(app, version, kept).await,
                    Ok(None) => Err(NoVersion::Lost(why)),
                    Err(error) => Err(NoVersion::Lost(format!("its artifact cannot be read: {error}"))),
                }
            }
            found => found,
        }
    }

    /// Stores the version's artifact in a shared store, so that other servers can resume the job.
    /// Without the artifact, they leave the job to servers that have its version.
    pub(super) async fn keep_artifact(&self, app_version: &dyn AppVersion) {
        let app = &self.job.app;
        let version = app_version.version();
        if !self.services.store.is_shared() || matches!(self.services.store.has_artifact(app, &version).await, Ok(true))
        {
            return;
        }
        let why = match app_version.artifact().await {
            Some(artifact) => {
                match self.lease.until_available(|store| store.keep_artifact(app, &version, &artifact)).await {
                    Ok(()) => return,
                    Err(error) => error.to_string(),
                }
            }
            None => "its files are gone from this server".to_owned(),
        };
        tracing::warn!(job = %self.job.id, app, version, "other servers cannot resume the job, as its version is not stored: {why}");
    }

    /// Releases a job to servers that have its version. Fails the job instead if no other server
    /// shares the store, the job was cancelled or its timeout is over.
    pub(super) async fn without_version(&self, why: &str) -> Result<JobState, Exit> {
        let is_over = self.ran + self.taken.elapsed() >= Duration::from_millis(self.job.run_timeout_ms);
        let shared = self.services.store.is_shared();
        let is_asked_to_stop = self.lease.stopped().is_some();
        if shared && !is_asked_to_stop && !is_over {
            let job = self.job.id;
            let version = &self.job.version;
            tracing::warn!(%job, app = self.job.app, version, "the job is left to a server that has its version: {why}");
            self.services.unable.add(version);
            self.lease.release().await?;
            return Err(Exit::Stopped);
        }
        let nobody = if shared { ", and no server that has it took the job within its timeout" } else { "" };
        let text = format!(
            "the job cannot go on: it began with a version of its app that is gone{nobody}: {why}\n\
             (put its frond.toml and its components back and redrive the job, or submit it again)"
        );
        self.fail("incompatible", text).await
    }
}
