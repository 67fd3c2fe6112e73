//! Leaves that take their partition in pieces: what the pieces cost a leaf that is not cut, and how
//! close cuts come to the bound when one partition is much longer than the others.

use std::fs;

use anyhow::Context;
use frond_root::call::Limits;

use crate::bench::Bench;
use crate::floor::Task;
use crate::guests::top;
use crate::measure::{Entrant, Series, median, rounds};
use crate::report::{Bound, ms, times};
use crate::rig::{Merge, Rig};
use crate::work::{QUERY, add_samples, partitions, span, spans};

/// Samples of the partition that is not cut.
const SAMPLES: u64 = 40_000_000;
/// Number of slots where partitions are cut.
const SLOTS: usize = 2;
/// Number of partitions beside the long one.
const OTHERS: u32 = 10;
/// Length of the long partition, in those of the others.
const LONGER: u64 = 10;

pub(crate) fn run(bench: &mut Bench) -> anyhow::Result<()> {
    let whole = top().join("host/sandbox/tests/fixtures/0.1.0/pi.wasm");
    let whole = fs::read(&whole).with_context(|| format!("cannot read `{}`", whole.display()))?;
    bench.report.section("Pieces: samples of pi, taken whole and in pieces");
    uncut(bench, &whole)?;
    skewed(bench, &whole)
}

/// Measures one partition on one slot: there is nobody to cut it for.
fn uncut(bench: &mut Bench, whole: &[u8]) -> anyhow::Result<()> {
    let tasks = spans(1, if bench.quick { SAMPLES / 20 } else { SAMPLES });
    let whole = Rig::new(whole, 1, limits())?;
    let pieces = Rig::new(&bench.guests.pi, 1, limits())?;
    let ask = |rig: &Rig| rig.ask(&QUERY, partitions(&tasks), Merge::Native(add_samples)).map(drop);
    let series =
        rounds(bench.rounds(15), [Entrant::new("whole", || ask(&whole)), Entrant::new("in pieces", || ask(&pieces))])?;
    let [whole, pieces] = &series;
    let row = |one: &Series| vec![one.name.clone(), ms(one.wall()), ms(one.cpu()), times(one.times(whole))];
    bench.report.table(&["one partition, one slot", "wall ms", "CPU ms", "wall ratio"], &[row(whole), row(pieces)]);
    bench.report.target(
        "a leaf in pieces that is not cut, over one that is whole",
        pieces.times(whole),
        "×",
        Bound::AtMost(1.01),
    );
    Ok(())
}

/// Measures partitions of which one is much longer than the others.
fn skewed(bench: &mut Bench, whole: &[u8]) -> anyhow::Result<()> {
    let tasks = skew(if bench.quick { 100_000 } else { 2_000_000 });
    let whole = Rig::new(whole, SLOTS, limits())?;
    let pieces = Rig::new(&bench.guests.pi, SLOTS, limits())?;
    let mut rows = Vec::new();
    let mut reached = Vec::new();
    for (name, rig) in [("whole", &whole), ("in pieces", &pieces)] {
        let mut ratios = Vec::new();
        let mut walls = Vec::new();
        let mut cuts = Vec::new();
        for _ in 0..bench.rounds(15) {
            let answer = rig.answer(rig.request(&QUERY), partitions(&tasks), Merge::Native(add_samples), Vec::new())?;
            let coverage = answer.coverage();
            let bound = coverage.timings.leaf_used / SLOTS as f64;
            ratios.push(coverage.timings.gather / bound);
            walls.push(coverage.timings.gather);
            cuts.push(coverage.attempts.cuts as f64);
        }
        let ratio = median(ratios.into_iter());
        let cuts = median(cuts.into_iter());
        rows.push(vec![
            name.to_owned(),
            format!("{:.1}", median(walls.into_iter())),
            times(ratio),
            format!("{cuts:.0}"),
        ]);
        reached.push(ratio);
    }
    bench.report.table(&["one partition ten times the others", "gather ms", "over the bound", "cuts"], &rows);
    bench.report.note("The bound is half of the time that the leaves have taken in the same run.");
    let last = reached.last().copied().unwrap_or(f64::NAN);
    bench.report.target("one partition ten times the others, in pieces, over the bound", last, "×", Bound::AtMost(1.1));
    Ok(())
}

/// Limits with fuel for the longest partition.
fn limits() -> Limits {
    Limits { fuel: 100_000_000_000, ..Limits::default() }
}

/// Makes partitions of `samples` each, and last one that is longer.
fn skew(samples: u64) -> Vec<Task> {
    let mut tasks = spans(OTHERS as usize, samples);
    let begin = span(OTHERS, samples).start;
    let end = begin.saturating_add_unsigned(samples * LONGER);
    let data = format!("{{\"start\":{begin},\"end\":{end}}}").into();
    tasks.push(Task { key: "long".to_owned(), index: OTHERS, data });
    tasks
}
