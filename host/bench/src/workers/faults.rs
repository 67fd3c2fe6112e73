//! How soon work runs elsewhere after its worker was killed, how soon a new worker is of use, and
//! how late an isolated leaf that nothing interrupts is stopped.

use std::fs;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use bytes::Bytes;
use frond_root::sync::lock;
use frond_root::{Event, EventKind, Events, Listener};
use frond_testkit::Nats;
use serde_json::Value;

use super::apps::{self, Crewed, HostWorker, Place};
use crate::bench::Bench;
use crate::deadline::{Busy, Ends};
use crate::measure::quantile;
use crate::report::{Bound, figure};

/// Leaf that sleeps for longer than any measurement.
const SLEEPERS: &str = r#"{"query":{"faults":{"sleep-0":"sleep-ms:1500","sleep-1":"sleep-ms:1500"}},
    "partitions":[{"key":"sleep-0","data":""},{"key":"sleep-1","data":""}]}"#;
/// Time limit of a leaf that never ends.
const LEAF_TIME: Duration = Duration::from_millis(20);

pub(super) fn run(bench: &mut Bench, nats: &Nats) -> anyhow::Result<()> {
    killed(bench, nats)?;
    joined(bench, nats)?;
    late(bench)
}

/// Starts of attempts, by partition and number.
#[derive(Default)]
struct Starts(Mutex<Vec<(u32, u32, Instant)>>);

impl Listener for Starts {
    fn event(&self, event: &Event) {
        if let EventKind::AttemptStarted { partition, attempt, .. } = &event.kind {
            lock(&self.0).push((*partition, *attempt, Instant::now()));
        }
    }
}

impl Starts {
    fn wait(&self, wanted: impl Fn(&(u32, u32, Instant)) -> bool) -> anyhow::Result<Instant> {
        let begun = Instant::now();
        loop {
            if let Some((.., at)) = lock(&self.0).iter().find(|one| wanted(one)) {
                return Ok(*at);
            }
            ensure!(begun.elapsed() < apps::NEVER, "no attempt started");
            std::thread::sleep(Duration::from_micros(200));
        }
    }
}

/// Time from SIGKILL to the start of the lost leaf on another worker.
fn killed(bench: &mut Bench, nats: &Nats) -> anyhow::Result<()> {
    let mut times = Vec::new();
    for round in 0..bench.rounds(9) {
        let mut doomed = HostWorker::start(nats, &format!("doomed-{round}"))?;
        let _other = HostWorker::start(nats, &format!("other-{round}"))?;
        let _third = HostWorker::start(nats, &format!("third-{round}"))?;
        let app = Crewed::new(&bench.guests.faulty, apps::KEYS, Place::Broker(nats.url()))?;
        let crew = app.crew.as_ref().context("no crew")?;
        let starts = Arc::new(Starts::default());
        let events = Events::new(vec![starts.clone()]);
        let at = std::thread::scope(|scope| {
            let asked = scope.spawn(|| app.ask_with(SLEEPERS, events));
            let measured = (|| {
                for partition in [0, 1] {
                    starts.wait(|one| one.0 == partition)?;
                }
                let has = |name: &str| crew.workers().list().iter().any(|one| one.name == name && one.attempts > 0);
                if !has(&format!("doomed-{round}")) {
                    return Ok(None);
                }
                let killed = Instant::now();
                doomed.kill();
                let again = starts.wait(|one| one.1 > 1)?;
                anyhow::Ok(Some(again.saturating_duration_since(killed).as_secs_f64() * 1e3))
            })();
            asked.join().map_err(|_| anyhow::anyhow!("the query panicked"))??;
            measured
        })?;
        times.extend(at);
    }
    ensure!(!times.is_empty(), "no kill hit an attempt");
    let median = quantile(times.clone(), 0.5);
    let worst = quantile(times.clone(), 1.0);
    let row = vec![times.len().to_string(), figure(median), figure(worst)];
    bench.report.table(&["kills of a worker behind NATS", "ms until its leaf runs elsewhere, median", "worst"], &[row]);
    bench.report.target("from kill -9 to the lost leaf on another worker, worst", worst, "ms", Bound::AtMost(350.0));
    Ok(())
}

