//! Making of a plan from its inputs.

use crate::availability::{all_of, at_least, attempts_for, highest_floor, meets, most_leaves, needed};
use crate::cost::Layout;
use crate::evaluate::{Evaluator, availability, floor_of_times, leaf_availability};
use crate::inputs::{Inputs, Workload};
use crate::limits::{Choice, Constraint, Limit, MAX_LEAVES, choose, general, lowest, of_workload};
use crate::notes::notes;
use crate::order_statistics::mean_until;
use crate::report::{Availability, AvailabilityPoint, FloorTimes, FloorWorth, Plan, Prediction, VERSION};
use crate::usl::Usl;
use crate::value::input_rows;

/// Number of points of a curve, about.
const POINTS: u64 = 14;
/// Number of times of leaves that the prediction of the chosen layout draws, about.
const DRAWS: u64 = 1_000_000;
/// Number of times of leaves that each other prediction draws, about.
const DRAWS_OF_A_POINT: u64 = 100_000;
/// Floor whose worth is shown when all pieces are needed.
const USUAL_FLOOR: f64 = 0.95;

/// Makes a plan.
#[must_use]
pub fn plan(inputs: &Inputs) -> Plan {
    let usl = Usl::fit(&inputs.throughputs).ok();
    let app = inputs.workload.as_ref().filter(|app| is_sound(app)).map(|app| Evaluator::new(inputs, app));
    let mut plan = match &app {
        Some(app) => of_app(inputs, usl, app),
        None => of_availability(inputs, usl),
    };
    if plan.availability.is_met == Some(false) && plan.binding != Constraint::Deadline {
        plan.binding = Constraint::Sla;
    }
    plan.inputs = input_rows(inputs);
    plan.notes = notes(inputs, &plan);
    plan
}

/// Returns true for work that takes some time, and not for ever.
fn is_sound(app: &Workload) -> bool {
    let mean = app.leaf.value.mean();
    let times = [app.fixed.value, app.overhead.value, app.fold.value];
    mean > 0.0 && mean.is_finite() && app.pieces.value > 0 && times.iter().all(|time| *time >= 0.0 && time.is_finite())
}

fn of_availability(inputs: &Inputs, usl: Option<Usl>) -> Plan {
    let limits = general(inputs, usl.as_ref());
    let lowest = lowest(&limits);
    let choice = match (&inputs.leaves, lowest) {
        (Some(given), _) => Choice { leaves: given.value, binding: Constraint::Given },
        (None, Some(limit)) => Choice { leaves: limit.most, binding: limit.constraint },
        (None, None) => Choice { leaves: 1, binding: Constraint::None },
    };
    let layout = Layout { leaves: choice.leaves, pieces: choice.leaves };
    Plan { binding: choice.binding, floor: floor_worth(inputs, layout, None), ..bare(inputs, layout, limits, usl) }
}

fn of_app(inputs: &Inputs, usl: Option<Usl>, app: &Evaluator<'_>) -> Plan {
    let limits = of_workload(inputs, usl.as_ref(), app);
    let p99 = |leaves: u64| app.spread(app.layout(leaves), floor_of_times(inputs), DRAWS).p99;
    let choice = match &inputs.leaves {
        Some(given) => Choice { leaves: given.value.clamp(1, MAX_LEAVES), binding: Constraint::Given },
        None => choose(inputs, &limits, app, p99),
    };
    let layout = app.layout(choice.leaves);
    let chosen = app.point(choice.leaves, DRAWS);
    let meets_deadline = inputs.deadline.as_ref().map(|deadline| chosen.spread.p99 <= deadline.value);
    let binding = if meets_deadline == Some(false) { Constraint::Deadline } else { choice.binding };
    let optimum = app.flat_optimum();
    let alone = app.time(Layout { leaves: 1, pieces: 1 });
    Plan {
        binding,
        prediction: Some(Prediction {
            chosen,
            flat_optimum: optimum.is_finite().then_some(optimum),
            speedup: alone / chosen.time.max(f64::MIN_POSITIVE),
            meets_deadline,
        }),
        floor: floor_worth(inputs, layout, Some(app)),
        curve: around(choice.leaves, most_shown(choice.leaves, &limits))
            .map(|leaves| if leaves == choice.leaves { chosen } else { app.point(leaves, DRAWS_OF_A_POINT) })
            .collect(),
        ..bare(inputs, layout, limits, usl)
    }
}

