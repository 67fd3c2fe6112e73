//! Event streams: the progress of a query, a query's events, and changes of all queries and apps.
//! Each stream polls the kept events a few times a second, so listeners do not slow down queries.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use frond_deploy::AppView;
use frond_root::{Answer, QueryId};
use frond_run::RunError;
use frond_run::envelope::Envelope;
use futures_util::stream::{self, Stream, StreamExt};
use serde::Serialize;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{OwnedSemaphorePermit, broadcast, oneshot};
use tokio::time::Interval;

use crate::auth::{Action, Principal};
use crate::envelopes::envelope;
use crate::query::RunningQuery;
use crate::recent::{Counts, NewsCursor, QueryRecord, SoFar};
use crate::reply::Problem;
use crate::sending::Sending;
use crate::server::Server;
use crate::views;

/// The minimum time between two progress events.
const PACE: Duration = Duration::from_millis(100);
/// Interval of the events about changes.
const NEWS: Duration = Duration::from_millis(250);
/// The most queries in one batch of changes; of further ends only the number is sent.
const AT_ONCE: usize = 40;
/// Heartbeat: after this time without events a comment is sent, so that proxies keep the connection
/// and dead clients are noticed.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Reconnection time that is suggested to clients.
const RETRY: Duration = Duration::from_secs(2);
/// The most events per batch.
const BATCH: usize = 500;

/// Beginning of the event with the answer.
pub(crate) const ANSWER: &str = "event: answer\ndata: ";
/// Beginning of an event with a preview of the answer.
pub(crate) const PREVIEW: &str = "event: partial\ndata: ";

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
    response.headers_mut().insert("x-accel-buffering", http::HeaderValue::from_static("no"));
    response
}

fn event(name: &str, data: &impl Serialize) -> Event {
    let data = serde_json::to_string(data).unwrap_or_default();
    Event::default().event(name).data(data)
}

#[derive(Serialize)]
struct Begun<'a> {
    query: QueryId,
    app: &'a str,
}

#[derive(Serialize)]
struct Progress {
    /// Microseconds since the query began.
    at: u64,
    partitions: Counts,
    fraction: f64,
}

/// Members of a preview before the answer.
#[derive(Serialize)]
struct Partial {
    at: u64,
    fraction: f64,
}

/// Progress that the stream of a query has made.
enum Step {
    Begin,
    Run { reported: Option<Counts> },
}

/// Outcome of a query; `None` if its task was lost.
type Outcome = Option<Result<Answer, RunError>>;

/// The next part of a query's stream.
enum Next {
    Event(Event, Step),
    End(Outcome),
}

/// Streams a running query: its id, its progress, previews of the answer, and the answer.
/// The query is cancelled if the client disconnects.
pub(crate) fn answer(server: &Server, running: RunningQuery) -> Response {
    let start = tokio::time::Instant::now();
    let id = running.id;
    let sending = server.sending.clone();
    let (ended, end) = oneshot::channel();
    let progress = stream::unfold((running, ended, Step::Begin), move |(mut running, ended, step)| {
        let sending = sending.clone();
        async move {
            match next(&sending, &mut running, step, start).await {
                Next::Event(event, step) => Some((Ok::<_, Infallible>(event), (running, ended, step))),
                Next::End(outcome) => {
                    let _ = ended.send((running, outcome));
                    None
                }
            }
        }
    });
    let sending = server.sending.clone();
    let last = stream::once(async move {
        match end.await {
            Ok((running, outcome)) => Ok(last(&sending, &running, outcome).await),
            // The progress ends only with an outcome.
            Err(lost) => Err(axum::Error::new(lost)),
        }
    });
    let (mut head, body) = streaming(progress).into_parts();
    if let Ok(id) = http::HeaderValue::try_from(id.to_string()) {
        head.headers.insert("frond-query", id);
    }
    Response::from_parts(head, Body::from_stream(body.into_data_stream().chain(last)))
}

async fn next(sending: &Sending, running: &mut RunningQuery, step: Step, start: tokio::time::Instant) -> Next {
    let recorded = running.recorded.clone();
    let Step::Run { reported } = step else {
        let begun = event("query", &Begun { query: running.id, app: &recorded.app });
        return Next::Event(begun, Step::Run { reported: None });
    };
    let pace = tokio::time::sleep(if reported.is_some() { PACE } else { Duration::ZERO });
    tokio::pin!(pace);
    let mut waited = false;
    loop {
        let changed = recorded.changed();
        if waited {
            let preview = recorded.take_preview();
            if let Some(event) = preview.and_then(|so_far| partial(sending, &so_far, &recorded.content_type)) {
                return Next::Event(event, Step::Run { reported });
            }
            let (counts, fraction) = recorded.progress();
            if reported != Some(counts) {
                let at = u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX);
                let progress = event("progress", &Progress { at, partitions: counts, fraction });
                return Next::Event(progress, Step::Run { reported: Some(counts) });
            }
        }
        tokio::select! {
            // The answer must not be delayed by progress events.
            biased;
            outcome = &mut running.outcome => {
                return Next::End(outcome.ok());
            }
            () = &mut pace, if !waited => waited = true,
            () = changed, if waited => {}
        }
    }
}

