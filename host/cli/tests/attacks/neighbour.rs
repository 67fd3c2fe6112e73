//! The neighbour: a client of another app, which queries it and the health checks without a pause
//! during an attack.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::stage::is_full;
use crate::wire::{PATIENCE, ask};

/// Name of the neighbour's app.
pub(crate) const NAME: &str = "neighbour";
/// Pause between two rounds.
const PACE: Duration = Duration::from_millis(5);
/// Number of partitions of its query.
const PARTITIONS: usize = 4;

/// Manifest of its app, which counts a few words. The long deadline prevents partial answers on a
/// busy machine.
pub(crate) const MANIFEST: &str = "content-type = \"application/json\"\n[leaf]\ncomponent = \"wordcount.wasm\"\n\
    [merge]\ncomponent = \"wordcount.wasm\"\n[source]\nkind = \"query\"\n[query]\ndeadline = \"10m\"\nfloor = \"all\"\n";

/// A client on a separate thread that queries until it is dropped.
pub(crate) struct Neighbour {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    seen: Mutex<Rounds>,
    news: Condvar,
}

/// Outcome of the neighbour's rounds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rounds {
    pub(crate) asked: usize,
    pub(crate) answered: usize,
    /// Errors of the failed rounds.
    pub(crate) wrong: Vec<String>,
    times: Vec<Duration>,
}

impl Rounds {
    /// Returns the 99th percentile of the query times.
    pub(crate) fn p99(&self) -> Duration {
        let mut times = self.times.clone();
        times.sort();
        times.get((times.len() * 99).div_ceil(100).saturating_sub(1)).copied().unwrap_or_default()
    }
}

impl Neighbour {
    pub(crate) fn of(address: &str, authorization: &str) -> Self {
        let shared = Arc::new(Shared::default());
        let one = shared.clone();
        let address = address.to_owned();
        let authorization = authorization.to_owned();
        let thread = thread::spawn(move || {
            let body = query();
            while !one.stop.load(Ordering::Relaxed) {
                let begun = Instant::now();
                let wrong = round(&address, &authorization, &body);
                let mut seen = one.seen.lock().unwrap();
                seen.asked += 1;
                match wrong {
                    Ok(time) => {
                        seen.answered += 1;
                        seen.times.push(time);
                    }
                    Err(wrong) => seen.wrong.push(format!("after {:?}: {wrong}", begun.elapsed())),
                }
                one.news.notify_all();
                drop(seen);
                thread::sleep(PACE);
            }
        });
        Self { shared, thread: Some(thread) }
    }

    /// Waits until `count` further rounds have begun and ended.
    #[track_caller]
    pub(crate) fn rounds(&self, count: usize) {
        let seen = self.shared.seen.lock().unwrap();
        // The current round may have begun earlier.
        let until = seen.asked + count + 1;
        let waited = self.shared.news.wait_timeout_while(seen, PATIENCE * 2, |seen| seen.asked < until);
        let (seen, waited) = waited.unwrap();
        assert!(!waited.timed_out(), "the neighbour has no answer at all: {seen:?}");
    }

    /// Stops the client, and returns the outcome of its rounds.
    pub(crate) fn end(mut self) -> Rounds {
        self.stop();
        self.shared.seen.lock().unwrap().clone()
    }

    /// Ends the quiet phase: resets the times, and returns the outcome so far.
    pub(crate) fn quiet(&self) -> Rounds {
        let mut seen = self.shared.seen.lock().unwrap();
        let before = seen.clone();
        seen.times.clear();
        before
    }

    fn stop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Returns a query of a few words; in a full run, of so many that counting takes longer than a
/// thread waits for a core.
fn query() -> Vec<u8> {
    let words = "one two two ".repeat(if is_full() { 20_000 } else { 1 });
    let partitions: Vec<_> =
        (0..PARTITIONS).map(|number| json!({ "key": format!("p{number}"), "data": words })).collect();
    json!({ "query": { "top": 1 }, "partitions": partitions }).to_string().into_bytes()
}

/// Sends a query and the three health checks. Returns the query's time, or the error.
fn round(address: &str, authorization: &str, body: &[u8]) -> Result<Duration, String> {
    let begun = Instant::now();
    let query = format!("/v1/apps/{NAME}/query");
    let reply = ask(address, "POST", &query, authorization, body).map_err(|error| format!("query: {error}"))?;
    let time = begun.elapsed();
    if reply.status != 200 || !reply.head.contains("frond-complete: true") || !reply.text().contains("two") {
        return Err(format!("query: {}", reply.shown()));
    }
    for path in ["/healthz", "/readyz", "/metrics"] {
        let reply = ask(address, "GET", path, authorization, b"").map_err(|error| format!("{path}: {error}"))?;
        if reply.status != 200 {
            return Err(format!("{path}: {}", reply.shown()));
        }
    }
    Ok(time)
}
