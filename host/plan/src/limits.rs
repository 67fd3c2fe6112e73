//! Limits on the number of leaves, and the choice of the best number within them.

use serde::Serialize;

use crate::availability::{meets, most_leaves};
use crate::evaluate::{Evaluator, availability, leaf_availability};
use crate::inputs::{Division, Inputs};
use crate::usl::{REACH, Usl};

/// Largest number of leaves that a plan considers.
pub const MAX_LEAVES: u64 = 100_000;
/// Number of leaves up to which each number is tried; above it, some are.
const TRIED: u64 = 2_048;
/// Number of steps from there to the largest number.
const STEPS: u64 = 512;
/// Time above the least that is still as good: around its optimum, the curve is flat.
const FLAT: f64 = 1.01;

/// Reason why a plan has no more leaves, or why it does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Constraint {
    /// The deadline: the fewest leaves that meet it, or none that do.
    Deadline,
    /// The promised availability.
    Sla,
    /// The efficiency: a further leaf would be idle for too much of its time.
    Efficiency,
    /// The slots.
    Slots,
    /// The memory.
    Memory,
    /// The number of pieces that there are.
    Pieces,
    /// The overhead of each leaf: more leaves are no faster.
    Overhead,
    /// The measured throughput: it falls with more leaves, or was not measured so far.
    Throughput,
    /// The number that was asked for.
    Given,
    /// None: nothing that is known limits the number.
    None,
}

/// A constraint with the largest number of leaves that it allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Limit {
    /// The constraint.
    pub constraint: Constraint,
    /// Largest number of leaves at once.
    pub most: u64,
}

/// Chosen number of leaves, and the constraint that decided it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Choice {
    pub(crate) leaves: u64,
    pub(crate) binding: Constraint,
}

/// Returns the limits that do not depend on an app's work.
pub(crate) fn general(inputs: &Inputs, usl: Option<&Usl>) -> Vec<Limit> {
    let mut limits = Vec::new();
    let sla = inputs.sla.as_ref().filter(|_| inputs.floor.value >= 1.0);
    if let Some(most) = sla.and_then(|sla| most_leaves(leaf_availability(inputs), sla.value)) {
        limits.push(Limit { constraint: Constraint::Sla, most });
    }
    if let Some(slots) = &inputs.slots {
        limits.push(Limit { constraint: Constraint::Slots, most: slots.value });
    }
    if let Some(usl) = usl {
        let reach = (usl.largest * REACH) as u64;
        limits
            .push(Limit { constraint: Constraint::Throughput, most: usl.peak().map_or(reach, |peak| peak.min(reach)) });
    }
    limits
}

/// Returns all limits of an app's work.
pub(crate) fn of_workload(inputs: &Inputs, usl: Option<&Usl>, app: &Evaluator<'_>) -> Vec<Limit> {
    let workload = app.workload();
    let mut limits = general(inputs, usl);
    if workload.division.value == Division::Fixed {
        // The pieces are given, so fewer leaves at once would not make an answer likelier.
        limits.retain(|limit| limit.constraint != Constraint::Sla);
        limits.push(Limit { constraint: Constraint::Pieces, most: workload.pieces.value });
    } else if inputs.floor.value < 1.0 && inputs.sla.is_some() {
        limits.extend(floor_limit(inputs, app));
    }
    if let (Some(leaf), Some(memory)) = (&workload.leaf_memory, &workload.memory) {
        limits.push(Limit { constraint: Constraint::Memory, most: memory.value / leaf.value.max(1) });
    }
    limits.push(Limit { constraint: Constraint::Efficiency, most: efficient(inputs, app) });
    limits
}

/// Returns the largest number of leaves at which a floor holds, if not all do.
fn floor_limit(inputs: &Inputs, app: &Evaluator<'_>) -> Option<Limit> {
    let sla = inputs.sla.as_ref()?.value;
    let holds = |leaves: &u64| meets(availability(inputs, app.layout(*leaves).pieces), sla);
    let most = candidates(MAX_LEAVES).filter(holds).last().unwrap_or(0);
    (most < MAX_LEAVES).then_some(Limit { constraint: Constraint::Sla, most })
}

/// Returns the largest number of leaves that is efficient enough.
fn efficient(inputs: &Inputs, app: &Evaluator<'_>) -> u64 {
    let holds = |leaves: &u64| app.efficiency(app.layout(*leaves)) >= inputs.efficiency.value;
    candidates(MAX_LEAVES).take_while(holds).last().unwrap_or(1)
}

/// Returns numbers of leaves up to `most`: each of the first, then some in even ratios.
fn candidates(most: u64) -> impl Iterator<Item = u64> {
    let most = most.clamp(1, MAX_LEAVES);
    let rest = most.max(TRIED) as f64 / TRIED as f64;
    let above = (1..=STEPS).map(move |step| (TRIED as f64 * rest.powf(step as f64 / STEPS as f64)).round() as u64);
    (1..=most.min(TRIED)).chain(above.filter(move |leaves| *leaves > TRIED && *leaves <= most))
}

/// Returns the fewest leaves that are as good as the fastest number of at most `most`.
fn fastest(app: &Evaluator<'_>, most: u64) -> u64 {
    let time = |leaves: u64| app.time(app.layout(leaves));
    let least = candidates(most).map(time).fold(f64::INFINITY, f64::min);
    candidates(most).find(|leaves| time(*leaves) <= least * FLAT).unwrap_or(1)
}

/// Returns the lowest limit; of equal ones the first.
pub(crate) fn lowest(limits: &[Limit]) -> Option<Limit> {
    limits.iter().min_by_key(|limit| limit.most).copied()
}

/// Chooses the number of leaves: the fewest that meet the deadline, or the fastest within the
/// limits. `p99` predicts the time of a query with a number of leaves.
pub(crate) fn choose(inputs: &Inputs, limits: &[Limit], app: &Evaluator<'_>, p99: impl Fn(u64) -> f64) -> Choice {
    let limit = lowest(limits).unwrap_or(Limit { constraint: Constraint::None, most: MAX_LEAVES });
    let most = limit.most.clamp(1, MAX_LEAVES);
    let unlimited = fastest(app, MAX_LEAVES);
    let best = if unlimited < most || (unlimited == most && limit.constraint != Constraint::Pieces) {
        Choice { leaves: unlimited, binding: Constraint::Overhead }
    } else {
        Choice { leaves: fastest(app, most), binding: limit.constraint }
    };
    let Some(deadline) = &inputs.deadline else { return best };
    if p99(best.leaves) > deadline.value {
        return Choice { leaves: best.leaves, binding: Constraint::Deadline };
    }
    let mut late = 0;
    let mut in_time = best.leaves;
    while in_time - late > 1 {
        let middle = late + (in_time - late) / 2;
        if p99(middle) <= deadline.value {
            in_time = middle;
        } else {
            late = middle;
        }
    }
    let binding = if in_time < best.leaves { Constraint::Deadline } else { best.binding };
    Choice { leaves: in_time, binding }
}
