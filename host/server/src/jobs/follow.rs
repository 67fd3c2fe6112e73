//! Waiting for a job, and following its events, through the job's feed.
//! The job may run on any server.

use std::sync::Arc;
use std::time::Duration;

use axum::response::Response;
use axum::response::sse::Event;
use bytes::Bytes;
use frond_jobs::store::{EventPage, Job};
use frond_jobs::{JobId, JobStore, StoreError};
use futures_util::{TryStreamExt, stream};
use http::HeaderMap;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use super::Jobs;
use super::feed::{Feeds, Follower};
use crate::auth::Principal;
use crate::event_stream::{self, followed};
use crate::reply::{Problem, nothing_more};

/// The longest wait of one request.
pub(super) const LONGEST: Duration = Duration::from_secs(60);
/// The most events per read.
const BATCH: u32 = 500;

/// The job once it has ended, or its state after `time`.
pub(super) async fn ended_within(jobs: &Jobs, job: Job, time: Duration) -> Result<Job, StoreError> {
    if job.state.is_ended() || time.is_zero() {
        return Ok(job);
    }
    let feed = jobs.feeds.of(&jobs.store, &job);
    timeout(time.min(LONGEST), feed.ended()).await.unwrap_or_else(|_| Ok(feed.job()))
}

/// The job's stored events, one a line. The body breaks off if the store fails.
pub(super) fn lines(store: Arc<dyn JobStore>, id: JobId) -> Response {
    let lines = stream::try_unfold((store, 0), move |(store, after)| async move {
        let page = store.events(id, after, BATCH).await.inspect_err(|error| broken(id, error))?;
        let Some((last, _)) = page.events.last() else { return Ok(None) };
        let after = *last;
        let text: String = page.events.iter().flat_map(|(_, line)| [line.as_str(), "\n"]).collect();
        Ok::<_, StoreError>(Some((Bytes::from(text), (store, after))))
    });
    event_stream::lines(lines)
}

/// The job's events after the client's last one, or a reply that there are no more.
pub(super) fn stream(jobs: &Jobs, job: &Job, headers: &HeaderMap, principal: &Principal) -> Result<Response, Problem> {
    match event_stream::last_event_id(headers) {
        Some(last) if job.state.is_ended() && last >= job.events => Ok(nothing_more()),
        last => Ok(live(&jobs.feeds, jobs.store.clone(), job, last.unwrap_or(0), principal.listen()?)),
    }
}

/// Streams the job's events after the number `after` until the job has ended.
/// If the store fails, the stream breaks off without an `end` event. The client then reconnects
/// with `Last-Event-ID`, and misses nothing.
pub(super) fn live(
    feeds: &Feeds,
    store: Arc<dyn JobStore>,
    job: &Job,
    after: u64,
    permit: OwnedSemaphorePermit,
) -> Response {
    let follower = Follower { feed: feeds.of(&store, job), store, id: job.id, after };
    let pages = stream::try_unfold(Some(follower), |follower| async move {
        let Some(mut follower) = follower else { return Ok(None) };
        let page = follower.next().await.inspect_err(|error| broken(follower.id, error))?;
        Ok::<_, StoreError>(Some(match page {
            Some(page) => (sse_events(&page), Some(follower)),
            None => (vec![Event::default().event("end").data("{}")], None),
        }))
    });
    let events = pages.map_ok(|events| stream::iter(events.into_iter().map(Ok::<_, StoreError>))).try_flatten();
    followed(events, permit)
}

fn broken(id: JobId, error: &StoreError) {
    tracing::debug!(job = %id, %error, "a stream of events breaks off");
}

fn sse_events(page: &EventPage) -> Vec<Event> {
    let missed = (page.missed > 0).then(|| event_stream::missed(page.missed));
    let events = page.events.iter().map(|(number, line)| event_stream::recorded(*number, line));
    missed.into_iter().chain(events).collect()
}
