//! Overhead of a leaf beyond the floor, and whether it stays constant for many leaves.

use std::sync::{Arc, Mutex};

use frond_root::call::Limits;
use frond_root::sync::lock;
use frond_root::{Event, Listener};

use crate::bench::Bench;
use crate::floor::{Floor, Meters, poll_on};
use crate::machine::resident;
use crate::measure::{Entrant, Series, rounds};
use crate::report::{Bound, times, us};
use crate::rig::{Merge, Rig};
use crate::work::{QUERY, add_samples, partitions, spans};

/// Number of leaves that are compared with the floor.
const LEAVES: usize = 1000;

pub(crate) fn run(bench: &mut Bench) -> anyhow::Result<()> {
    bench.report.section("Overhead: trivial leaves, one slot");
    against_floor(bench)?;
    recorded(bench)?;
    flat(bench)
}

/// Listener that stores every event, as a recording does.
#[derive(Default)]
struct Recording(Mutex<Vec<Event>>);

impl Listener for Recording {
    fn event(&self, event: &Event) {
        lock(&self.0).push(event.clone());
    }
}

/// Measures the cost of recording a query.
fn recorded(bench: &mut Bench) -> anyhow::Result<()> {
    let tasks = spans(LEAVES, 1);
    let rig = Rig::new(&bench.guests.pi, 1, Limits::default())?;
    let recording = Arc::new(Recording::default());
    let ask = |listeners| rig.answer(rig.request(&QUERY), partitions(&tasks), Merge::Component, listeners).map(drop);
    let series = rounds(
        bench.rounds(40),
        [
            Entrant::new("nobody listens", || ask(Vec::new())),
            Entrant::new("every event is kept", || {
                lock(&recording.0).clear();
                ask(vec![recording.clone()])
            }),
        ],
    )?;
    let [quiet, heard] = &series;
    let events = lock(&recording.0).len();
    let row = |one: &Series| vec![one.name.clone(), us(one.wall() / LEAVES as f64), times(one.times(quiet))];
    bench.report.table(&["1,000 leaves", "wall µs/leaf", "wall ratio"], &[row(quiet), row(heard)]);
    let each = (heard.wall() - quiet.wall()).max(0.0) / events.max(1) as f64;
    bench.report.note(&format!(
        "{events} events; each costs {} µs, {} % of a leaf.",
        us(each),
        crate::report::figure(100.0 * each * LEAVES as f64 / quiet.wall())
    ));
    Ok(())
}

fn against_floor(bench: &mut Bench) -> anyhow::Result<()> {
    let tasks = spans(LEAVES, 1);
    let floor = Floor::new(&bench.guests.pi, Meters::Both, Limits::default())?;
    let rig = Rig::new(&bench.guests.pi, 1, Limits::default())?;
    let ask = |merge| rig.ask(&QUERY, partitions(&tasks), merge).map(drop);
    let series = rounds(
        bench.rounds(40),
        [
            Entrant::new("floor, synchronous", || tasks.iter().try_for_each(|task| floor.leaf(&QUERY, task).map(drop))),
            Entrant::new("floor, on a fiber", || {
                let each = |task| poll_on(floor.leaf_on_fiber(&QUERY, task, false)).map(drop);
                tasks.iter().try_for_each(each)
            }),
            Entrant::new("Frond, merge native", || ask(Merge::Native(add_samples))),
            Entrant::new("Frond, merge component", || ask(Merge::Component)),
        ],
    )?;
    let [floor, _, native, component] = &series;
    let row = |one: &Series| {
        let each = |seconds: f64| us(seconds / LEAVES as f64);
        vec![one.name.clone(), each(one.wall()), each(one.cpu()), times(one.times(floor)), times(one.cpu_times(floor))]
    };
    bench.report.table(
        &["1,000 leaves", "wall µs/leaf", "CPU µs/leaf", "wall ratio", "CPU ratio"],
        &series.iter().map(row).collect::<Vec<_>>(),
    );
    bench.report.target("a leaf over the floor, wall (aim 1.1)", native.times(floor), "×", Bound::AtMost(1.3));
    bench.report.target("the same with its merges", component.times(floor), "×", Bound::AtMost(1.3));
    Ok(())
}

/// Measures the cost of a leaf in queries of 0 to 10,000 leaves. The query without leaves shows a
/// query's fixed cost (its tasks, its finish).
fn flat(bench: &mut Bench) -> anyhow::Result<()> {
    let most = if bench.quick { 2000 } else { 10_000 };
    let counts = [0, 100, 1000, most];
    let plans = counts.map(|count| spans(count, 1));
    let rig = Rig::new(&bench.guests.pi, 1, Limits::default())?;
    let mut memory = [0.0_f64; 4];
    let entrants = |merge: Merge| {
        let mut slots = plans.iter().zip(counts);
        counts.map(|_| {
            let (plan, count) = slots.next().unwrap_or((&plans[0], 0));
            let rig = &rig;
            Entrant::new(format!("{count}"), move || rig.ask(&QUERY, partitions(plan), merge).map(drop))
        })
    };
    let native = rounds(bench.rounds(15), entrants(Merge::Native(add_samples)))?;
    let component = rounds(bench.rounds(15), entrants(Merge::Component))?;
    for (plan, memory) in plans.iter().zip(&mut memory) {
        rig.ask(&QUERY, partitions(plan), Merge::Component)?;
        *memory = resident();
    }
    let mut rows = Vec::new();
    for ((native, component), (count, memory)) in native.iter().zip(&component).zip(counts.iter().zip(memory)) {
        let each = |one: &Series| if *count == 0 { "–".to_owned() } else { us(one.wall() / *count as f64) };
        let whole = |one: &Series| crate::report::ms(one.wall());
        rows.push(vec![
            native.name.clone(),
            whole(native),
            each(native),
            whole(component),
            each(component),
            format!("{memory:.0}"),
        ]);
    }
    bench.report.table(
        &["leaves", "ms, merge native", "µs/leaf", "ms, merge component", "µs/leaf", "resident MiB after"],
        &rows,
    );
    let [_, few, _, many] = &native;
    let [_, few_full, _, many_full] = &component;
    let per_leaf = |few: &Series, many: &Series| many.times(few) * 100.0 / most as f64;
    let report = &mut bench.report;
    report.target("per leaf at 10,000 over that at 100, merge native", per_leaf(few, many), "×", Bound::AtMost(1.1));
    report.target("the same, merge component", per_leaf(few_full, many_full), "×", Bound::AtMost(1.1));
    let growth = memory.last().unwrap_or(&0.0) - memory.get(1).unwrap_or(&0.0);
    report.target("resident memory, 10,000 leaves against 100", growth, "MiB more", Bound::AtMost(16.0));
    Ok(())
}