/// Time from the joining of a worker to the start of its first leaf, with shipped code. The root is
/// `frond` itself: code is shipped to workers of the same build.
fn joined(bench: &mut Bench, nats: &Nats) -> anyhow::Result<()> {
    let app = apps::folder(&bench.guests.faulty, apps::KEYS)?;
    let recording = app.path().join("run.ndjson");
    let mut times = Vec::new();
    for round in 0..bench.rounds(9) {
        let mut query = apps::frond();
        query.arg("query").arg(app.path()).arg(apps::keys(1)).args(["--deadline", "60s", "--local", "false"]);
        query.args(["--nats", &nats.url(), "--record"]).arg(&recording).stdout(Stdio::null()).stderr(Stdio::null());
        let mut asked = query.spawn().context("`frond` is not built (make host)")?;
        let _late = HostWorker::start(nats, &format!("late-{round}"))?;
        ensure!(asked.wait()?.success(), "the query failed");
        times.push(first_start(&fs::read_to_string(&recording)?)?);
    }
    let median = quantile(times.clone(), 0.5);
    let worst = quantile(times.clone(), 1.0);
    let row = vec![times.len().to_string(), figure(median), figure(worst)];
    bench.report.table(&["new workers", "ms from joining to the first leaf, median", "worst"], &[row]);
    bench.report.target("from joining to the first leaf, with shipped code", median, "ms", Bound::AtMost(50.0));
    Ok(())
}

/// Milliseconds from the claim of the first attempt, at the joining of its worker, to its start.
fn first_start(recording: &str) -> anyhow::Result<f64> {
    let events: Vec<Value> = recording.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let first = |kind: &str| events.iter().find(|event| event["event"] == kind);
    let started = first("attempt-started").and_then(|event| event["at"].as_f64()).context("no start")?;
    let claimed = first("attempt-ended").and_then(|event| event["on_worker"]["claimed"].as_f64());
    Ok((started - claimed.context("no claim")?) / 1e3)
}

/// Lateness of leaves that only the end of their process stops.
fn late(bench: &mut Bench) -> anyhow::Result<()> {
    let count = if bench.quick { 20 } else { 100 };
    let rest = format!(
        "{}[limits.leaf]\nfuel = 0\ntime = \"{}ms\"\n[retry]\nattempts = 1\n",
        apps::KEYS,
        LEAF_TIME.as_millis()
    );
    let app = Crewed::new(&bench.guests.faulty, &rest, Place::Isolated(1))?;
    let keys: Vec<_> = (0..count).map(|at| format!("{{\"key\":\"spin-{at}\",\"data\":\"\"}}")).collect();
    let query = Bytes::from(format!("{{\"query\":{{}},\"partitions\":[{}]}}", keys.join(",")));
    let mut rows = Vec::new();
    for (name, busy) in [("idle machine", None), ("every core busy", Some(Busy::every_core()))] {
        let ends = Arc::new(Ends::default());
        app.ask_partly(&query, Events::new(vec![ends.clone()]))?;
        drop(busy);
        let late: Vec<_> = ends.micros().map(|micros| micros as f64 / 1e3 - LEAF_TIME.as_secs_f64() * 1e3).collect();
        ensure!(late.len() == count, "{} of {count} leaves were stopped", late.len());
        let at = |q| quantile(late.clone(), q);
        rows.push(vec![name.to_owned(), figure(at(0.5)), figure(at(0.99)), figure(at(1.0))]);
        let what = format!("lateness of a deadline in an isolated process, p99, {name}");
        bench.report.target(what, at(0.99), "ms", Bound::AtMost(5.0));
    }
    bench.report.table(&["an isolated spinning leaf, stopped after its limit", "p50 ms", "p99 ms", "worst ms"], &rows);
    Ok(())
}
