//! Waiting for a job, and following its events, through the job's feed.
//! The job may run on any server.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::sse::Event;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use frond_jobs::store::{EventPage, Job};
use frond_jobs::{JobId, JobStore, StoreError};
use futures_util::{TryStreamExt, stream};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use super::Jobs;
use super::feed::{Feeds, Follower};
use crate::auth::Principal;
use crate::params::LINES;
use crate::queries::LAST_EVENT_ID;
use crate::reply::{Problem, nothing_more};
use crate::stream::followed;

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
    let mut response = Body::from_stream(lines).into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(LINES));
    response
}

/// The job's events after the client's last one, or a reply that there are no more.
pub(super) fn stream(jobs: &Jobs, job: &Job, headers: &HeaderMap, principal: &Principal) -> Result<Response, Problem> {
    let last = headers.get(LAST_EVENT_ID).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    match last {
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
    let missed = (page.missed > 0).then(|| {
        let data = serde_json::json!({ "count": page.missed }).to_string();
        Event::default().event("missed").data(data)
    });
    let events = page.events.iter().map(|(number, line)| {
        let name = serde_json::from_str::<serde_json::Value>(line).ok();
        let name = name.as_ref().and_then(|value| value.get("event")?.as_str()).unwrap_or("message").to_owned();
        Event::default().event(name).id(number.to_string()).data(line)
    });
    missed.into_iter().chain(events).collect()
}
