//! Cost of metering and of the sandbox for CPU-bound leaves, compared with the same code compiled
//! natively.

use bytes::Bytes;
use frond_root::call::Limits;
use rayon::ThreadPool;
use rayon::prelude::*;
use wordcount::{Counts, scan};

use crate::bench::Bench;
use crate::floor::{Floor, Meters, Task};
use crate::machine::on_one_core;
use crate::measure::{Entrant, Series, rounds};
use crate::report::{Bound, ms, times};
use crate::rig::{Fold, Merge, Rig};
use crate::work::{QUERY, add_counts, add_samples, partitions, span, spans, texts};

/// Partitions of each kernel's work.
pub(crate) const PIECES: u32 = 16;

/// More fuel than any of these leaves uses.
const FUEL: u64 = 100_000_000_000;

/// One kernel, in wasm and natively.
struct Kernel<'a> {
    name: &'static str,
    component: &'a [u8],
    tasks: &'a [Task],
    fold: Fold,
    native: &'a dyn Fn(),
    native_pool: &'a dyn Fn(),
}

pub(crate) fn run(bench: &mut Bench) -> anyhow::Result<()> {
    bench.report.section("Compute: metered, unmetered and native");
    let pools = [pool(1)?, pool(2)?];
    words(bench, &pools)?;
    samples(bench, &pools)
}

pub(crate) fn pool(threads: usize) -> anyhow::Result<ThreadPool> {
    Ok(rayon::ThreadPoolBuilder::new().num_threads(threads).build()?)
}

/// Returns the size of each piece of text, in bytes.
pub(crate) fn piece(quick: bool) -> usize {
    if quick { 1 << 20 } else { 4 << 20 }
}

fn words(bench: &mut Bench, [one, two]: &[ThreadPool; 2]) -> anyhow::Result<()> {
    let tasks = texts(PIECES, piece(bench.quick), &crate::guests::top().join("examples/wordcount/data"))?;
    let component = bench.guests.wordcount.clone();
    let kernel = Kernel {
        name: "word count of 64 MiB in 16 pieces",
        component: &component,
        tasks: &tasks,
        fold: add_counts,
        native: &|| drop(count_natively(one, &tasks)),
        native_pool: &|| drop(count_natively(two, &tasks)),
    };
    measure(bench, &kernel)
}

/// Counts the words of all pieces natively, as one would with rayon: pieces in parallel, counts
/// merged in a tree.
pub(crate) fn count_natively(pool: &ThreadPool, tasks: &[Task]) -> Result<Counts, String> {
    let merge = |left, right| Counts::merge(vec![left, right]);
    pool.install(|| tasks.par_iter().map(|task| Ok(scan::count(&task.data))).try_reduce(Counts::default, merge))
}

fn samples(bench: &mut Bench, [one, two]: &[ThreadPool; 2]) -> anyhow::Result<()> {
    let each = if bench.quick { 250_000 } else { 1_250_000 };
    let tasks = spans(PIECES as usize, each);
    let component = bench.guests.pi.clone();
    let sample = |pool: &ThreadPool| {
        let one = |index| pi::sample(1, span(index, each));
        let sum = pool.install(|| (0..PIECES).into_par_iter().map(one).reduce(Default::default, |a, b| a.and(b)));
        std::hint::black_box(sum);
    };
    let kernel = Kernel {
        name: "2·10⁷ samples of pi in 16 pieces",
        component: &component,
        tasks: &tasks,
        fold: add_samples,
        native: &|| sample(one),
        native_pool: &|| sample(two),
    };
    measure(bench, &kernel)
}

fn measure(bench: &mut Bench, kernel: &Kernel<'_>) -> anyhow::Result<()> {
    one_thread(bench, kernel)?;
    two_threads(bench, kernel)
}

fn limits() -> Limits {
    Limits { fuel: FUEL, output: 8 << 20, ..Limits::default() }
}

fn unmetered() -> Limits {
    Limits { fuel: 0, ..limits() }
}

/// Runs the leaves one after the other over bare wasmtime, and merges their partials natively.
pub(crate) fn in_turn(floor: &Floor, tasks: &[Task], fold: Fold) -> anyhow::Result<Bytes> {
    let partials: anyhow::Result<Vec<Bytes>> = tasks.iter().map(|task| floor.leaf(&QUERY, task)).collect();
    fold(partials?)
}

