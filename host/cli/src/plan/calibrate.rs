//! Calibration: runs an app's query again and again for some seconds, and measures it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use anyhow::Context;
use bytes::Bytes;
use frond_app::App;
use frond_root::{Answer, CancellationToken, Event, Events, Listener};
use frond_run::{Machine, Question, USUAL_SPARES, Wired, ask, usual_slots, wire};
use frond_test::Suite;
use frond_test::case::Call;
use tokio::runtime::Runtime;

use super::measurements::Measurements;
use crate::args::PlanArgs;
use crate::loading;
use crate::out;
use crate::query::{input, runtime};
use crate::show::model::build::Builder;
use crate::show::progress::Mode;
use crate::show::text::{MAX_KEY, plural, sanitise};

/// Limit on the queries of a calibration.
const MAX_QUERIES: u64 = 1_000;
/// Number of the first query that counts, if there are so many: the one before it warms the caches.
const WARM: u64 = 2;

/// Result of a calibration.
pub(super) struct Calibration {
    /// Sums of the queries.
    pub(super) measured: Measurements,
    /// Words for the queries that ran.
    pub(super) words: String,
}

/// A query to repeat.
struct CalibrationQuery {
    query: Bytes,
    /// Replaces the app's source, as in the case that has the query.
    input: Option<String>,
    words: String,
}

/// Listener that builds the model of one query.
#[derive(Debug, Default)]
struct Watcher {
    builder: Mutex<Builder>,
}

impl Listener for Watcher {
    fn event(&self, event: &Event) {
        self.builder.lock().unwrap_or_else(PoisonError::into_inner).take(event);
    }
}

/// Runs the query for the time that the arguments give.
///
/// # Errors
/// When the app or the query is wrong, or a query has no answer.
pub(super) fn calibrate(args: &PlanArgs, app: &App) -> anyhow::Result<Calibration> {
    let sample = sample(args, app)?;
    let runtime = runtime()?;
    let slots = args.slots.map_or_else(usual_slots, usize::from);
    let machine = Machine::new(slots)?.isolating(runtime.handle(), USUAL_SPARES);
    let (wired, warnings) = loading::loaded(Mode::Auto, |tell| wire(app, &machine, runtime.handle(), tell))?;
    out::warn(warnings);
    let measured = repeated(args, &runtime, &wired, &sample);
    // Otherwise a guest stuck in unbounded host work would keep the process from ending.
    runtime.shutdown_background();
    measured
}

fn repeated(
    args: &PlanArgs,
    runtime: &Runtime,
    wired: &Wired,
    sample: &CalibrationQuery,
) -> anyhow::Result<Calibration> {
    let start = Instant::now();
    let mut measured = Measurements::default();
    let mut queries = 0;
    while queries == 0 || (queries < MAX_QUERIES && start.elapsed() < args.measure) {
        let watcher = Arc::new(Watcher::default());
        let question =
            Question { input: sample.input.iter().cloned().collect(), ..Question::new(wired.request(&sample.query)) };
        let events = Events::new(vec![Arc::clone(&watcher) as Arc<dyn Listener>]);
        let answer = runtime.block_on(ask(wired, question, events, CancellationToken::new()))?;
        if let Answer::Failed { reason, .. } = &answer {
            anyhow::bail!(
                "the query has no answer: {reason}\n(frond query {} says more; the query was {})",
                sanitise(&wired.app.dir.display().to_string(), MAX_KEY),
                sample.words
            );
        }
        queries += 1;
        if queries == WARM {
            measured = Measurements::default();
        }
        let builder = std::mem::take(&mut *watcher.builder.lock().unwrap_or_else(PoisonError::into_inner));
        measured.add(&builder.build());
    }
    measured.is_cut |= wired.leaf.plugin.takes_pieces();
    let words = format!(
        "{} of {:.1} s together, with {}",
        plural(queries, "query", "queries"),
        start.elapsed().as_secs_f64(),
        sample.words
    );
    Ok(Calibration { measured, words })
}

/// Returns the query to repeat: the given one, that of the first case of the whole app, or an empty
/// one.
fn sample(args: &PlanArgs, app: &App) -> anyhow::Result<CalibrationQuery> {
    if args.query.is_some() {
        let query = input::bytes(args.query.as_deref(), "plan with a smaller query")?;
        return Ok(CalibrationQuery { query, input: None, words: "the given query".to_owned() });
    }
    let suite = Suite::read(&app.dir, None)
        .with_context(|| format!("cannot read the cases in `{}`", app.dir.join("cases").display()))?;
    let cases = suite.cases.into_iter().filter_map(|(_, case)| case.ok()).filter(|case| case.inject.is_empty());
    for case in cases {
        if let Call::Query(promises) = case.call {
            let words = format!("the query of the case `{}`", sanitise(&case.name, MAX_KEY));
            return Ok(CalibrationQuery { query: case.query, input: promises.input, words });
        }
    }
    Ok(CalibrationQuery {
        query: Bytes::new(),
        input: None,
        words: "an empty query, as the app has no case of the whole app".to_owned(),
    })
}
