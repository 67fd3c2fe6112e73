//! Streams of events: server-sent events, or lines of JSON.
//! All of them have the heartbeat and the cursor of this file.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream::{self, Stream, StreamExt};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};
use serde::{Deserialize, Serialize};
use tokio::sync::OwnedSemaphorePermit;

use crate::accept::preferred;

/// The media type of event streams.
pub(crate) const EVENTS: &str = "text/event-stream";
/// The media type of recordings: one JSON object a line.
const LINES: &str = "application/x-ndjson";
/// Heartbeat: after this time without events a comment is sent, so that proxies keep the connection
/// and dead clients are noticed.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Reconnection time that is suggested to clients.
const RETRY: Duration = Duration::from_secs(2);
/// Beginning of the event with the answer.
pub(crate) const ANSWER: &str = "event: answer\ndata: ";
/// Beginning of an event with a preview of the answer.
pub(crate) const PREVIEW: &str = "event: partial\ndata: ";

/// True for a client that prefers a recording as an event stream to its lines.
pub(crate) fn is_wanted(headers: &HeaderMap) -> bool {
    preferred(headers, &[LINES, EVENTS]) == Some(1)
}

/// The number of the client's last event, where a broken stream resumes.
pub(crate) fn last_event_id(headers: &HeaderMap) -> Option<u64> {
    headers.get("last-event-id")?.to_str().ok()?.parse().ok()
}

/// Makes an event.
pub(crate) fn event(name: &str, data: &impl Serialize) -> Event {
    let data = serde_json::to_string(data).unwrap_or_default();
    Event::default().event(name).data(data)
}

/// Makes an event of a line of a recording, with its number.
pub(crate) fn recorded(number: u64, line: &str) -> Event {
    /// Name of a recorded event, the only member of its line that is read.
    #[derive(Deserialize)]
    struct Kind {
        event: String,
    }
    let name = serde_json::from_str(line).map_or_else(|_| "message".to_owned(), |Kind { event }| event);
    Event::default().event(name).id(number.to_string()).data(line)
}

/// Makes the event that says how many events are not in the stream.
pub(crate) fn missed(count: u64) -> Event {
    event("missed", &serde_json::json!({ "count": count }))
}

/// Event stream of one client, which holds its permit for as long as the client reads.
pub(crate) fn followed<E>(
    events: impl Stream<Item = Result<Event, E>> + Send + 'static,
    permit: OwnedSemaphorePermit,
) -> Response
where
    E: Into<Box<dyn std::error::Error + Send + Sync>> + Send + 'static,
{
    streaming(events.inspect(move |_| {
        let _held = &permit;
    }))
}

/// Server-sent events: a suggested reconnection time, then the events, with comments as a
/// heartbeat.
fn streaming<E>(events: impl Stream<Item = Result<Event, E>> + Send + 'static) -> Response
where
    E: Into<Box<dyn std::error::Error + Send + Sync>> + Send + 'static,
{
    let hint = stream::iter([Ok(Event::default().retry(RETRY))]);
    let beats = KeepAlive::new().interval(HEARTBEAT);
    let mut response = Sse::new(hint.chain(events)).keep_alive(beats).into_response();
    // Otherwise a proxy may buffer events.
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

/// Server-sent events, and after them a part that is written already.
pub(crate) fn ending(
    events: impl Stream<Item = Result<Event, Infallible>> + Send + 'static,
    last: impl Stream<Item = Result<Bytes, axum::Error>> + Send + 'static,
) -> Response {
    streaming(events).map(|body| Body::from_stream(body.into_data_stream().chain(last)))
}

/// Writes an event.
pub(crate) fn written(name: &str, data: &impl Serialize) -> Bytes {
    let data = serde_json::to_string(data).unwrap_or_default();
    format!("event: {name}\ndata: {data}\n\n").into()
}

/// Replies with lines of JSON.
pub(crate) fn lines<E>(lines: impl Stream<Item = Result<Bytes, E>> + Send + 'static) -> Response
where
    E: Into<Box<dyn std::error::Error + Send + Sync>> + Send + 'static,
{
    ([(CONTENT_TYPE, HeaderValue::from_static(LINES))], Body::from_stream(lines)).into_response()
}
