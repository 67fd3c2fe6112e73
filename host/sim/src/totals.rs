//! Totals of a simulation, and their report.

use std::collections::BTreeMap;
use std::time::Duration;

use frond_root::answer::{Attempts, UnitTally, millis};
use serde::Serialize;

use crate::run::Ended;
use crate::sight::Fault;
use crate::world::World;

/// Version of the report.
const VERSION: u32 = 1;

/// Quantiles of some numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Quantiles {
    /// Mean.
    pub mean: f64,
    /// Median.
    pub p50: f64,
    /// 90 % are at most this.
    pub p90: f64,
    /// 99 % are at most this.
    pub p99: f64,
    /// 99.9 % are at most this.
    pub p999: f64,
    /// Largest.
    pub most: f64,
}

/// Number of queries by outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Outcomes {
    /// Refused by admission.
    pub refused: u64,
    /// With all of the weight.
    pub complete: u64,
    /// With less, and above the floor.
    pub partial: u64,
    /// Without an answer.
    pub failed: u64,
}

/// Number of one kind of faults, by fate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FaultTally {
    /// Attempts that were to meet it.
    pub planned: u64,
    /// Attempts that met it.
    pub met: u64,
    /// Attempts that ended before: their rest was cut off, or nobody needed them.
    pub spared: u64,
}

/// Slowest query.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Slowest {
    /// Its number, from 0.
    pub query: u64,
    /// Its time in milliseconds.
    pub ms: f64,
}

/// Report of a simulation. The same world always gives the same bytes of JSON.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SimReport {
    /// Version of the format.
    pub version: u32,
    /// Seed of the world.
    pub seed: u64,
    /// Number of queries.
    pub queries: u64,
    /// Queries by outcome.
    pub outcomes: Outcomes,
    /// Times from a query's start to its answer, in milliseconds.
    pub ms: Quantiles,
    /// Mean share of the weight in the answers.
    pub coverage: f64,
    /// Attempts of all queries.
    pub attempts: Attempts,
    /// Units of all partitions that were taken in parts.
    pub units: UnitTally,
    /// Slot time of attempts whose results are in the answers, in milliseconds.
    pub used_ms: f64,
    /// Slot time of all other attempts, in milliseconds.
    pub wasted_ms: f64,
    /// Failed attempts by slug.
    pub failures: BTreeMap<&'static str, u64>,
    /// Injected faults.
    pub faults: BTreeMap<Fault, FaultTally>,
    /// Number of lost workers.
    pub workers_lost: u64,
    /// Number of slots at the start.
    pub slots: usize,
    /// Share of the slots' time in which leaves ran.
    pub utilisation: f64,
    /// Times of the gathers over the time of all leaves divided by the speed of all slots; of
    /// queries that run one after another.
    pub over_bound: Option<Quantiles>,
    /// Slowest query.
    pub slowest: Slowest,
    /// Virtual time in milliseconds.
    pub span_ms: f64,
    /// Number of simulated events.
    pub events: u64,
}

/// Sums of a running simulation.
#[derive(Debug)]
pub(crate) struct Totals {
    report: SimReport,
    times: Vec<u64>,
    ratios: Vec<f64>,
    is_alone: bool,
    covered: f64,
    used: Duration,
    busy: Duration,
    span: u64,
}

impl Totals {
    pub(crate) fn new(world: &World, slots: usize) -> Self {
        let report = SimReport {
            version: VERSION,
            seed: world.seed,
            queries: 0,
            outcomes: Outcomes::default(),
            ms: Quantiles::default(),
            coverage: 0.0,
            attempts: Attempts::default(),
            units: UnitTally::default(),
            used_ms: 0.0,
            wasted_ms: 0.0,
            failures: BTreeMap::new(),
            faults: BTreeMap::new(),
            workers_lost: 0,
            slots,
            utilisation: 0.0,
            over_bound: None,
            slowest: Slowest::default(),
            span_ms: 0.0,
            events: 0,
        };
        Self {
            report,
            times: Vec::new(),
            ratios: Vec::new(),
            is_alone: world.arrivals.rate.is_none(),
            covered: 0.0,
            used: Duration::ZERO,
            busy: Duration::ZERO,
            span: 0,
        }
    }

