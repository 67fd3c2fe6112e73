//! Event streams: a query while it is answered, a query's events, and the news of all. Each reads what is kept at its own
//! pace, a few times a second, so that any number of listeners costs the queries nothing.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use frond_root::{Answer, QueryId};
use frond_run::envelope::{Body, envelope};
use futures_util::stream::{self, Stream, StreamExt};
use serde::Serialize;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Interval;

use crate::apps::AppView;
use crate::auth::{Action, Principal};
use crate::query::RunningQuery;
use crate::recent::{Counts, NewsCursor, QueryRecord, SoFar};
use crate::reply::Problem;
use crate::server::Server;
use crate::views;

/// The least time between two reports of progress.
const PACE: Duration = Duration::from_millis(100);
/// How often those who watch all are told what is new.
const NEWS: Duration = Duration::from_millis(250);
/// Queries of which they are told at once; of more that ended, only how many.
const AT_ONCE: usize = 40;
/// Time after which a comment is sent when no event came: proxies keep the connection, and a client that is gone is found.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Time after which a client that lost a stream should ask again.
const RETRY: Duration = Duration::from_secs(2);
/// Events that are sent at once.
const BATCH: usize = 500;

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

/// Events as they come: a hint when to ask again if the stream breaks off, then the events, and a comment (heartbeat)
/// whenever none came for a while.
fn streaming<E>(events: impl Stream<Item = Result<Event, E>> + Send + 'static) -> Response
where
    E: Into<Box<dyn std::error::Error + Send + Sync>> + Send + 'static,
{
    let hint = stream::iter([Ok(Event::default().retry(RETRY))]);
    let beats = KeepAlive::new().interval(HEARTBEAT);
    let mut response = Sse::new(hint.chain(events)).keep_alive(beats).into_response();
    // What stands between might hold events back until there are more.
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

#[derive(Serialize)]
struct Partial<'a> {
    at: u64,
    fraction: f64,
    answer: Body<'a>,
}

/// What the client is still to be told.
enum Step {
    Begin,
    Run { told: Option<Counts> },
    Done,
}

/// A query, told while it runs: its id, its progress, what the answer would be so far, and the answer. Ends it when the
/// client goes away.
pub(crate) fn answer(asked: RunningQuery) -> Response {
    let start = tokio::time::Instant::now();
    let recorded = asked.recorded.clone();
    let mut response = streaming(stream::unfold((asked, Step::Begin), move |(mut asked, step)| async move {
        match step {
            Step::Done => None,
            Step::Begin => {
                let begun = event("query", &Begun { query: asked.id, app: &asked.recorded.app });
                Some((Ok::<_, Infallible>(begun), (asked, Step::Run { told: None })))
            }
            Step::Run { told } => {
                let (said, next) = next(&mut asked, told, start).await;
                Some((Ok(said), (asked, next)))
            }
        }
    }));
    if let Ok(id) = http::HeaderValue::try_from(recorded.id.to_string()) {
        response.headers_mut().insert("frond-query", id);
    }
    response
}

async fn next(asked: &mut RunningQuery, told: Option<Counts>, start: tokio::time::Instant) -> (Event, Step) {
    let recorded = asked.recorded.clone();
    let pace = tokio::time::sleep(if told.is_some() { PACE } else { Duration::ZERO });
    tokio::pin!(pace);
    let mut waited = false;
    loop {
        let changed = recorded.changed();
        if waited {
            if let Some(so_far) = recorded.take_preview() {
                return (partial(&so_far, &asked.version.wired.app.content_type), Step::Run { told });
            }
            let (counts, fraction) = recorded.progress();
            if told != Some(counts) {
                let at = u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX);
                return (
                    event("progress", &Progress { at, partitions: counts, fraction }),
                    Step::Run { told: Some(counts) },
                );
            }
        }
        tokio::select! {
            // The answer is not kept waiting by news of its progress.
            biased;
            outcome = &mut asked.outcome => {
                asked.waiting.defuse();
                return (last(asked, outcome.ok()), Step::Done);
            }
            () = &mut pace, if !waited => waited = true,
            () = changed, if waited => {}
        }
    }
}

fn partial(so_far: &SoFar, content_type: &str) -> Event {
    let at = u64::try_from(so_far.at.as_micros()).unwrap_or(u64::MAX);
    event("partial", &Partial { at, fraction: so_far.fraction, answer: Body::of(&so_far.body, content_type) })
}

fn last(asked: &RunningQuery, outcome: Option<Result<Answer, frond_run::RunError>>) -> Event {
    let problem = match outcome {
        Some(Ok(answer)) => match envelope(&answer, &asked.version.wired.app.content_type, asked.version.wired.laws) {
            Ok(envelope) => {
                let text = String::from_utf8_lossy(&envelope);
                return Event::default().event("answer").data(text.trim_end());
            }
            Err(error) => Problem::bug(format!("the envelope could not be made: {error}")),
        },
        Some(Err(error)) => Problem::from(&error),
        None => Problem::lost(),
    };
    event("problem", &problem.about(asked.id))
}

/// A query's events from number `from` on, live until it ends.
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
                // Others that follow at once come in the same batch.
                tokio::time::sleep(PACE).await;
            }
            self.queue = queue.into_iter();
        }
    }
}

/// All queries and apps, as they change: a few times a second what is new, however much that was.
pub(crate) fn news(server: Arc<Server>, principal: Arc<Principal>, permit: OwnedSemaphorePermit) -> Response {
    let (seen, apps) = (server.recent.seen(principal.limited(Action::Read)), server.apps.changes());
    let watch = Watch { server, principal, apps, seen, tick: tokio::time::interval(NEWS), queue: VecDeque::new() };
    let events = stream::unfold(watch, |mut watch| async move {
        let event = watch.next().await?;
        Some((Ok::<_, Infallible>(event), watch))
    });
    followed(events, permit)
}

struct Watch {
    server: Arc<Server>,
    /// Who reads.
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
                    self.look();
                }
            }
        }
    }

    /// What began, what runs, what ended.
    fn look(&mut self) {
        let of = self.principal.limited(Action::Read);
        let running = self.server.recent.unfinished(of);
        let (news, missed, seen) = self.server.recent.since(of, self.seen, AT_ONCE);
        self.seen = seen;
        let told = |id| news.iter().any(|one| one.id == id);
        let running = running.iter().filter(|one| !told(one.id)).take(AT_ONCE).map(|one| one.summary());
        let summaries: Vec<_> = running.collect::<Vec<_>>().into_iter().chain(news.iter().cloned()).collect();
        self.queue.extend(summaries.iter().map(|one| event("query", one)));
        if missed > 0 {
            self.queue.push_back(event("missed", &Missed { count: missed }));
        }
    }
}
