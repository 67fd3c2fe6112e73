//! Settings of the engine beside those that Frond uses, to see what each is worth.

use anyhow::ensure;
use frond_sandbox::Limits;
use wasmtime::{Config, Inlining, OptLevel, RegallocAlgorithm};

use crate::Bench;
use crate::compute::{PIECES, in_turn, piece};
use crate::floor::{Floor, Meters, Task, config};
use crate::measure::{Entrant, Series, rounds};
use crate::report::{ms, times};
use crate::rig::Fold;
use crate::work::{add_counts, add_samples, spans, texts};

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
    let (words, pi) = (bench.guests.wordcount.clone(), bench.guests.pi.clone());
    table(bench, "word count", &words, &texts, add_counts)?;
    table(bench, "samples of pi", &pi, &spans(PIECES as usize, 250_000), add_samples)?;
    table(bench, "1,000 trivial leaves", &pi, &spans(1000, 1), add_samples)
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
    let [base, ..] = &series;
    let row = |one: &Series| vec![one.name.clone(), ms(one.wall()), ms(one.cpu()), times(one.cpu_times(base))];
    let rows: Vec<Vec<String>> = series.iter().map(row).collect();
    bench.report.table(&[title, "wall ms", "CPU ms", "CPU ratio"], &rows);
    Ok(())
}
