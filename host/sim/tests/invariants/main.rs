//! Invariants of the root's decisions, over random worlds.
//!
//! `FROND_SIM_QUERIES` is the number of simulated queries, 100,000 unless set. A failure prints the
//! seed of its world; `FROND_SIM_SEED` runs the world of one seed alone.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a mistake in a test stops it where it is")]

mod audit;
mod shrink;
mod worlds;

use std::panic::{AssertUnwindSafe, catch_unwind};

use frond_root::ledger::PartialRange;
use frond_root::{EventKind, Progress};
use frond_sim::{Observer, Sight, SimReport, World, observe, record, resume, simulate};

use audit::Audit;
use worlds::world_of;

/// Number of simulated queries.
const QUERIES: u64 = 100_000;

fn setting(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} must be a number")))
}

/// Simulates a world. Returns its report, or the first breach of an invariant.
fn breach(world: &World) -> Result<SimReport, String> {
    let audited = catch_unwind(AssertUnwindSafe(|| {
        let mut audit = Audit::new(world);
        let report = observe(world, &mut audit).map_err(|problem| problem.to_string())?;
        audit.end(&report)?;
        Ok(report)
    }));
    audited.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
        Err(format!("it panicked: {}", text.unwrap_or("without a text")))
    })
}

/// Fails with the smallest world that breaks an invariant as this one does.
fn fail(world: &World, seed: u64, why: &str) -> ! {
    let (small, its_why) = shrink::smallest(world.clone(), why.to_owned());
    panic!(
        "the world of seed {seed} breaks an invariant: {why}\n(FROND_SIM_SEED={seed} cargo test --release --config \
         .cargo/test.toml -p frond-sim --test invariants no_world)\nthe smallest such world: {its_why}\n{small:#?}"
    )
}

#[test]
fn no_world_breaks_an_invariant() {
    if let Some(seed) = setting("FROND_SIM_SEED") {
        let world = world_of(seed);
        breach(&world).unwrap_or_else(|why| fail(&world, seed, &why));
        return;
    }
    let wanted = setting("FROND_SIM_QUERIES").unwrap_or(QUERIES);
    let mut seed = 0;
    let mut queries = 0;
    let mut events = 0;
    while queries < wanted {
        let world = world_of(seed);
        let report = breach(&world).unwrap_or_else(|why| fail(&world, seed, &why));
        queries += report.queries;
        events += report.events;
        seed += 1;
    }
    println!("{queries} queries of {seed} worlds, {events} events");
}

#[test]
fn one_seed_gives_one_report() {
    for seed in 0..200 {
        let world = world_of(seed);
        let report = || serde_json::to_vec(&simulate(&world).unwrap()).unwrap();
        assert_eq!(report(), report(), "seed {seed}");
    }
}

#[test]
fn events_of_a_query_add_up_to_its_account() {
    for seed in 0..300 {
        let world = world_of(seed);
        let query = seed % world.arrivals.queries;
        let events = record(&world, query).unwrap();
        let mut progress = Progress::default();
        for event in &events {
            let line = serde_json::to_string(event).unwrap();
            progress.add(&serde_json::from_str(&line).unwrap());
        }
        let Some(EventKind::QueryEnded { coverage, .. }) = events.last().map(|event| &event.kind) else {
            assert!(events.is_empty(), "seed {seed}: only a refused query has no end");
            continue;
        };
        assert_eq!(progress.attempts.started, coverage.attempts.started, "seed {seed}");
        assert_eq!(progress.attempts.cuts, coverage.attempts.cuts, "seed {seed}");
        assert_eq!(progress.attempts.retries, coverage.attempts.retries, "seed {seed}");
        assert_eq!(progress.running, 0, "seed {seed}");
        if coverage.complete {
            assert_eq!(progress.settled.succeeded, coverage.partitions.planned, "seed {seed}");
            assert_eq!(progress.covered, coverage.weight.planned, "seed {seed}");
        }
    }
}

/// The partials that were accepted by some number of steps.
struct Stored {
    units: Option<u64>,
    most: usize,
    partials: Vec<(u32, Option<PartialRange>)>,
    all: usize,
}

impl Stored {
    fn new(world: &World, most: usize) -> Self {
        Self { units: world.query.pieces.map(|pieces| pieces.units), most, partials: Vec::new(), all: 0 }
    }
}

impl Observer for Stored {
    fn see(&mut self, _at: std::time::Duration, sight: &Sight<'_>) {
        let Sight::Accepted { query: 0, span } = sight else { return };
        self.all += 1;
        if self.partials.len() < self.most {
            let (partition, begin) = span.from();
            let (until, end) = span.to();
            let range = self.units.map(|of| {
                let end = if until > partition { of } else { end };
                PartialRange { begin, end, until: end, of }
            });
            let is_whole = range.is_none_or(|range| range.begin == 0 && range.end == range.of);
            self.partials.push((partition, range.filter(|_| !is_whole)));
        }
    }
}

#[test]
fn a_resumed_query_accepts_what_an_undisturbed_one_does() {
    let mut resumed = 0;
    for seed in 0..400 {
        let mut world = world_of(seed);
        world.arrivals = frond_sim::ArrivalsTable::default();
        let mut undisturbed = Stored::new(&world, usize::MAX);
        let whole = observe(&world, &mut undisturbed).unwrap();
        if whole.outcomes.complete == 0 {
            continue;
        }
        // The first life ends after this many partials.
        let most = seed as usize % (undisturbed.all + 1);
        let mut first = Stored::new(&world, most);
        observe(&world, &mut first).unwrap();
        world.seed += 1;
        world.faults = frond_sim::FaultsTable::default();
        let mut audit = Audit::new(&world).storing(&first.partials);
        let report = resume(&world, &first.partials, &mut audit).unwrap();
        audit.end(&report).unwrap_or_else(|why| panic!("seed {seed}, {most} partials: {why}"));
        resumed += report.outcomes.complete;
    }
    assert!(resumed > 100, "only {resumed} worlds were resumed");
}
