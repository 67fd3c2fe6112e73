//! Scaling from one slot to two, and the system calls and page faults of a leaf: a leaf that
//! changes a page table interrupts the other cores.

use std::process::Command;
use std::thread;

use anyhow::{Context, ensure};
use bytes::Bytes;
use frond_root::Partition;
use frond_root::call::Limits;

use crate::bench::Bench;
use crate::floor::{Floor, Meters, Task};
use crate::guests::Guests;
use crate::machine::page_faults;
use crate::measure::{Entrant, Series, rounds};
use crate::report::{Bound, figure, times, us};
use crate::rig::{Merge, Rig};
use crate::work::{QUERY, add_samples, keep_first, partitions, spans};

/// The hidden verb under which this program runs leaves for `strace` to watch.
pub(crate) const CHILD: &str = "run-leaves";

/// Samples of pi that take about a millisecond in a metered guest.
pub(crate) const MILLISECOND: u64 = 250_000;

pub(crate) fn run(bench: &mut Bench) -> anyhow::Result<()> {
    bench.report.section("Scaling: one slot and two");
    let count = if bench.quick { 500 } else { 4000 };
    measure(bench, "trivial leaves", spans(count, 1))?;
    measure(bench, "leaves of about 1 ms", spans(count / 10, MILLISECOND))?;
    kernel(bench)
}

fn measure(bench: &mut Bench, name: &str, tasks: Vec<Task>) -> anyhow::Result<()> {
    let floor = || Floor::new(&bench.guests.pi, Meters::Both, Limits::default());
    let shared = floor()?;
    let own = [floor()?, floor()?];
    let [own_first, own_second] = &own;
    let rigs = [1, 2].map(|slots| Rig::new(&bench.guests.pi, slots, Limits::default()));
    let [one, two] = rigs;
    let one = one?;
    let two = two?;
    let ask = |rig: &Rig, merge| rig.ask(&QUERY, partitions(&tasks), merge).map(drop);
    let native = Merge::Native(add_samples);
    let series = rounds(
        bench.rounds(15),
        [
            Entrant::new("bare wasmtime, 1 thread", || on_threads(&[&shared], &tasks)),
            Entrant::new("bare wasmtime, 2 threads", || on_threads(&[&shared, &shared], &tasks)),
            Entrant::new("bare wasmtime, 2 threads, an engine each", || on_threads(&[own_first, own_second], &tasks)),
            Entrant::new("Frond, 1 slot, merge native", || ask(&one, native)),
            Entrant::new("Frond, 2 slots, merge native", || ask(&two, native)),
            Entrant::new("Frond, 1 slot, merge component", || ask(&one, Merge::Component)),
            Entrant::new("Frond, 2 slots, merge component", || ask(&two, Merge::Component)),
        ],
    )?;
    let [bare_one, bare_two, _, native_one, native_two, full_one, full_two] = &series;
    let each = |seconds: f64| us(seconds / tasks.len() as f64);
    let row = |(one, base): (&Series, &Series)| {
        vec![one.name.clone(), each(one.wall()), each(one.cpu()), times(base.times(one))]
    };
    let bases = [bare_one, bare_one, bare_one, native_one, native_one, full_one, full_one];
    let rows: Vec<Vec<String>> = series.iter().zip(bases).map(row).collect();
    bench.report.table(&[name, "wall µs/leaf", "CPU µs/leaf", "throughput"], &rows);
    let report = &mut bench.report;
    report.target(format!("{name}: 2 threads of bare wasmtime"), bare_one.times(bare_two), "×", Bound::AtLeast(1.7));
    report.target(format!("{name}: 2 slots"), native_one.times(native_two), "×", Bound::AtLeast(1.7));
    report.target(format!("{name}: 2 slots, with merges"), full_one.times(full_two), "×", Bound::AtLeast(1.7));
    Ok(())
}

/// Runs the leaves on one thread for each of `floors`. Each thread gets an equal share.
pub(crate) fn on_threads(floors: &[&Floor], tasks: &[Task]) -> anyhow::Result<()> {
    thread::scope(|scope| {
        let mut running = Vec::new();
        for (part, floor) in tasks.chunks(tasks.len().div_ceil(floors.len())).zip(floors) {
            running.push(scope.spawn(move || part.iter().try_for_each(|task| floor.leaf(&QUERY, task).map(drop))));
        }
        running.into_iter().try_for_each(|one| one.join().ok().context("a thread panicked")?)
    })
}

