//! Waiting leaves: thousands that wait for 100 ms on two slots, what they hold, and what they take
//! from leaves that compute.

use std::thread;

use anyhow::{bail, ensure};
use bytes::Bytes;
use frond_root::Partition;
use frond_root::call::Limits;
use frond_sandbox::WaitLimits;

use crate::bench::Bench;
use crate::machine::resident;
use crate::measure::{Entrant, Series, rounds};
use crate::report::{Bound, figure, ms, times};
use crate::rig::{Merge, Rig, RigSettings};
use crate::work::{QUERY, add_samples, keep_first, partitions, spans};

/// Number of slots.
const SLOTS: usize = 2;
/// Number of leaves whose memory is measured while all of them wait.
const HELD: usize = 2000;
/// Query whose leaves wait for 100 ms each.
const WAIT: Bytes = Bytes::from_static(br#"{"fault": "sleep-ms:100"}"#);

pub(crate) fn run(bench: &mut Bench) -> anyhow::Result<()> {
    bench.report.section("Waiting leaves: 100 ms each, two slots");
    many(bench)?;
    beside(bench)
}

fn waits(count: usize) -> Vec<Partition> {
    (0..count).map(|number| Partition::new(format!("w{number}").as_str(), Bytes::new())).collect()
}

fn rig(guest: &[u8], leaves: usize) -> anyhow::Result<Rig> {
    let waiting = WaitLimits { leaves, memory: 8 << 30 };
    let settings = RigSettings { waiting, ..RigSettings::default() };
    Rig::with(guest, SLOTS, Limits::default(), settings)
}

/// Measures queries of waiting leaves, and the memory of each leaf.
fn many(bench: &mut Bench) -> anyhow::Result<()> {
    let most = if bench.quick { 1000 } else { 10_000 };
    let rig = rig(&bench.guests.faulty, most * 2 / SLOTS)?;
    // First, before memories have been used and given back.
    let each = held(&rig, HELD)?;
    let ask = |count: usize| rig.ask(&WAIT, waits(count), Merge::Native(keep_first)).map(drop);
    let series = rounds(
        bench.rounds(7),
        [Entrant::new("100", || ask(100)), Entrant::new("1,000", || ask(1000)), Entrant::new("10,000", || ask(most))],
    )?;
    let rows: Vec<_> = series.iter().map(|one| vec![one.name.clone(), ms(one.wall()), ms(one.cpu())]).collect();
    bench.report.table(&["leaves", "wall ms", "CPU ms"], &rows);
    bench.report.note(&format!("A waiting leaf holds {} KiB of resident memory, of {HELD}.", figure(each)));
    let [_, thousand, ten_thousand] = &series;
    bench.report.target("1,000 leaves that wait 100 ms", thousand.wall(), "s", Bound::AtMost(0.25));
    bench.report.target("10,000 leaves that wait 100 ms", ten_thousand.wall(), "s", Bound::AtMost(1.5));
    bench.report.target("resident memory of a waiting leaf", each, "KiB", Bound::AtMost(200.0));
    Ok(())
}

/// Returns the resident memory that a waiting leaf holds, in KiB: the most while many wait.
fn held(rig: &Rig, count: usize) -> anyhow::Result<f64> {
    const LONG: Bytes = Bytes::from_static(br#"{"fault": "sleep-ms:4000"}"#);
    let before = resident();
    let most = thread::scope(|scope| {
        let asked = scope.spawn(|| rig.ask(&LONG, waits(count), Merge::Native(keep_first)));
        let mut most: Option<f64> = None;
        while !asked.is_finished() {
            if rig.waiting() + SLOTS >= count {
                most = Some(most.unwrap_or(0.0).max(resident()));
            }
            thread::yield_now();
        }
        most
    });
    ensure!(most.is_some(), "the leaves never waited all at once");
    Ok((most.unwrap_or(before) - before) * 1024.0 / count as f64)
}

/// Measures computing leaves alone, and beside those of another app that wait.
fn beside(bench: &mut Bench) -> anyhow::Result<()> {
    let tasks = spans(if bench.quick { 200 } else { 4000 }, 200_000);
    let computing = rig(&bench.guests.pi, 1000)?;
    let waiting = computing.beside("waiting", &bench.guests.faulty)?;
    let compute = || computing.ask(&QUERY, partitions(&tasks), Merge::Native(add_samples)).map(drop);
    let both = || {
        thread::scope(|scope| {
            let asked = scope.spawn(|| waiting.ask(&WAIT, waits(1000), Merge::Native(keep_first)).map(drop));
            compute()?;
            asked.join().unwrap_or_else(|_| bail!("the waiting query was lost"))
        })
    };
    let series =
        rounds(bench.rounds(9), [Entrant::new("alone", compute), Entrant::new("beside 1,000 leaves that wait", both)])?;
    let [alone, both] = &series;
    let row = |one: &Series| vec![one.name.clone(), ms(one.wall()), times(one.times(alone))];
    bench.report.table(&["4,000 computing leaves", "wall ms", "wall ratio"], &[row(alone), row(both)]);
    let slower = both.times(alone);
    bench.report.target("computing leaves beside waiting ones", slower, "×", Bound::AtMost(1.05));
    Ok(())
}
