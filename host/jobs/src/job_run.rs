//! One job with its owner: planned or resumed, run, merged, ended.

mod event_buffer;
mod exit;
mod lease;
mod plan;
mod services;
mod store_journal;
mod version;

use std::sync::Arc;
use std::time::Duration;

use frond_root::quote::shortened;
use frond_root::{
    Answer, CancellationToken, Error, Events, Failure, FailureKind, Limit, Memo, Plan, Request, Scope, Services, flow,
};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::account::Account;
use crate::job::{End, JobId, JobState};
use crate::quota::Meter;
use crate::store::{Job, JobEnd, Outcome, PartitionResult, StoreError, TakenJob, chain};
use crate::work::{AppVersion, NoVersion};

use event_buffer::EventBuffer;
use lease::Lease;
use store_journal::StoreJournal;

pub(crate) use exit::Exit;
pub(crate) use lease::TakeStart;
pub(crate) use services::JobServices;

/// Time left to a planned job that is resumed after its timeout, to merge its accepted partials.
const LAST: Duration = Duration::from_secs(10);

/// Most bytes of the detail of a job's reason.
const MAX_DETAIL: usize = 4 << 10;

/// State of one owned job: its record, lease and quota meter.
pub(crate) struct JobRun {
    job: Job,
    /// Start of this owner's lease.
    taken: Instant,
    /// Run time of the job before this owner took it, by the store's clock.
    ran: Duration,
    lease: Lease,
    meter: Arc<Meter>,
    services: JobServices,
    /// Cancelled when the processor stops or the job's turn is over, and when the run has ended.
    stop: CancellationToken,
}

impl JobRun {
    pub(crate) fn new(services: JobServices, taken: TakenJob, start: TakeStart, stop: CancellationToken) -> Self {
        let ran = taken.job.started.map_or(0, |started| taken.at.since(started));
        let ran = Duration::from_millis(ran);
        let at = start.at;
        let lease = Lease::new(services.store.clone(), &taken, services.lease, start);
        let meter = Arc::new(Meter::new(services.quotas.clone(), taken.job.caller.clone()));
        Self { job: taken.job, taken: at, ran, lease, meter, services, stop }
    }

    pub(crate) fn id(&self) -> JobId {
        self.job.id
    }

    /// Runs the job to its end.
    pub(crate) async fn run(mut self) -> Result<JobState, Exit> {
        let buffer = Arc::new(EventBuffer::new(self.job.account.clone()));
        let stop = self.stop.clone();
        let _ended = self.stop.clone().drop_guard();
        let lease = self.lease.clone();
        if let Some(kind) = self.job.cancel {
            lease.asked_to_stop(kind);
        }
        let exit = {
            let work = self.work(&buffer);
            tokio::select! {
                // In this order: an owner that has lost the job does no more work on it.
                biased;
                exit = lease.keep(&buffer) => exit,
                () = stop.cancelled() => Exit::Stopped,
                ended = work => return ended,
            }
        };
        if let Exit::Stopped = exit {
            lease.write(&buffer).await;
            match lease.release().await {
                // The call that ended the job was cut off, and had its effect.
                Err(StoreError::Fenced { .. }) if lease.is_ending() => {
                    return Ok(self.services.store.get(self.job.id).await?.state);
                }
                released => released?,
            }
        }
        Err(exit)
    }

    async fn work(&mut self, buffer: &Arc<EventBuffer>) -> Result<JobState, Exit> {
        match self.see_through(buffer).await {
            // Another owner would get the same refusal.
            Err(Exit::Store(error)) if error.is_about_content() => {
                let reason = if matches!(error, StoreError::OverBound(_)) { "quota" } else { "refused" };
                self.fail(reason, chain(&error)).await
            }
            ended => ended,
        }
    }

    async fn see_through(&mut self, buffer: &Arc<EventBuffer>) -> Result<JobState, Exit> {
        if self.job.strikes > u64::from(self.services.lives) {
            let text = format!(
                "the job was lost with its server {} times in a row, without progress in between\n\
                 (check the logs: the job may be what ends the server; a redrive runs it again)",
                self.job.strikes - 1
            );
            return self.fail("lost", text).await;
        }
        let app_version = match self.app_version().await {
            Ok(app_version) => app_version,
            Err(NoVersion::NoApp) => {
                // The app was removed after the job was taken.
                self.lease.release().await?;
                return Err(Exit::Stopped);
            }
            Err(NoVersion::Lost(why)) => return self.without_version(&why).await,
        };
        self.keep_artifact(&*app_version).await;
        let job_query = self.lease.until_available(|store| store.asked(self.job.id)).await?;
        let journal = Arc::new(StoreJournal::new(self.lease.clone(), self.job.id, self.meter.clone()));
        let request = self.request(&*app_version, &job_query.query);
        let services = app_version.services(&request, Events::new(vec![buffer.clone()]));
        let services = Services { journal: Some(journal.clone()), ..services };
        let flow = if self.job.planned {
            let plan = self.stored_plan(&*app_version, &journal).await?;
            // Its deadline counts from here.
            let request = self.request(&*app_version, &job_query.query);
            flow::run(request, async { Ok(plan) }, services, self.lease.token()).await
        } else {
            let mut exit = None;
            let planning = self.make_plan(&*app_version, &request, &mut exit);
            let flow = flow::run(request.clone(), planning, services, self.lease.token()).await;
            if let Some(exit) = exit {
                return Err(exit);
            }
            flow
        };
        if let (Err(Error::Journal(_)), Some(error)) = (&flow, self.lease.broken()) {
            return Err(error.into());
        }
        self.end(&*app_version, buffer, flow).await
    }

