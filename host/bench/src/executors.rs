//! Comparison of executors for leaves, by how punctual timers on the runtime stay: fibers on the
//! runtime's threads, dedicated threads, and dedicated threads with a lower priority.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use frond_root::call::Limits;
use frond_root::{Event, EventKind, Listener};
use rustix::process::{Pid, setpriority_process};
use tokio::runtime::Runtime;

use crate::bench::Bench;
use crate::floor::{Floor, Meters};
use crate::machine::{cores, threads};
use crate::measure::quantile;
use crate::report::{Bound, figure, times};
use crate::rig::{Merge, Rig, runtime};
use crate::work::{QUERY, add_samples, partitions, spans};

/// Period of the timer task, and of a time slice.
const TICK: Duration = Duration::from_millis(1);
/// Samples of pi in a leaf: some milliseconds of work.
const SAMPLES: u64 = 1 << 20;

/// Measurement of one way to run leaves, for a given time.
type Executor = fn(&Bench, Duration) -> anyhow::Result<ExecutorRun>;

/// Measurements of one run: the timers' lateness in milliseconds, the number of leaves that ended,
/// and the run's length.
#[derive(Default)]
struct ExecutorRun {
    late: Vec<f64>,
    leaves: u64,
    seconds: f64,
}

pub(crate) fn run(bench: &mut Bench) -> anyhow::Result<()> {
    bench.report.section("Executors: timers on the runtime while every core runs leaves");
    let time = Duration::from_millis(if bench.quick { 500 } else { 2000 });
    let all: [Executor; 6] = [idle, whole, sliced, own, nice, batch];
    let mut seen = all.map(|_| ExecutorRun::default());
    for _ in 0..bench.rounds(4) {
        for (kind, seen) in all.iter().zip(&mut seen) {
            seen.add(kind(bench, time)?);
        }
    }
    let [idle, whole, sliced, own, nice, batch] = seen;
    let rate = |seen: &ExecutorRun| seen.leaves as f64 / seen.seconds;
    let row = |name: &str, seen: &ExecutorRun| {
        let at = |q| figure(quantile(seen.late.clone(), q));
        vec![name.to_owned(), at(0.5), at(0.99), at(1.0), times(rate(seen) / rate(&own))]
    };
    let rows = [
        row("no leaves", &idle),
        row("fibers on the runtime's threads, no time slices", &whole),
        row("fibers on the runtime's threads, slices of 1 ms", &sliced),
        row("own threads", &own),
        row("own threads, nice 19", &nice),
        row("own threads, nice 19, SCHED_BATCH", &batch),
    ];
    bench.report.table(&["a timer of 1 ms, late by", "p50 ms", "p99 ms", "worst ms", "leaves a second"], &rows);
    let late = quantile(own.late.clone(), 0.99);
    bench.report.target(
        "timers beside saturated slots, p99 (the runtime rounds up to 1 ms)",
        late,
        "ms",
        Bound::AtMost(5.0),
    );
    Ok(())
}

impl ExecutorRun {
    fn add(&mut self, more: Self) {
        self.late.extend(more.late);
        self.leaves += more.leaves;
        self.seconds += more.seconds;
    }
}

fn idle(_: &Bench, time: Duration) -> anyhow::Result<ExecutorRun> {
    watched(&runtime()?, time, |_| Ok(()))
}

fn whole(bench: &Bench, time: Duration) -> anyhow::Result<ExecutorRun> {
    fibers(bench, time, false)
}

fn sliced(bench: &Bench, time: Duration) -> anyhow::Result<ExecutorRun> {
    fibers(bench, time, true)
}

fn own(bench: &Bench, time: Duration) -> anyhow::Result<ExecutorRun> {
    own_threads(bench, time, &|_| Ok(()))
}

fn nice(bench: &Bench, time: Duration) -> anyhow::Result<ExecutorRun> {
    own_threads(bench, time, &|thread| Ok(setpriority_process(Pid::from_raw(thread), 19)?))
}

fn batch(bench: &Bench, time: Duration) -> anyhow::Result<ExecutorRun> {
    own_threads(bench, time, &|thread| {
        setpriority_process(Pid::from_raw(thread), 19)?;
        let set = Command::new("chrt").args(["-b", "-p", "0", &thread.to_string()]).status();
        set.context("chrt cannot be run")?.success().then_some(()).context("chrt failed")
    })
}

