//! Evaluation of one layout: what a number of leaves promises, takes and costs.

use serde::Serialize;

use crate::availability::{at_least, most_leaves, needed, with_attempts};
use crate::cost::{Cost, Layout, flat_optimum};
use crate::inputs::{Division, Inputs, Workload};
use crate::leaf_time::Distribution;
use crate::prediction::{Effort, Spread, leaves_cut, leaves_until};
use crate::split_merge::pieces_per_slot;

/// Largest number of pieces per slot that a plan advises.
pub const MAX_PIECES_PER_SLOT: u64 = 1_000;

/// One layout, evaluated. Times are in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Point {
    /// Number of leaves at once.
    pub leaves: u64,
    /// Number of pieces.
    pub pieces: u64,
    /// Expected time of a query by the cost model.
    pub time: f64,
    /// Predicted times of a query.
    pub spread: Spread,
    /// Share of the slots' time that is put to use.
    pub efficiency: f64,
    /// Probability of an answer above the floor.
    pub availability: f64,
    /// Leaf seconds: time of all attempts of all leaves.
    pub leaf_seconds: f64,
    /// Slot seconds: number of leaves at once, times the expected time of a query.
    pub slot_seconds: f64,
}

/// Evaluator of an app's layouts.
#[derive(Clone, Debug)]
pub(crate) struct Evaluator<'a> {
    inputs: &'a Inputs,
    workload: &'a Workload,
    cost: Cost,
}

impl<'a> Evaluator<'a> {
    pub(crate) fn new(inputs: &'a Inputs, workload: &'a Workload) -> Self {
        let leaf = &workload.leaf.value;
        let cost = Cost {
            fixed: workload.fixed.value,
            work: leaf.mean() * workload.pieces.value as f64,
            overhead: workload.overhead.value,
            fold: workload.fold.value,
            fan_in: workload.fan_in.value,
            cv: leaf.cv(),
            is_cut: workload.division.value == Division::Cut,
        };
        Self { inputs, workload, cost }
    }

    pub(crate) fn workload(&self) -> &Workload {
        self.workload
    }

    /// Returns the number of leaves at which the time is least if nothing else limits it.
    pub(crate) fn flat_optimum(&self) -> f64 {
        flat_optimum(self.cost.work, self.cost.overhead)
    }

    /// Returns the expected time of a query.
    pub(crate) fn time(&self, layout: Layout) -> f64 {
        self.cost_of(layout).time(layout)
    }

    /// Returns the share of the slots' time that is put to use.
    pub(crate) fn efficiency(&self, layout: Layout) -> f64 {
        self.cost_of(layout).efficiency(layout)
    }

    /// Returns the part of a query's time that is not the leaves'.
    pub(crate) fn beside_leaves(&self, layout: Layout) -> f64 {
        self.cost.beside_leaves(layout)
    }

    /// Returns the cost model for pieces of a layout's size: larger pieces vary less.
    fn cost_of(&self, layout: Layout) -> Cost {
        let factor = self.size_of(layout.pieces);
        let varies_less = factor > 1.0 && self.cost.cv.is_finite();
        Cost { cv: if varies_less { self.cost.cv / factor.sqrt() } else { self.cost.cv }, ..self.cost }
    }

    /// Returns the size of a piece, as a multiple of the size that was measured.
    fn size_of(&self, pieces: u64) -> f64 {
        match self.workload.division.value {
            Division::Fixed => 1.0,
            _ => self.workload.pieces.value as f64 / pieces.max(1) as f64,
        }
    }

    /// Returns the pieces for a number of leaves: as many as keep the slots in use, as long as they
    /// shorten the query and the promise still holds.
    pub(crate) fn layout(&self, leaves: u64) -> Layout {
        let leaves = leaves.max(1);
        let pieces = match self.workload.division.value {
            Division::Fixed => self.workload.pieces.value.max(1),
            Division::Cut => leaves,
            Division::Divisible => leaves.saturating_mul(self.pieces_per_slot(leaves)),
        };
        Layout { leaves, pieces }
    }

    fn pieces_per_slot(&self, leaves: u64) -> u64 {
        let wanted = pieces_per_slot(leaves, self.inputs.slot_use.value, self.cost.cv);
        let promised = self.most_pieces().map_or(u64::MAX, |most| most / leaves);
        let most = wanted.min(promised).clamp(1, MAX_PIECES_PER_SLOT);
        let mut best = 1;
        let mut least = f64::INFINITY;
        let mut each = 1;
        while each <= most {
            let time = self.time(Layout { leaves, pieces: leaves.saturating_mul(each) });
            if time < least {
                least = time;
                best = each;
            }
            // The curve is flat, so larger numbers are tried in steps of an eighth.
            each += (each / 8).max(1);
        }
        best
    }

    /// Returns the most pieces that must all succeed under the promised availability.
    fn most_pieces(&self) -> Option<u64> {
        let sla = self.inputs.sla.as_ref()?;
        let is_all = self.inputs.floor.value >= 1.0;
        if is_all { most_leaves(leaf_availability(self.inputs), sla.value) } else { None }
    }

    /// Returns the time of a leaf that has one of `pieces` pieces.
    pub(crate) fn leaf(&self, pieces: u64) -> Distribution {
        self.workload.leaf.value.resized(self.size_of(pieces))
    }

    /// Predicts the time until a share of the pieces has been answered.
    pub(crate) fn spread(&self, layout: Layout, floor: f64, draws: u64) -> Spread {
        let leaf = self.leaf(layout.pieces);
        let needed = needed(layout.pieces, floor);
        let effort = Effort { draws, seed: self.inputs.seed };
        let spread = if self.cost.is_cut {
            leaves_cut(&leaf, layout, needed)
        } else {
            leaves_until(&leaf, layout, needed, effort)
        };
        let beside = self.beside_leaves(layout);
        Spread { p50: spread.p50 + beside, p99: spread.p99 + beside, method: spread.method }
    }

    pub(crate) fn point(&self, leaves: u64, draws: u64) -> Point {
        let layout = self.layout(leaves);
        let time = self.time(layout);
        Point {
            leaves: layout.leaves,
            pieces: layout.pieces,
            time,
            spread: self.spread(layout, floor_of_times(self.inputs), draws),
            efficiency: self.efficiency(layout),
            availability: availability(self.inputs, layout.pieces),
            leaf_seconds: self.cost.work * expected_attempts(self.inputs),
            slot_seconds: time * layout.busy() as f64,
        }
    }
}

/// Returns the availability of a leaf with all its attempts.
pub(crate) fn leaf_availability(inputs: &Inputs) -> f64 {
    with_attempts(inputs.leaf_availability.value, inputs.attempts.value)
}

/// Returns the share of the pieces that a query waits for: all of them, if any answer will do.
pub(crate) fn floor_of_times(inputs: &Inputs) -> f64 {
    if inputs.floor.value > 0.0 { inputs.floor.value } else { 1.0 }
}

/// Returns the probability that enough of `pieces` succeed for the floor.
pub(crate) fn availability(inputs: &Inputs, pieces: u64) -> f64 {
    at_least(needed(pieces, inputs.floor.value), pieces, leaf_availability(inputs))
}

/// Returns the mean number of attempts of a leaf: it is tried until it succeeds or has no more.
fn expected_attempts(inputs: &Inputs) -> f64 {
    let p = inputs.leaf_availability.value;
    if p <= 0.0 { f64::from(inputs.attempts.value) } else { leaf_availability(inputs) / p }
}