/// Event with a preview; `None` if answers in flight leave no room for it.
fn partial(sending: &Sending, so_far: &SoFar, content_type: &str) -> Option<Event> {
    let at = u64::try_from(so_far.at.as_micros()).unwrap_or(u64::MAX);
    let preview = Envelope::preview(&Partial { at, fraction: so_far.fraction }, &so_far.body, content_type).ok()?;
    // The event is another copy, which the sending charges from here on.
    let _reserved = sending.reserve(2 * preview.size())?;
    let data = preview.write("", "").ok()?;
    Some(Event::default().event("partial").data(String::from_utf8_lossy(&data)))
}

/// Last event: the envelope of the answer, or a problem.
async fn last(sending: &Arc<Sending>, running: &RunningQuery, outcome: Outcome) -> Bytes {
    let problem = match outcome {
        Some(Ok(answer)) => match envelope(sending, &running.version, answer, (ANSWER, "\n\n")).await {
            // The sending charges the bytes from here on.
            Ok((event, _charge)) => return event,
            Err(problem) => problem,
        },
        Some(Err(error)) => Problem::from(&error),
        None => Problem::lost(),
    };
    let data = serde_json::to_string(&problem.about(running.id)).unwrap_or_default();
    Bytes::from(format!("event: problem\ndata: {data}\n\n"))
}

/// Streams a query's events from number `from` until it ends.
pub(crate) fn events(recorded: Arc<QueryRecord>, from: usize, permit: OwnedSemaphorePermit) -> Response {
    let reader = Reader { recorded, next: from, queue: Vec::new().into_iter(), ended: false };
    let events = stream::unfold(reader, |mut reader| async move {
        let event = reader.read().await?;
        Some((Ok::<_, Infallible>(event), reader))
    });
    followed(events, permit)
}

struct Reader {
    recorded: Arc<QueryRecord>,
    next: usize,
    queue: std::vec::IntoIter<Event>,
    ended: bool,
}

#[derive(Serialize)]
struct Missed {
    count: u64,
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
            let mut queue: Vec<_> = events
                .iter()
                .zip(first..)
                .map(|(one, number)| {
                    let name = serde_json::to_value(one)
                        .ok()
                        .and_then(|value| value.get("event")?.as_str().map(str::to_owned));
                    event(name.as_deref().unwrap_or("message"), one).id(number.to_string())
                })
                .collect();
            if !more {
                self.ended = true;
                if missed > 0 {
                    queue.push(event("missed", &Missed { count: missed }));
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

/// Streams changes of all queries and apps, batched a few times a second.
pub(crate) fn news(server: Arc<Server>, principal: Arc<Principal>, permit: OwnedSemaphorePermit) -> Response {
    let seen = server.recent.seen(principal.limited(Action::Read));
    let apps = server.apps.changes();
    let watch = Watch { server, principal, apps, seen, tick: tokio::time::interval(NEWS), queue: VecDeque::new() };
    let events = stream::unfold(watch, |mut watch| async move {
        let event = watch.next().await?;
        Some((Ok::<_, Infallible>(event), watch))
    });
    followed(events, permit)
}

struct Watch {
    server: Arc<Server>,
    /// The reader, whose role decides which queries it sees.
    principal: Arc<Principal>,
    apps: broadcast::Receiver<AppView>,
    seen: NewsCursor,
    tick: Interval,
    queue: VecDeque<Event>,
}

impl Watch {
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.queue.pop_front() {
                return Some(event);
            }
            tokio::select! {
                news = self.apps.recv() => match news {
                    Ok(app) => return Some(event("app", &views::of(&self.server, app))),
                    Err(RecvError::Lagged(count)) => return Some(event("missed", &Missed { count })),
                    Err(RecvError::Closed) => return None,
                },
                _ = self.tick.tick() => {
                    if self.server.is_stopping() && self.server.recent.running() == 0 {
                        return None;
                    }
                    self.poll_queries();
                }
            }
        }
    }

    /// Queues events about queries that began, run or ended.
    fn poll_queries(&mut self) {
        let of = self.principal.limited(Action::Read);
        let running = self.server.recent.unfinished(of);
        let (news, missed, seen) = self.server.recent.since(of, self.seen, AT_ONCE);
        self.seen = seen;
        let is_news = |id| news.iter().any(|one| one.id == id);
        let running = running.iter().filter(|one| !is_news(one.id)).take(AT_ONCE).map(|one| one.summary());
        let summaries: Vec<_> = running.collect::<Vec<_>>().into_iter().chain(news.iter().cloned()).collect();
        self.queue.extend(summaries.iter().map(|one| event("query", one)));
        if missed > 0 {
            self.queue.push_back(event("missed", &Missed { count: missed }));
        }
    }
}
