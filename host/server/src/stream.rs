//! Event stream of a running query: its id, its progress, previews of the answer, and the answer.
//! The stream polls the kept events a few times a second, so listeners do not slow down the query.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::response::Response;
use axum::response::sse::Event;
use bytes::Bytes;
use frond_root::{Answer, QueryId};
use frond_run::RunError;
use frond_run::envelope::Envelope;
use futures_util::stream;
use serde::Serialize;
use tokio::sync::oneshot;

use crate::envelopes::envelope;
use crate::event_stream::{ANSWER, ending, event, written};
use crate::recent::{Counts, SoFar};
use crate::reply::{Problem, set};
use crate::running::RunningQuery;
use crate::sending::Sending;
use crate::server::Server;

/// The minimum time between two progress events.
const PACE: Duration = Duration::from_millis(100);

/// Event `query`: the start of a streamed query.
#[derive(Serialize)]
struct Begun<'a> {
    query: QueryId,
    app: &'a str,
}

/// Event `progress` of a streamed query.
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
    let mut response = ending(progress, last);
    set(response.headers_mut(), "frond-query", &id.to_string());
    response
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
    written("problem", &problem.about(running.id))
}