fn one_thread(bench: &mut Bench, kernel: &Kernel<'_>) -> anyhow::Result<()> {
    let bare = |meters| Floor::new(kernel.component, meters, limits());
    let floors = [bare(Meters::Both)?, bare(Meters::Fuel)?, bare(Meters::Epoch)?, bare(Meters::None)?];
    let [both, fuel, epoch, none] = &floors;
    let rigs = [Rig::new(kernel.component, 1, limits())?, Rig::new(kernel.component, 1, unmetered())?];
    let [metered, plain] = &rigs;
    let floor = |name, floor| Entrant::new(name, move || in_turn(floor, kernel.tasks, kernel.fold).map(drop));
    let ask = |name, rig| Entrant::new(name, move || ask(rig, kernel, Merge::Native(kernel.fold)));
    let series = rounds(
        bench.rounds(9),
        [
            Entrant::new("native", || {
                (kernel.native)();
                Ok(())
            }),
            floor("bare wasmtime: no meter", none),
            floor("bare wasmtime: epoch", epoch),
            floor("bare wasmtime: fuel", fuel),
            floor("bare wasmtime: fuel and epoch", both),
            ask("Frond: epoch", plain),
            ask("Frond: fuel and epoch", metered),
        ],
    )?;
    table(bench, &format!("{}, one thread", kernel.name), &series);
    let [_, _, epoch, _, both, plain, metered] = &series;
    let report = &mut bench.report;
    let name = kernel.name;
    report.target(format!("{name}: over bare wasmtime, fuel and epoch"), metered.times(both), "×", Bound::AtMost(1.05));
    report.target(format!("{name}: over bare wasmtime, epoch"), plain.times(epoch), "×", Bound::AtMost(1.05));
    Ok(())
}

fn ask(rig: &Rig, kernel: &Kernel<'_>, merge: Merge) -> anyhow::Result<()> {
    rig.ask(&QUERY, partitions(kernel.tasks), merge).map(drop)
}

fn two_threads(bench: &mut Bench, kernel: &Kernel<'_>) -> anyhow::Result<()> {
    let rig = |slots, limits| Rig::new(kernel.component, slots, limits);
    let rigs = [rig(1, limits())?, rig(2, limits())?, rig(1, unmetered())?, rig(2, unmetered())?];
    let [one, two, one_plain, two_plain] = &rigs;
    let frond = |name, rig| Entrant::new(name, move || ask(rig, kernel, Merge::Component));
    let confined = |name, rig| Entrant::new(name, move || on_one_core(|| ask(rig, kernel, Merge::Component)));
    let series = rounds(
        bench.rounds(9),
        [
            Entrant::new("rayon, 2 threads", || {
                (kernel.native_pool)();
                Ok(())
            }),
            Entrant::new("rayon, 1 thread", || {
                (kernel.native)();
                Ok(())
            }),
            frond("Frond, 2 slots: fuel and epoch", two),
            frond("Frond, 1 slot: fuel and epoch", one),
            confined("Frond, 1 slot on one core: fuel and epoch", one),
            frond("Frond, 2 slots: epoch", two_plain),
            frond("Frond, 1 slot: epoch", one_plain),
            confined("Frond, 1 slot on one core: epoch", one_plain),
        ],
    )?;
    table(bench, &format!("{}, with its merges", kernel.name), &series);
    let [native, native_one, two, _, one, two_plain, _, one_plain] = &series;
    let report = &mut bench.report;
    let name = kernel.name;
    let mut efficiency = |meters, one: &Series, two| {
        let name = format!("{name}: efficiency of two cores, {meters}");
        report.target(name, one.times(two) / 2.0, "", Bound::AtLeast(0.95));
    };
    efficiency("metered", one, two);
    efficiency("unmetered", one_plain, two_plain);
    let of_native = native_one.times(native) / 2.0;
    report.note(&format!("Efficiency of two cores for native code in the same rounds: {of_native:.2}."));
    report.target(format!("{name}: over rayon, metered"), two.times(native), "×", Bound::AtMost(1.6));
    report.target(format!("{name}: over rayon, unmetered"), two_plain.times(native), "×", Bound::AtMost(1.25));
    Ok(())
}

fn table(bench: &Bench, title: &str, series: &[Series]) {
    let Some(base) = series.first() else { return };
    let row = |one: &Series| {
        vec![one.name.clone(), ms(one.wall()), ms(one.cpu()), times(one.times(base)), times(one.cpu_times(base))]
    };
    let rows: Vec<Vec<String>> = series.iter().map(row).collect();
    bench.report.table(&[title, "wall ms", "CPU ms", "wall ratio", "CPU ratio"], &rows);
}