    /// Returns the app's request with the job's promises and its remaining time.
    fn request(&self, app_version: &dyn AppVersion, query: &bytes::Bytes) -> Request {
        let ran = self.ran + self.taken.elapsed();
        let left = Duration::from_millis(self.job.run_timeout_ms).saturating_sub(ran);
        let app = app_version.request(query);
        Request {
            tenant: self.job.tenant(app.tenant.clone()),
            id: self.job.id.query(),
            deadline: if self.job.planned { left.max(LAST) } else { left },
            limit: Some(Limit::time(Scope::Job, Duration::from_millis(self.job.run_timeout_ms))),
            floor: self.job.floor,
            required: self.job.required.clone(),
            background: Some(self.job.weight),
            memo: app_version.memo_key(self.job.id).map(|key| Memo { key, epoch: self.lease.epoch() }),
            ..app
        }
    }

    /// Reads the job's plan, after it has stored what the leaves of earlier owners have finished
    /// and those owners have not stored.
    async fn stored_plan(&self, app_version: &dyn AppVersion, journal: &StoreJournal) -> Result<Plan, Exit> {
        let id = self.job.id;
        let plan = plan::recalled(&self.lease, id, app_version).await?;
        let Some(key) = app_version.memo_key(id) else { return Ok(plan) };
        let kept = app_version.kept(key, &plan).await;
        if kept.partials.is_empty() {
            return Ok(plan);
        }
        tracing::info!(job = %id, partials = kept.partials.len(), "workers have kept finished partials of the job");
        journal.store(kept.partials).await?;
        if let Some(forget) = kept.forget {
            forget();
        }
        plan::recalled(&self.lease, id, app_version).await
    }

    /// Makes the plan and stores it, within the job's timeout like everything that the flow awaits.
    /// If the owner has to let go of the job, sets `exit` to the reason.
    async fn make_plan(
        &self,
        app_version: &dyn AppVersion,
        request: &Request,
        exit: &mut Option<Exit>,
    ) -> Result<Plan, Error> {
        let plan = app_version.plan(request).await?;
        plan.required(&request.required)?;
        match plan::kept(&self.lease, &self.meter, self.job.id, &plan, app_version.version()).await {
            Ok(kept) => kept.map(|()| plan),
            Err(why) => {
                *exit = Some(why);
                Err(Error::Journal(Box::new(Failure::new(FailureKind::Lost, "the plan could not be kept"))))
            }
        }
    }

    async fn end(
        &self,
        app_version: &dyn AppVersion,
        buffer: &EventBuffer,
        flow: Result<Answer, Error>,
    ) -> Result<JobState, Exit> {
        let answer = match flow {
            Ok(answer) => answer,
            Err(error) => return self.fail("refused", chain(&error)).await,
        };
        let id = self.job.id;
        let failed = buffer.failed();
        let failed: Vec<PartitionResult> = failed
            .into_iter()
            .map(|(index, attempt, failure)| PartitionResult {
                index,
                attempt,
                epoch: None,
                run_ms: 0,
                outcome: Outcome::Failed(failure),
            })
            .collect();
        let epoch = self.lease.epoch();
        if !failed.is_empty() {
            self.lease.until_available(|store| store.accept(id, epoch, failed.clone())).await?;
        }
        self.lease.write(buffer).await;
        let ended = self.job_end(app_version, &answer, buffer.earlier());
        if matches!(ended.end, End::Succeeded | End::Partial) {
            match self.lease.until_available(|store| store.merge(id, epoch)).await {
                // An earlier call may have succeeded although its response was lost.
                Ok(()) | Err(StoreError::Illegal(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(self.lease.finish(ended).await?.state)
    }

    /// Returns the record of the job's end, with the account of all lives.
    fn job_end(&self, app_version: &dyn AppVersion, answer: &Answer, earlier: Account) -> JobEnd {
        let stopped = self.lease.stopped();
        let (end, wanted) = match (answer, stopped) {
            // An accepted cancel wins even over a complete answer; the store decides the same way.
            (_, Some(kind)) => (End::Cancelled, kind.keep_partial),
            (Answer::Complete { .. }, None) => (End::Succeeded, true),
            (Answer::Partial { .. }, None) => (End::Partial, true),
            (Answer::Failed { .. }, None) => (End::Failed, false),
        };
        let mut coverage = earlier.completing(answer.coverage().clone());
        coverage.timings.deadline = self.job.run_timeout_ms as f64;
        let reason = match answer {
            Answer::Failed { reason, .. } => serde_json::to_value(reason).ok(),
            _ if end == End::Cancelled => Some(json!({ "reason": "cancelled" })),
            _ => None,
        };
        JobEnd {
            end,
            reason,
            coverage: serde_json::to_value(coverage).unwrap_or(Value::Null),
            result: answer.body().filter(|_| wanted).cloned(),
            content_type: Some(app_version.content_type()),
        }
    }

    /// Ends the job without an answer, for the reason `word` with this detail, which may be a text
    /// of others.
    async fn fail(&self, word: &str, detail: String) -> Result<JobState, Exit> {
        let reason = json!({ "reason": word, "detail": shortened(detail, MAX_DETAIL) });
        let end = if self.lease.stopped().is_some() { End::Cancelled } else { End::Failed };
        let ended = JobEnd { end, reason: Some(reason), coverage: Value::Null, result: None, content_type: None };
        Ok(self.lease.finish(ended).await?.state)
    }
}
