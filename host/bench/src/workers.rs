//! Leaves on workers: the cost of an attempt beyond its leaf, what worker processes cost and buy,
//! and how soon lost work runs elsewhere.

mod apps;
mod faults;
mod peers;

use anyhow::Context;
use frond_testkit::Nats;

use crate::bench::Bench;
use crate::compute::{PIECES, count_natively, piece, pool};
use crate::measure::{Entrant, Series, rounds};
use crate::report::{Bound, ms, times, us};
use crate::work::span;
use apps::{Crewed, HostWorker, Place};

pub(crate) use apps::{CHILD, child};

/// Partitions of one sample of pi each.
const TRIVIAL: usize = 20_000;
/// Samples of pi that take about a millisecond.
const MILLISECOND: u64 = 150_000;

pub(crate) fn run(bench: &mut Bench) -> anyhow::Result<()> {
    bench.report.section("Workers: leaves in other processes");
    let nats = Nats::start().context("nats-server is missing (make broker-tools)")?;
    let own = attempts(bench, &nats)?;
    milliseconds(bench)?;
    computing(bench)?;
    faults::run(bench, &nats)?;
    peers::run(bench, own)
}

/// Cost of an attempt beyond its leaf, where leaves are so short that nothing hides it. Returns the
/// seconds of an attempt on two workers behind the broker.
fn attempts(bench: &mut Bench, nats: &Nats) -> anyhow::Result<f64> {
    let count = if bench.quick { TRIVIAL / 10 } else { TRIVIAL };
    let query = apps::SEED;
    let source = apps::range(count as u64, 1);
    let pi = &bench.guests.pi;
    let alone = Crewed::new(pi, &source, Place::Slots(1))?;
    let process = Crewed::new(pi, &source, Place::Processes(1))?;
    let _worker = HostWorker::start(nats, "one")?;
    let host = Crewed::new(pi, &source, Place::Broker(nats.url()))?;
    let series = rounds(
        bench.rounds(9),
        [
            Entrant::new("a slot of the root", || alone.ask(query)),
            Entrant::new("a worker process", || process.ask(query)),
            Entrant::new("a worker behind NATS", || host.ask(query)),
        ],
    )?;
    let each = |one: &Series| one.wall() / count as f64;
    let [base, ..] = &series;
    let row =
        |one: &Series| vec![one.name.clone(), us(each(one)), us(each(one) - each(base)), us(one.cpu() / count as f64)];
    let rows: Vec<_> = series.iter().map(row).collect();
    bench.report.table(
        &["trivial leaves on one slot", "µs an attempt", "µs beyond the root's slot", "CPU µs of the root"],
        &rows,
    );
    let [base, _, host] = &series;
    let beyond = (each(host) - each(base)) * 1e6;
    bench.report.target("an attempt on a worker behind NATS, beyond the root's slot", beyond, "µs", Bound::AtMost(2.0));
    let _second = HostWorker::start(nats, "two")?;
    let both = Crewed::new(pi, &source, Place::Broker(nats.url()))?;
    let [both] = rounds(bench.rounds(9), [Entrant::new("two workers behind NATS", || both.ask(query))])?;
    Ok(each(&both))
}

/// Two worker processes against two slots, with leaves of a millisecond.
fn milliseconds(bench: &mut Bench) -> anyhow::Result<()> {
    let count: u64 = if bench.quick { 100 } else { 1_000 };
    let source = apps::range(count * MILLISECOND, MILLISECOND);
    let slots = Crewed::new(&bench.guests.pi, &source, Place::Slots(2))?;
    let processes = Crewed::new(&bench.guests.pi, &source, Place::Processes(2))?;
    let query = apps::SEED;
    let series = rounds(
        bench.rounds(9),
        [Entrant::new("two slots", || slots.ask(query)), Entrant::new("two worker processes", || processes.ask(query))],
    )?;
    table(bench, &format!("{count} leaves of about a millisecond"), &series);
    let [slots, processes] = &series;
    let ratio = processes.times(slots);
    bench.report.target(
        "leaves of a millisecond in two worker processes, over two slots",
        ratio,
        "×",
        Bound::AtMost(1.15),
    );
    Ok(())
}

/// Gain by processes: leaves that nothing interrupts and that still keep their deadlines.
fn computing(bench: &mut Bench) -> anyhow::Result<()> {
    let [one, two] = [pool(1)?, pool(2)?];
    let each: u64 = if bench.quick { 250_000 } else { 1_250_000 };
    let range = apps::range(u64::from(PIECES) * each, each);
    let clock = Crewed::new(&bench.guests.pi, &format!("{range}{}", apps::UNMETERED), Place::Slots(1))?;
    let isolated = Crewed::new(&bench.guests.pi, &format!("{range}{}", apps::UNMETERED), Place::Isolated(1))?;
    let native = || {
        one.install(|| {
            for index in 0..PIECES {
                std::hint::black_box(pi::sample(1, span(index, each)));
            }
        });
        Ok(())
    };
    let series = rounds(
        bench.rounds(9),
        [
            Entrant::new("native, 1 thread", native),
            Entrant::new("a slot: looks at the clock", || clock.ask(apps::SEED)),
            Entrant::new("an isolated process: looks at nothing", || isolated.ask(apps::SEED)),
        ],
    )?;
    table(bench, "2·10⁷ samples of pi in 16 pieces", &series);
    let [native, _, isolated] = &series;
    bench.report.target("pi in an isolated process, over native", isolated.times(native), "×", Bound::AtMost(0.9));
    words(bench, &two)
}

fn words(bench: &mut Bench, two: &rayon::ThreadPool) -> anyhow::Result<()> {
    let data = crate::guests::top().join("examples/wordcount/data");
    let tasks = crate::work::texts(PIECES, piece(bench.quick), &data)?;
    let folder = apps::texts(&tasks)?;
    let source = apps::files(folder.path());
    let isolated = Crewed::new(&bench.guests.wordcount, &format!("{source}{}", apps::UNMETERED), Place::Isolated(2))?;
    let slots = Crewed::new(&bench.guests.wordcount, &format!("{source}{}", apps::UNMETERED), Place::Slots(2))?;
    let series = rounds(
        bench.rounds(9),
        [
            Entrant::new("rayon, 2 threads", || count_natively(two, &tasks).map(drop).map_err(anyhow::Error::msg)),
            Entrant::new("two slots: look at the clock", || slots.ask("{}")),
            Entrant::new("two isolated processes: look at nothing", || isolated.ask("{}")),
        ],
    )?;
    table(bench, "word count of 64 MiB in 16 files", &series);
    let [native, _, isolated] = &series;
    bench.report.target(
        "word count in two isolated processes, over rayon",
        isolated.times(native),
        "×",
        Bound::AtMost(1.25),
    );
    Ok(())
}

fn table(bench: &Bench, title: &str, series: &[Series]) {
    let Some(base) = series.first() else { return };
    let rows: Vec<_> =
        series.iter().map(|one| vec![one.name.clone(), ms(one.wall()), times(one.times(base))]).collect();
    bench.report.table(&[title, "wall ms", "wall ratio"], &rows);
}
