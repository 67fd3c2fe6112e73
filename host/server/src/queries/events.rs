//! Events of a query: lines of JSON, or a live stream.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use axum::response::sse::Event;
use bytes::Bytes;
use futures_util::stream;
use http::HeaderMap;
use tokio::sync::OwnedSemaphorePermit;

use super::known;
use crate::auth::{Action, Principal};
use crate::event_stream::{self, followed, last_event_id};
use crate::params::Named;
use crate::recent::QueryRecord;
use crate::reply::{Problem, nothing_more};
use crate::server::Server;

/// The most events per batch.
const BATCH: usize = 500;
/// Time in which events that follow closely are collected into one batch.
const PACE: Duration = Duration::from_millis(100);

/// Returns a query's events.
///
/// The format is one JSON object a line, as written by `frond query --record`, or a live stream of
/// server-sent events.
#[utoipa::path(
    get,
    path = "/v1/queries/{id}/events",
    params(
        ("id" = String, Path, description = "The query's id"),
        ("last-event-id" = Option<String>, Header, description = "Number of the last event that the client has: the stream continues after that event"),
    ),
    responses(
        (status = 200, description = "The events: one a line, or each as the data of an event of the stream", content(
            (crate::openapi::Event = "application/x-ndjson"),
            (crate::openapi::Event = "text/event-stream"),
        )),
        (status = 204, description = "The query has ended, and the client has its last event"),
        (status = 404, description = "The query is not known, or no longer", body = Problem, content_type = "application/problem+json"),
    ),
    tag = "queries"
)]
pub(crate) async fn events(
    State(server): State<Arc<Server>>,
    Extension(principal): Extension<Arc<Principal>>,
    Named(id): Named<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let recorded = known(&server, &principal, Action::Read, &id)?;
    if event_stream::is_wanted(&headers) {
        let from = unseen(&headers);
        // A browser that has seen the end would reconnect every few seconds: only this status stops
        // it.
        if headers.contains_key("last-event-id") && recorded.is_over_before(from) {
            return Ok(nothing_more());
        }
        return Ok(live(recorded, from, principal.listen()?));
    }
    let lines = stream::unfold((recorded, 0), |(recorded, from)| async move {
        let (events, _, _) = recorded.events(from, BATCH);
        if events.is_empty() {
            return None;
        }
        let next = from + events.len();
        Some((Ok::<_, Infallible>(lines(&events)), (recorded, next)))
    });
    Ok(event_stream::lines(lines))
}

/// The number of the first event that the client does not have.
pub(crate) fn unseen(headers: &HeaderMap) -> usize {
    last_event_id(headers).map_or(0, |last| usize::try_from(last).unwrap_or(usize::MAX).saturating_add(1))
}

fn lines(events: &[frond_root::Event]) -> Bytes {
    let mut text = Vec::new();
    for event in events {
        // Serializing an event cannot fail.
        let _ = serde_json::to_writer(&mut text, event);
        text.push(b'\n');
    }
    text.into()
}

/// Streams a query's events from number `from` until it ends.
fn live(recorded: Arc<QueryRecord>, from: usize, permit: OwnedSemaphorePermit) -> Response {
    let reader = Reader { recorded, next: from, queue: Vec::new().into_iter(), ended: false };
    let events = stream::unfold(reader, |mut reader| async move {
        let event = reader.read().await?;
        Some((Ok::<_, Infallible>(event), reader))
    });
    followed(events, permit)
}

/// Reader of a query's recorded events.
struct Reader {
    recorded: Arc<QueryRecord>,
    next: usize,
    queue: std::vec::IntoIter<Event>,
    ended: bool,
}

impl Reader {
    async fn read(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.queue.next() {
                return Some(event);
            }
            if self.ended {
                return None;
            }
            let recorded = self.recorded.clone();
            let changed = recorded.changed();
            let (events, missed, more) = recorded.events(self.next, BATCH);
            let first = self.next;
            self.next += events.len();
            let lines = events.iter().zip(first as u64..).map(|(one, number)| {
                // Serializing an event cannot fail.
                event_stream::recorded(number, &serde_json::to_string(one).unwrap_or_default())
            });
            let mut queue: Vec<_> = lines.collect();
            if !more {
                self.ended = true;
                if missed > 0 {
                    queue.push(event_stream::missed(missed));
                }
            } else if queue.is_empty() {
                changed.await;
                // Collects events that follow closely into the same batch.
                tokio::time::sleep(PACE).await;
            }
            self.queue = queue.into_iter();
        }
    }
}
