//! Waiting for a job, and following what happens to it: the store is asked, so that it does not matter who runs it.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use frond_jobs::store::{EventPage, Job};
use frond_jobs::{JobId, StoreError};
use futures_util::stream;
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use tokio::time::{Instant, sleep};

use super::Jobs;

/// How often the store is asked.
const PACE: Duration = Duration::from_millis(200);
/// The longest that one request waits.
pub(super) const LONGEST: Duration = Duration::from_secs(60);
/// Events that are read at once.
const BATCH: u32 = 500;

/// The job once it has ended, or as it is after `time`.
pub(super) async fn ended_within(jobs: &Jobs, mut job: Job, time: Duration) -> Result<Job, StoreError> {
    let until = Instant::now() + time.min(LONGEST);
    while !job.state.is_ended() && Instant::now() < until {
        sleep(PACE.min(until.saturating_duration_since(Instant::now()))).await;
        job = jobs.store.get(job.id).await?;
    }
    Ok(job)
}

/// Where a follower is.
struct Follower {
    jobs: Arc<Jobs>,
    id: JobId,
    after: u64,
    ended: bool,
}

impl Follower {
    /// The next events; none at the end of a job, or of what there is when it is not followed.
    async fn read(&mut self, live: bool) -> Option<EventPage> {
        loop {
            // Whether it has ended is asked first: what it wrote before that is then there.
            let ended = self.jobs.store.get(self.id).await.is_ok_and(|job| job.state.is_ended());
            let page = self.jobs.store.events(self.id, self.after, BATCH).await.ok()?;
            if let Some((last, _)) = page.events.last() {
                self.after = *last;
                return Some(page);
            }
            if ended || !live {
                return None;
            }
            sleep(PACE).await;
        }
    }
}

/// The job's events from the number `after` on, a line each.
pub(super) fn lines(jobs: Arc<Jobs>, id: JobId) -> Response {
    let follower = Follower { jobs, id, after: 0, ended: false };
    let lines = stream::unfold(follower, |mut follower| async move {
        let page = follower.read(false).await?;
        let text: String = page.events.iter().flat_map(|(_, line)| [line.as_str(), "\n"]).collect();
        Some((Ok::<_, Infallible>(Bytes::from(text)), follower))
    });
    let mut response = Body::from_stream(lines).into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    response
}

/// The same as a stream of events that goes on until the job has ended.
pub(super) fn live(jobs: Arc<Jobs>, id: JobId, after: u64) -> Response {
    let follower = Follower { jobs, id, after, ended: false };
    let events = stream::unfold((follower, Vec::new().into_iter()), |(mut follower, mut queue)| async move {
        loop {
            if let Some(event) = queue.next() {
                return Some((Ok::<_, Infallible>(event), (follower, queue)));
            }
            if follower.ended {
                return None;
            }
            let Some(page) = follower.read(true).await else {
                follower.ended = true;
                let end = Event::default().event("end").data("{}");
                queue = vec![end].into_iter();
                continue;
            };
            queue = told(&page).into_iter();
        }
    });
    let mut response = Sse::new(events).keep_alive(KeepAlive::new().interval(Duration::from_secs(15))).into_response();
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

fn told(page: &EventPage) -> Vec<Event> {
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
