//! Lateness of the deadline of a leaf that never ends, and the CPU cost of the epoch clock that
//! stops it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::ensure;
use bytes::Bytes;
use frond_root::call::Limits;
use frond_root::sync::lock;
use frond_root::{Event, EventKind, Floor, Listener, Partition, Request};

use crate::bench::Bench;
use crate::machine::{cores, thread_cpu, threads};
use crate::measure::quantile;
use crate::report::{Bound, figure};
use crate::rig::{Merge, Rig};
use crate::work::{QUERY, add_samples, keep_first, partitions, spans};

/// Time limit of a leaf in this section.
const LEAF_TIME: Duration = Duration::from_millis(5);

pub(crate) fn run(bench: &mut Bench) -> anyhow::Result<()> {
    bench.report.section("Deadlines");
    let count = if bench.quick { 40 } else { 400 };
    let mut rows = Vec::new();
    for slots in [1, 2] {
        let limits = Limits { fuel: 1 << 50, ..Limits::default() };
        let rig = Rig::new(&bench.guests.faulty, slots, limits)?;
        late(bench, &rig, &format!("{slots} slots"), count, &mut rows)?;
        let busy = Busy::every_core();
        late(bench, &rig, &format!("{slots} slots, every core busy"), count, &mut rows)?;
        drop(busy);
    }
    bench.report.table(&["a spinning leaf, stopped after its limit", "p50 ms", "p99 ms", "worst ms"], &rows);
    clock(bench)
}

fn late(bench: &mut Bench, rig: &Rig, name: &str, count: usize, rows: &mut Vec<Vec<String>>) -> anyhow::Result<()> {
    let late = lateness(rig, count)?;
    ensure!(late.len() == count, "{} of {count} leaves were stopped", late.len());
    let at = |q| quantile(late.clone(), q);
    rows.push(vec![name.to_owned(), figure(at(0.5)), figure(at(0.99)), figure(at(1.0))]);
    let what = format!("lateness of a deadline, p99, {name}");
    bench.report.target(what, at(0.99), "ms", Bound::AtMost(5.0));
    Ok(())
}

/// Returns the time from each leaf's deadline to its end, in milliseconds.
fn lateness(rig: &Rig, count: usize) -> anyhow::Result<Vec<f64>> {
    let query = Bytes::from_static(br#"{"fault":"spin"}"#);
    let leaf = |index| Partition::new(format!("spin-{index}"), Bytes::new());
    let ends = Arc::new(Ends::default());
    let request = Request { leaf_time: Some(LEAF_TIME), floor: Floor::BestEffort, ..rig.request(&query) };
    rig.answer(request, (0..count).map(leaf).collect(), Merge::Native(keep_first), vec![ends.clone()])?;
    Ok(ends.micros().map(|micros| micros as f64 / 1e3 - LEAF_TIME.as_secs_f64() * 1e3).collect())
}

/// Begin and end of each partition's leaf, in microseconds.
#[derive(Default)]
pub(crate) struct Ends(Mutex<Vec<(u64, Option<u64>)>>);

impl Ends {
    /// Returns the time from the begin to the end of each leaf that ended, in microseconds.
    pub(crate) fn micros(&self) -> impl Iterator<Item = u64> {
        let ends = lock(&self.0).clone();
        ends.into_iter().filter_map(|(started, ended)| Some(ended?.saturating_sub(started)))
    }
}

impl Listener for Ends {
    fn event(&self, event: &Event) {
        let mut ends = lock(&self.0);
        match &event.kind {
            EventKind::AttemptStarted { partition, .. } => {
                let at = *partition as usize;
                if ends.len() <= at {
                    ends.resize(at + 1, (0, None));
                }
                if let Some(one) = ends.get_mut(at) {
                    *one = (event.at, None);
                }
            }
            EventKind::AttemptEnded { partition, .. } => {
                if let Some(one) = ends.get_mut(*partition as usize) {
                    one.1 = Some(event.at);
                }
            }
            _ => {}
        }
    }
}

/// Guard of busy threads: one thread a core spins until the guard is dropped.
pub(crate) struct Busy(Arc<AtomicBool>);

impl Busy {
    pub(crate) fn every_core() -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        for _ in 0..cores() {
            let stop = stop.clone();
            thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        Self(stop)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Measures the clock thread's CPU time over a second without leaves, and over a second of leaves
/// without pause.
fn clock(bench: &mut Bench) -> anyhow::Result<()> {
    let rig = Rig::new(&bench.guests.pi, 2, Limits::default())?;
    let tasks = spans(1000, 1);
    let clock = threads("frond-clock");
    let during = |work: &dyn Fn() -> anyhow::Result<()>| -> anyhow::Result<f64> {
        let start = Instant::now();
        let before = thread_cpu(&clock);
        while start.elapsed() < Duration::from_secs(1) {
            work()?;
        }
        Ok((thread_cpu(&clock) - before).as_secs_f64() / start.elapsed().as_secs_f64())
    };
    let idle = during(&|| {
        thread::sleep(Duration::from_millis(100));
        Ok(())
    })?;
    let busy = during(&|| rig.ask(&QUERY, partitions(&tasks), Merge::Native(add_samples)).map(drop))?;
    let percent = |share: f64| format!("{:.3} %", share * 100.0);
    let rows = [vec!["idle".to_owned(), percent(idle)], vec!["leaves without pause".to_owned(), percent(busy)]];
    bench.report.table(&["the clock thread", "of a core"], &rows);
    bench.report.target("the clock thread, idle", idle * 100.0, "% of a core", Bound::AtMost(0.1));
    bench.report.target("the clock thread, busy", busy * 100.0, "% of a core", Bound::AtMost(1.0));
    Ok(())
}
