//! Measurements of queries, from their models: the times that a plan is made from.

use std::collections::BTreeMap;

use frond_plan::{Distribution, Division, Input, Sample, Source, Throughput, Workload};

use crate::show::model::{Attempt, Fate, Model};

/// Microseconds of a second.
const MICROS: f64 = 1e6;
/// Partials that one merge takes, if none was seen.
const USUAL_FAN_IN: u64 = 8;
/// Least time that a piece costs the root, in seconds: the clock of events shows no less.
const LEAST_OVERHEAD: f64 = 1e-6;

/// Sums of measured queries. Times are in seconds.
#[derive(Debug, Default)]
pub(super) struct Measurements {
    /// Times of the partitions that succeeded, each with all attempts that did a part of it, and
    /// the number of partitions of its query.
    leaves: Vec<(f64, u64)>,
    /// Number of attempts that succeeded or failed.
    tries: u64,
    /// Number of these that failed.
    failures: u64,
    /// Number of partitions of each query.
    pieces: Vec<f64>,
    /// Time of each query beside its leaves and merges.
    fixed: Vec<f64>,
    /// Time of each query that a further piece costs.
    overhead: Vec<f64>,
    /// Times of merges.
    folds: Vec<f64>,
    /// Inputs of merges.
    fan_in: Vec<f64>,
    /// Largest memory of a leaf, in bytes.
    memory: u64,
    /// Sum of the rates, and their number, by slots.
    rates: BTreeMap<u64, (f64, f64)>,
    /// True if idle slots took the rest of running partitions, or may do so.
    pub(super) is_cut: bool,
}

impl Measurements {
    /// Adds a query.
    pub(super) fn add(&mut self, model: &Model) {
        if model.planned.is_none() || model.attempts().is_empty() {
            return;
        }
        for lane in &model.lanes {
            let used = model.attempts_of(lane).iter().filter(|one| one.fate == Fate::Used);
            let time: u64 = used.map(Attempt::time).sum();
            if lane.missing.is_none() && time > 0 {
                self.leaves.push((seconds(time), model.partitions()));
            }
        }
        for one in model.attempts() {
            let has_failed = matches!(one.fate, Fate::Failed(_));
            self.tries += u64::from(has_failed || one.fate == Fate::Used);
            self.failures += u64::from(has_failed);
        }
        self.pieces.push(model.partitions() as f64);
        self.folds.extend(model.folds.iter().filter_map(|fold| Some(seconds(fold.end?.saturating_sub(fold.start)))));
        self.fan_in.extend(model.folds.iter().map(|fold| f64::from(fold.inputs)));
        self.memory = self.memory.max(model.usage.memory);
        self.is_cut |= model.cuts > 0;
        self.overhead.extend(overhead(model));
        self.around(model);
    }

    /// Adds the times before and after the leaves, and the throughput between them.
    fn around(&mut self, model: &Model) {
        let Some((gathered, _)) = model.gather_end else { return };
        let late_folds: u64 = model
            .folds
            .iter()
            .filter(|fold| fold.start >= gathered)
            .filter_map(|fold| Some(fold.end?.saturating_sub(fold.start)))
            .sum();
        let after = model.until().saturating_sub(gathered).saturating_sub(late_folds);
        self.fixed.push(seconds(model.scattered().saturating_add(after)));
        let took = seconds(gathered.saturating_sub(model.scattered()));
        if let Some(head) = model.head.as_ref().filter(|_| took > 0.0) {
            let (sum, count) = self.rates.entry(head.slots as u64).or_default();
            *sum += 1.0 / took;
            *count += 1.0;
        }
    }

    /// Returns the measured work, or `None` if no leaf has succeeded.
    pub(super) fn workload(&self, source: Source, division: Input<Division>) -> Option<Workload> {
        let queries = self.pieces.len() as u64;
        let pieces = median(&self.pieces)?;
        // Queries may have divided the same work into different numbers of pieces.
        let is_fixed = division.value == Division::Fixed;
        let size = |of: u64| if is_fixed { 1.0 } else { of as f64 / pieces };
        let leaves = Sample::new(self.leaves.iter().map(|(time, of)| time * size(*of)))?;
        let count = leaves.times().len() as u64;
        let folds = self.folds.len() as u64;
        let fan_in = median(&self.fan_in).map(|inputs| (inputs as u64).max(2));
        Some(Workload {
            leaf: Input::measured(Distribution::Empirical(leaves), source, count),
            pieces: Input::measured(pieces as u64, source, queries),
            division,
            fixed: measured_or(median(&self.fixed), 0.0, source, self.fixed.len()),
            overhead: measured_or(
                median(&self.overhead).map(|time| time.max(LEAST_OVERHEAD)),
                LEAST_OVERHEAD,
                source,
                self.overhead.len(),
            ),
            fold: measured_or(median(&self.folds), 0.0, source, self.folds.len()),
            fan_in: fan_in.map_or(Input::assumed(USUAL_FAN_IN), |fan_in| Input::measured(fan_in, source, folds)),
            leaf_memory: (self.memory > 0).then(|| Input::measured(self.memory, source, count)),
            memory: None,
        })
    }

    /// Returns the measured availability of a leaf. `None` if none has failed: then only a bound is
    /// known.
    pub(super) fn availability(&self, source: Source) -> Option<Input<f64>> {
        let share = (self.tries - self.failures) as f64 / self.tries.max(1) as f64;
        (self.failures > 0).then(|| Input::measured(share, source, self.tries))
    }

    /// Returns the mean throughput at each number of slots, in queries a second: recordings may
    /// have divided the same work into different numbers of pieces.
    pub(super) fn throughputs(&self) -> Vec<Throughput> {
        let mean = |(slots, (sum, count)): (&u64, &(f64, f64))| Throughput { leaves: *slots as f64, rate: sum / count };
        self.rates.iter().map(mean).collect()
    }
}

/// Returns the time that each further piece costs: the pause of a slot between two attempts, which
/// all slots share, or the distance of the first attempts of two slots.
fn overhead(model: &Model) -> Option<f64> {
    let mut by_slot: BTreeMap<u32, Vec<&Attempt>> = BTreeMap::new();
    for one in model.attempts() {
        by_slot.entry(one.slot).or_default().push(one);
    }
    let mut pauses = Vec::new();
    let mut firsts = Vec::new();
    for attempts in by_slot.values_mut() {
        attempts.sort_unstable_by_key(|one| one.start);
        firsts.extend(attempts.first().map(|one| one.start));
        let pairs = attempts.iter().zip(attempts.iter().skip(1));
        pauses.extend(pairs.map(|(one, next)| seconds(next.start.saturating_sub(one.end))));
    }
    let slots = firsts.len() as f64;
    let between = median(&pauses).map(|pause| pause / slots);
    let apart = match (firsts.iter().min(), firsts.iter().max()) {
        (Some(first), Some(last)) if slots > 1.0 => Some(seconds(last - first) / (slots - 1.0)),
        _ => None,
    };
    between.into_iter().chain(apart).reduce(f64::max)
}

fn measured_or(value: Option<f64>, otherwise: f64, source: Source, samples: usize) -> Input<f64> {
    value.map_or(Input::assumed(otherwise), |value| Input::measured(value, source, samples as u64))
}

/// Returns the median by nearest rank.
fn median(values: &[f64]) -> Option<f64> {
    Some(Distribution::Empirical(Sample::new(values.iter().copied())?).quantile(0.5))
}

fn seconds(micros: u64) -> f64 {
    micros as f64 / MICROS
}

#[cfg(test)]
mod tests;
