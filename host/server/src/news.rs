//! `/v1/events`: changes of all queries and apps.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use axum::response::sse::Event;
use frond_deploy::AppView;
use futures_util::stream;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Interval;

use crate::auth::{Action, Principal};
use crate::event_stream::{event, followed, missed};
use crate::recent::NewsCursor;
use crate::reply::Problem;
use crate::server::Server;
use crate::views;

/// Interval of the events about changes.
const NEWS: Duration = Duration::from_millis(250);
/// The most queries in one batch of changes; of further ends only the number is sent.
const AT_ONCE: usize = 40;

/// Streams changes of all apps, and of the caller's queries, as server-sent events.
///
/// With the role `observer` or `admin` the stream includes everybody's queries.
#[utoipa::path(
    get,
    path = "/v1/events",
    responses((status = 200, description = "Events `query`, `app` and `missed`", content_type = "text/event-stream")),
    tag = "server"
)]
pub(crate) async fn news(
    State(server): State<Arc<Server>>,
    Extension(principal): Extension<Arc<Principal>>,
) -> Result<Response, Problem> {
    let permit = principal.listen()?;
    let seen = server.recent.seen(principal.limited(Action::Read));
    let apps = server.apps.changes();
    let watch = Watch { server, principal, apps, seen, tick: tokio::time::interval(NEWS), queue: VecDeque::new() };
    let events = stream::unfold(watch, |mut watch| async move {
        let event = watch.next().await?;
        Some((Ok::<_, Infallible>(event), watch))
    });
    Ok(followed(events, permit))
}

/// Stream of changes for one watcher of the page.
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
                    Ok(app) => return Some(event("app", &views::of(&self.server.telemetry.metrics, app))),
                    Err(RecvError::Lagged(count)) => return Some(missed(count)),
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
        let (news, count, seen) = self.server.recent.since(of, self.seen, AT_ONCE);
        self.seen = seen;
        let is_news = |id| news.iter().any(|one| one.id == id);
        let running = running.iter().filter(|one| !is_news(one.id)).take(AT_ONCE).map(|one| one.summary());
        let summaries: Vec<_> = running.collect::<Vec<_>>().into_iter().chain(news.iter().cloned()).collect();
        self.queue.extend(summaries.iter().map(|one| event("query", one)));
        if count > 0 {
            self.queue.push_back(missed(count));
        }
    }
}
