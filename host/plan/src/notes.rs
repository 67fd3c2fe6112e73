//! Remarks on a plan: what does not hold, and what would help.

use crate::inputs::{Confidence, Inputs};
use crate::leaf_time::{Distribution, LeafTime};
use crate::limits::Constraint;
use crate::report::Plan;
use crate::usl::REACH;
use crate::value::probability;

/// Returns the remarks on a plan.
pub(crate) fn notes(inputs: &Inputs, plan: &Plan) -> Vec<String> {
    let mut notes = Vec::new();
    promise(plan, &mut notes);
    deadline(plan, &mut notes);
    tail(inputs, plan, &mut notes);
    throughput(plan, &mut notes);
    if inputs.workload.is_some() && plan.prediction.is_none() {
        notes.push("the leaves took no time, or their mean is infinite: times cannot be predicted".to_owned());
    }
    let default = inputs.leaf_availability.confidence == Confidence::Low && inputs.sla.is_some();
    if default {
        notes.push(
            "the availability of a leaf has low confidence: give it, or record queries until hundreds of leaves have run"
                .to_owned(),
        );
    }
    notes
}

fn promise(plan: &Plan, notes: &mut Vec<String>) {
    let (Some(sla), Some(false)) = (plan.availability.sla, plan.availability.is_met) else { return };
    if plan.pieces == 0 {
        return notes.push(format!("not even one leaf is available to {}", probability(sla)));
    }
    let mut remedies = Vec::new();
    if let Some(attempts) = plan.availability.attempts_needed {
        remedies.push(format!("{attempts} attempts of each leaf"));
    }
    if let Some(floor) = plan.availability.highest_floor.filter(|floor| *floor > 0.0) {
        remedies.push(format!("a floor of {}", probability(floor)));
    }
    let remedy = if remedies.is_empty() { "nothing".to_owned() } else { remedies.join(" or ") };
    let answer = probability(plan.availability.answer);
    notes.push(format!("{} is promised, and {answer} is to be expected: {remedy} would keep it", probability(sla)));
}

fn deadline(plan: &Plan, notes: &mut Vec<String>) {
    let Some(prediction) = plan.prediction.as_ref().filter(|prediction| prediction.meets_deadline == Some(false))
    else {
        return;
    };
    let fastest = prediction.chosen.spread.p99;
    notes.push(format!("the deadline is too short: 99 % of queries end within {fastest:.3} s"));
}

/// Notes a prediction that needs a quantile beyond the slowest leaf that was measured.
fn tail(inputs: &Inputs, plan: &Plan, notes: &mut Vec<String>) {
    let Some(Distribution::Empirical(sample)) = inputs.workload.as_ref().map(|app| &app.leaf.value) else { return };
    let seen = sample.times().len();
    let share = -(0.99_f64.ln() / plan.pieces.max(1) as f64).exp_m1();
    let needed = 1.0 / share;
    if (seen as f64) < needed && Distribution::Empirical(sample.clone()).upper_quantile(share) > 0.0 {
        notes.push(format!(
            "the p99 of {} pieces depends on leaves slower than one in {needed:.0}, and {seen} were measured: \
             the true p99 may be higher",
            plan.pieces
        ));
    }
}

fn throughput(plan: &Plan, notes: &mut Vec<String>) {
    let Some(usl) = &plan.usl else { return };
    if plan.leaves as f64 > usl.largest * REACH {
        let largest = usl.largest;
        notes.push(format!(
            "throughput was measured up to {largest} leaves: a plan for more than {REACH} times that is a guess"
        ));
    } else if plan.binding == Constraint::Throughput
        && let Some(peak) = usl.peak()
    {
        notes.push(format!("the measured throughput is largest at {peak} leaves"));
    }
}
