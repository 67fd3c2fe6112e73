//! Comparison of engine settings with those that Frond uses.

use anyhow::ensure;
use bytes::Bytes;
use frond_root::call::Limits;
use wasmtime::{Config, Inlining, OptLevel, RegallocAlgorithm};

use crate::bench::Bench;
use crate::compute::{PIECES, in_turn, piece};
use crate::floor::{Floor, Meters, Task, config, keeping};
use crate::measure::{Entrant, Series, rounds};
use crate::report::{times, us};
use crate::rig::Fold;
use crate::work::{add_counts, add_samples, keep_first, spans, texts};

/// Change of the engine's settings: its name, the meters that it leaves on, and its function.
type Change = (&'static str, Meters, fn(&mut Config));

const CHANGES: [Change; 8] = [
    ("as it is: both meters", Meters::Both, |_| {}),
    ("epoch only", Meters::Epoch, |_| {}),
    ("no meter", Meters::None, |_| {}),
    ("optimised for size, too", Meters::Both, |config| {
        config.cranelift_opt_level(OptLevel::SpeedAndSize);
    }),
    ("one pass of register allocation", Meters::Both, |config| {
        config.cranelift_regalloc_algorithm(RegallocAlgorithm::SinglePass);
    }),
    ("inlining between modules", Meters::Both, |config| {
        config.compiler_inlining(Inlining::Yes);
    }),
    ("explicit bounds checks", Meters::Both, |config| {
        config.memory_reservation(64 << 20).memory_guard_size(0);
    }),
    ("no backtraces", Meters::Both, |config| {
        config.wasm_backtrace_max_frames(None).generate_address_map(false);
    }),
];

pub(crate) fn run(bench: &mut Bench) -> anyhow::Result<()> {
    bench.report.section("Settings of the engine, one thread");
    let texts = texts(PIECES, piece(bench.quick), &crate::guests::top().join("examples/wordcount/data"))?;
    let words = bench.guests.wordcount.clone();
    let pi = bench.guests.pi.clone();
    table(bench, "word count", &words, &texts, add_counts)?;
    table(bench, "samples of pi", &pi, &spans(PIECES as usize, 250_000), add_samples)?;
    table(bench, "1,000 trivial leaves", &pi, &spans(1000, 1), add_samples)?;
    keep_resident(bench)
}

/// Compares amounts of linear memory that stay resident in a pool slot.
fn keep_resident(bench: &mut Bench) -> anyhow::Result<()> {
    let guests = &bench.guests;
    let list = guests.intake_list.clone();
    let pull = guests.intake_pull.clone();
    let pi = guests.pi.clone();
    let intake = |mib: usize, count: u32| -> Vec<Task> {
        let data = Bytes::from(vec![7; mib << 20]);
        (0..count).map(|index| Task { key: format!("{index}"), index, data: data.clone() }).collect()
    };
    keep_table(bench, "trivial leaves", &pi, &spans(1000, 1))?;
    keep_table(bench, "a list of 256 KiB", &list, &intake(1, 200).into_iter().map(quarter).collect::<Vec<_>>())?;
    keep_table(bench, "a list of 1 MiB", &list, &intake(1, 200))?;
    keep_table(bench, "a list of 4 MiB", &list, &intake(4, 50))?;
    keep_table(bench, "a list of 16 MiB", &list, &intake(16, 12))?;
    let mixed: Vec<Task> = intake(16, 1).into_iter().chain(intake(0, 100)).collect();
    keep_table(bench, "one list of 16 MiB, then 100 empty ones", &list, &mixed)?;
    keep_table(bench, "1 MiB pulled", &pull, &intake(1, 200))?;
    keep_table(bench, "64 MiB pulled", &pull, &intake(64, 4))
}

fn quarter(task: Task) -> Task {
    Task { data: task.data.slice(..task.data.len() / 4), ..task }
}

fn keep_table(bench: &mut Bench, title: &str, component: &[u8], tasks: &[Task]) -> anyhow::Result<()> {
    let limits = Limits { memory: 256 << 20, partition: 128 << 20, ..Limits::default() };
    let sizes = [64 << 10, 1 << 20, 1280 << 10, 2 << 20, 4 << 20, 32 << 20];
    let mut floors = Vec::new();
    for keep in sizes {
        floors.push(Floor::with(&keeping(keep, Meters::Both, &limits), component, Meters::Both, limits)?);
    }
    let mut floors = floors.iter();
    let entrants = sizes.map(|keep| {
        let floor = floors.next();
        Entrant::new(format!("{title}, {} KiB kept", keep >> 10), move || match floor {
            Some(floor) => in_turn(floor, tasks, keep_first).map(drop),
            None => Ok(()),
        })
    });
    let series = rounds(bench.rounds(9), entrants)?;
    report(bench, title, tasks.len(), &series);
    Ok(())
}

fn report(bench: &Bench, title: &str, leaves: usize, series: &[Series]) {
    let Some(base) = series.first() else { return };
    let each = |seconds: f64| us(seconds / leaves as f64);
    let row = |one: &Series| vec![one.name.clone(), each(one.wall()), each(one.cpu()), times(one.cpu_times(base))];
    let rows: Vec<Vec<String>> = series.iter().map(row).collect();
    bench.report.table(&[title, "wall µs/leaf", "CPU µs/leaf", "CPU ratio"], &rows);
}

fn table(bench: &mut Bench, title: &str, component: &[u8], tasks: &[Task], fold: Fold) -> anyhow::Result<()> {
    let limits = Limits { fuel: 100_000_000_000, output: 8 << 20, ..Limits::default() };
    let floors = CHANGES.map(|(name, meters, change)| {
        let mut changed = config(meters, &limits);
        change(&mut changed);
        (name, Floor::with(&changed, component, meters, limits))
    });
    for (name, floor) in &floors {
        ensure!(floor.is_ok(), "{name}: {:?}", floor.as_ref().err());
    }
    let entrants = floors.each_ref().map(|(name, floor)| {
        Entrant::new(*name, move || match floor {
            Ok(floor) => in_turn(floor, tasks, fold).map(drop),
            Err(_) => Ok(()),
        })
    });
    let series = rounds(bench.rounds(9), entrants)?;
    report(bench, title, tasks.len(), &series);
    Ok(())
}