    /// Number of queries that have ended, or were refused.
    pub(crate) fn queries(&self) -> u64 {
        self.report.queries
    }

    pub(crate) fn refused(&mut self) {
        self.report.queries += 1;
        self.report.outcomes.refused += 1;
    }

    pub(crate) fn lost_worker(&mut self) {
        self.report.workers_lost += 1;
    }

    /// Counts a leaf that left its slot.
    pub(crate) fn left(&mut self, planned: Option<Fault>, met: Option<Fault>, ran: Duration) {
        self.busy += ran;
        if let Some(fault) = planned {
            let tally = self.report.faults.entry(fault).or_default();
            tally.planned += 1;
            tally.met += u64::from(met.is_some());
            tally.spared += u64::from(met.is_none());
        }
    }

    /// Counts a query whose gather took `gathered`.
    pub(crate) fn ended(&mut self, query: u64, ended: &Ended, gathered: Duration, bound: Duration) {
        let report = &mut self.report;
        report.queries += 1;
        *match ended.outcome {
            "complete" => &mut report.outcomes.complete,
            "partial" => &mut report.outcomes.partial,
            _ => &mut report.outcomes.failed,
        } += 1;
        let coverage = &*ended.coverage;
        self.covered += coverage.fraction;
        add_attempts(&mut report.attempts, &coverage.attempts);
        add_units(&mut report.units, &coverage.units);
        report.used_ms += coverage.timings.leaf_used;
        report.wasted_ms += coverage.timings.leaf_wasted;
        for (kind, count) in &coverage.failures {
            *report.failures.entry(kind.slug()).or_default() += count;
        }
        if self.times.is_empty() || millis(ended.took) > report.slowest.ms {
            report.slowest = Slowest { query, ms: millis(ended.took) };
        }
        self.times.push(u64::try_from(ended.took.as_nanos()).unwrap_or(u64::MAX));
        self.used += gathered;
        if self.is_alone && !bound.is_zero() {
            self.ratios.push(gathered.as_secs_f64() / bound.as_secs_f64());
        }
    }

    pub(crate) fn end(&mut self, now: u64, events: u64) {
        self.span = now;
        self.report.events = events;
    }

    /// Makes the report.
    pub(crate) fn report(mut self) -> SimReport {
        let answered = self.times.len().max(1) as f64;
        // Queries that run one after another leave the slots to nobody between them.
        let span = if self.is_alone { self.used } else { Duration::from_nanos(self.span) };
        let slot_time = span.as_secs_f64() * self.report.slots as f64;
        let mut times: Vec<f64> = self.times.iter().map(|ns| *ns as f64 / 1e6).collect();
        self.report.ms = quantiles(&mut times);
        self.report.coverage = self.covered / answered;
        self.report.utilisation = if slot_time > 0.0 { self.busy.as_secs_f64() / slot_time } else { 0.0 };
        self.report.over_bound = (!self.ratios.is_empty()).then(|| quantiles(&mut self.ratios));
        self.report.span_ms = self.span as f64 / 1e6;
        self.report
    }
}

/// Quantiles of numbers, by nearest rank.
fn quantiles(numbers: &mut [f64]) -> Quantiles {
    numbers.sort_unstable_by(f64::total_cmp);
    let count = numbers.len();
    let at = |part: f64| {
        let rank = libm::ceil(part * count as f64) as usize;
        numbers.get(rank.clamp(1, count.max(1)) - 1).copied().unwrap_or_default()
    };
    let mean = numbers.iter().sum::<f64>() / count.max(1) as f64;
    Quantiles { mean, p50: at(0.5), p90: at(0.9), p99: at(0.99), p999: at(0.999), most: at(1.0) }
}

fn add_attempts(all: &mut Attempts, more: &Attempts) {
    all.started += more.started;
    all.retries += more.retries;
    all.hedges += more.hedges;
    all.hedge_wins += more.hedge_wins;
    all.discarded += more.discarded;
    all.warm += more.warm;
    all.cuts += more.cuts;
}

fn add_units(all: &mut UnitTally, more: &UnitTally) {
    all.planned += more.planned;
    all.taken += more.taken;
    all.skipped += more.skipped;
    all.lost += more.lost;
    all.redone += more.redone;
    all.saved += more.saved;
    all.discarded += more.discarded;
}