/// Returns a plan of a layout with its availability alone.
fn bare(inputs: &Inputs, layout: Layout, limits: Vec<Limit>, usl: Option<Usl>) -> Plan {
    let point = |pieces: u64| AvailabilityPoint { pieces, availability: availability(inputs, pieces) };
    Plan {
        version: VERSION,
        leaves: layout.leaves,
        pieces_per_slot: layout.pieces.div_ceil(layout.busy()),
        pieces: layout.pieces,
        binding: Constraint::None,
        limits,
        availability: availability_of(inputs, layout.pieces),
        prediction: None,
        floor: None,
        curve: Vec::new(),
        availability_curve: around(layout.pieces, layout.pieces.saturating_mul(4)).map(point).collect(),
        usl,
        inputs: Vec::new(),
        notes: Vec::new(),
    }
}

fn availability_of(inputs: &Inputs, pieces: u64) -> Availability {
    let leaf = leaf_availability(inputs);
    let answer = availability(inputs, pieces);
    let sla = inputs.sla.as_ref().map(|sla| sla.value);
    Availability {
        leaf,
        answer,
        sla,
        is_met: sla.map(|sla| pieces > 0 && meets(answer, sla)),
        most_leaves: sla.and_then(|sla| most_leaves(leaf, sla)),
        with_one_more: all_of(pieces.saturating_add(1), leaf),
        attempts_needed: sla.and_then(|sla| attempts_for(pieces, inputs.leaf_availability.value, sla)),
        highest_floor: sla.filter(|_| pieces > 0).map(|sla| highest_floor(pieces, leaf, sla) as f64 / pieces as f64),
    }
}

fn floor_worth(inputs: &Inputs, layout: Layout, app: Option<&Evaluator<'_>>) -> Option<FloorWorth> {
    let pieces = layout.pieces;
    let is_asked = inputs.floor.value > 0.0 && inputs.floor.value < 1.0;
    let share = if is_asked { inputs.floor.value } else { USUAL_FLOOR };
    let enough = needed(pieces, share);
    if enough >= pieces {
        return None;
    }
    let leaf = leaf_availability(inputs);
    let times = app.map(|app| floor_times(app, layout, share));
    Some(FloorWorth {
        share,
        needed: enough,
        pieces,
        is_asked,
        availability: at_least(enough, pieces, leaf),
        availability_of_all: all_of(pieces, leaf),
        times,
    })
}

fn floor_times(app: &Evaluator<'_>, layout: Layout, share: f64) -> FloorTimes {
    let pieces = layout.pieces;
    let some = app.spread(layout, share, DRAWS_OF_A_POINT);
    let all = app.spread(layout, 1.0, DRAWS_OF_A_POINT);
    let times_sooner = if pieces <= layout.leaves {
        let leaf = app.leaf(pieces);
        let beside = app.beside_leaves(layout);
        let mean = |needed: u64| mean_until(&leaf, needed, pieces) + beside;
        mean(pieces) / mean(needed(pieces, share))
    } else {
        all.p50 / some.p50
    };
    FloorTimes { p50: some.p50, p50_of_all: all.p50, p99: some.p99, p99_of_all: all.p99, times_sooner }
}

/// Returns the largest number of leaves of a curve: some way past the plan, and past its limits.
fn most_shown(leaves: u64, limits: &[Limit]) -> u64 {
    let past = lowest(limits).map_or(leaves, |limit| limit.most.min(leaves.saturating_mul(2)));
    past.max(leaves).saturating_mul(2).clamp(2, MAX_LEAVES)
}

/// Returns numbers up to `most` in even ratios, with `chosen` and the next one among them.
fn around(chosen: u64, most: u64) -> impl Iterator<Item = u64> {
    let most = most.max(1);
    let ratio = |step: u64| (most as f64).powf(step as f64 / (POINTS - 1) as f64).round() as u64;
    let mut numbers: Vec<u64> = (0..POINTS).map(ratio).collect();
    numbers.extend([chosen, chosen.saturating_add(1)]);
    numbers.retain(|number| *number > 0);
    numbers.sort_unstable();
    numbers.dedup();
    numbers.into_iter()
}