/// Measures the system calls and page faults of a leaf. System calls are the difference between a
/// long run and a short one.
fn kernel(bench: &mut Bench) -> anyhow::Result<()> {
    let rig = Rig::new(&bench.guests.pi, 1, Limits::default())?;
    let tasks = spans(1000, 1);
    let ask = || rig.ask(&QUERY, partitions(&tasks), Merge::Native(add_samples)).map(drop);
    ask()?;
    let before = page_faults();
    ask()?;
    let faults = (page_faults() - before) as f64 / tasks.len() as f64;
    bench.report.note(&format!("Page faults a leaf: {}.", figure(faults)));
    let (Some(all), Some(changing)) = (calls_a_leaf(None)?, calls_a_leaf(Some(CHANGING))?) else {
        bench.report.note("System calls a leaf: skipped, as strace is not here or may not trace.");
        return Ok(());
    };
    let others = all.into_iter().filter(|(name, _)| !CHANGING.split(',').any(|one| one == name));
    let counts: Vec<_> = others.chain(changing.iter().cloned()).filter(|(_, each)| *each >= 0.01).collect();
    let rows: Vec<_> = counts.into_iter().map(|(name, each)| vec![name, figure(each)]).collect();
    bench.report.table(&["system call", "a leaf"], &rows);
    let each = changing.iter().map(|(_, each)| each).sum();
    bench.report.target("calls that change page tables, a trivial leaf", each, "", Bound::AtMost(0.01));
    Ok(())
}

/// Numbers of leaves in the short and the long run. The difference is so large that the variation
/// of a start hardly matters.
const LEAVES: [usize; 2] = [1000, 21_000];
/// System calls that change page tables.
const CHANGING: &str = "mprotect,madvise,munmap,mmap";

/// Counts the system calls of a trivial leaf, by name; with `only`, just those. `None` if strace is
/// not available.
///
/// Tracing slows a run down. An allocator that returns memory after a delay would then do so in the
/// middle of the run, so the calls that change page tables are traced alone.
fn calls_a_leaf(only: Option<&str>) -> anyhow::Result<Option<Vec<(String, f64)>>> {
    let [less, more] = LEAVES.map(|leaves| system_calls(leaves, only));
    let (Some(few), Some(many)) = (less?, more?) else { return Ok(None) };
    let each = |(name, count): (String, u64)| {
        let less = few.iter().find(|(other, _)| *other == name).map_or(0, |(_, count)| *count);
        (name, count.saturating_sub(less) as f64 / (LEAVES[1] - LEAVES[0]) as f64)
    };
    Ok(Some(many.into_iter().map(each).collect()))
}

/// Counts the system calls (or just those of `only`) of a process that runs `leaves` trivial
/// leaves, by name.
fn system_calls(leaves: usize, only: Option<&str>) -> anyhow::Result<Option<Vec<(String, u64)>>> {
    let summary = tempfile::NamedTempFile::new()?;
    let mut strace = Command::new("strace");
    if let Some(only) = only {
        strace.args(["--seccomp-bpf", "-e", &format!("trace={only}")]);
    }
    strace.args(["-f", "-c", "-o"]).arg(summary.path()).arg(std::env::current_exe()?);
    let Ok(ran) = strace.args([CHILD, &leaves.to_string()]).output() else { return Ok(None) };
    if !ran.status.success() {
        return Ok(None);
    }
    let text = std::fs::read_to_string(summary.path())?;
    let counts = text.lines().filter_map(|line| {
        let mut fields = line.split_whitespace();
        let calls = fields.nth(3)?.parse().ok()?;
        let name = fields.next_back()?;
        (name != "total").then(|| (name.to_owned(), calls))
    });
    Ok(Some(counts.collect()))
}

/// Runs leaves on one slot, and nothing else: `leaves` trivial leaves, or `leaves` leaves that each
/// pull `mib` MiB.
pub(crate) fn child(arguments: &[String]) -> anyhow::Result<()> {
    let number = |at: usize| arguments.get(at).map(|text| text.parse::<usize>()).transpose();
    let leaves = number(0)?.context("how many leaves?")?;
    ensure!(leaves <= 1_000_000, "too many leaves");
    let guests = Guests::build()?;
    match number(1)? {
        None => {
            let rig = Rig::new(&guests.pi, 1, Limits::default())?;
            rig.ask(&QUERY, partitions(&spans(leaves, 1)), Merge::Native(add_samples)).map(drop)
        }
        Some(mib) => {
            let rig = Rig::new(&guests.intake_pull, 1, Limits::default())?;
            let data = Bytes::from(vec![7; mib << 20]);
            let plan = (0..leaves).map(|index| Partition::new(format!("{index}"), data.clone()));
            rig.ask(&QUERY, plan.collect(), Merge::Native(keep_first)).map(drop)
        }
    }
}