/// Measures a timer's lateness on `runtime` for `time`. `work` starts the background load, which
/// counts its leaves.
fn watched(
    runtime: &Runtime,
    time: Duration,
    work: impl FnOnce(Arc<Meanwhile>) -> anyhow::Result<()>,
) -> anyhow::Result<ExecutorRun> {
    let meanwhile = Arc::new(Meanwhile::default());
    work(meanwhile.clone())?;
    let start = Instant::now();
    let timer = runtime.spawn(async move {
        let mut late = Vec::new();
        while start.elapsed() < time {
            let due = Instant::now() + TICK;
            tokio::time::sleep_until(due.into()).await;
            late.push(due.elapsed().as_secs_f64() * 1e3);
        }
        late
    });
    let late = runtime.block_on(timer)?;
    let leaves = meanwhile.leaves.load(Ordering::SeqCst);
    meanwhile.stop.store(true, Ordering::SeqCst);
    Ok(ExecutorRun { late, leaves, seconds: start.elapsed().as_secs_f64() })
}

/// Background load of a run: its stop flag, and its count of ended leaves.
#[derive(Default)]
struct Meanwhile {
    stop: AtomicBool,
    leaves: AtomicU64,
}

/// Counts each leaf as it ends, rather than all of a query at once.
impl Listener for Meanwhile {
    fn event(&self, event: &Event) {
        if matches!(event.kind, EventKind::AttemptEnded { .. }) {
            self.leaves.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// Runs leaves as tasks on the runtime: one task a core, each running leaf after leaf. With
/// `slices` a leaf yields every [`TICK`].
fn fibers(bench: &Bench, time: Duration, slices: bool) -> anyhow::Result<ExecutorRun> {
    let runtime = runtime()?;
    let floor = Arc::new(Floor::new(&bench.guests.pi, Meters::Both, Limits::default())?);
    let task = Arc::new(spans(1, SAMPLES));
    watched(&runtime, time, |meanwhile| {
        if slices {
            let engine = floor.engine.clone();
            let stop = meanwhile.clone();
            std::thread::spawn(move || {
                while !stop.stop.load(Ordering::SeqCst) {
                    std::thread::sleep(TICK);
                    engine.increment_epoch();
                }
            });
        }
        for _ in 0..cores() {
            let floor = floor.clone();
            let task = task.clone();
            let meanwhile = meanwhile.clone();
            runtime.spawn(async move {
                while !meanwhile.stop.load(Ordering::SeqCst) {
                    for task in task.iter() {
                        if floor.leaf_on_fiber(&QUERY, task, slices).await.is_ok() {
                            meanwhile.leaves.fetch_add(1, Ordering::SeqCst);
                        }
                    }
                    tokio::task::yield_now().await;
                }
            });
        }
        Ok(())
    })
}

/// Runs leaves on as many slots as cores, saturated by queries. `prepare` gets the id of each slot
/// thread.
fn own_threads(
    bench: &Bench,
    time: Duration,
    prepare: &dyn Fn(i32) -> anyhow::Result<()>,
) -> anyhow::Result<ExecutorRun> {
    let others = threads("frond-leaf-");
    let rig = Arc::new(Rig::new(&bench.guests.pi, cores(), Limits::default())?);
    for thread in threads("frond-leaf-").into_iter().filter(|thread| !others.contains(thread)) {
        prepare(thread)?;
    }
    let mut asking = None;
    let seen = watched(&rig.runtime, time, |meanwhile| {
        let rig = rig.clone();
        asking = Some(std::thread::spawn(move || -> anyhow::Result<()> {
            let tasks = spans(32 * cores(), SAMPLES);
            while !meanwhile.stop.load(Ordering::SeqCst) {
                let request = rig.request(&QUERY);
                let merge = Merge::Native(add_samples);
                rig.answer(request, partitions(&tasks), merge, vec![meanwhile.clone()])?;
            }
            Ok(())
        }));
        Ok(())
    });
    if let Some(asking) = asking {
        asking.join().ok().context("the asking thread panicked")??;
    }
    seen
}
