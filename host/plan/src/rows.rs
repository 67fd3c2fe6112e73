//! A plan as rows of labels and values, for any view.

use crate::limits::Constraint;
use crate::prediction::Method;
use crate::report::{FloorWorth, Plan, Prediction};
use crate::value::{Value, probability};

/// A line of a plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Name of the value.
    pub label: &'static str,
    /// The value.
    pub value: Value,
    /// Words beside the value; empty if there are none.
    pub note: String,
}

impl Row {
    fn new(label: &'static str, value: Value, note: impl Into<String>) -> Self {
        Self { label, value, note: note.into() }
    }
}

/// Returns the rows of a plan, the most important ones first.
#[must_use]
pub fn rows(plan: &Plan) -> Vec<Row> {
    let mut rows = vec![Row::new("leaves", Value::Count(plan.leaves), reason(plan.binding))];
    if plan.pieces != plan.leaves {
        let note = format!("{} for each leaf", plan.pieces_per_slot);
        rows.push(Row::new("pieces", Value::Count(plan.pieces), note));
    }
    if let Some(prediction) = &plan.prediction {
        rows.extend(times(prediction));
    }
    rows.extend(availability(plan));
    if let Some(prediction) = &plan.prediction {
        rows.extend(costs(prediction));
    }
    if let Some(worth) = &plan.floor {
        rows.extend(floor(worth));
    }
    rows
}

/// Returns the meaning of a binding constraint.
#[must_use]
pub fn reason(constraint: Constraint) -> &'static str {
    match constraint {
        Constraint::Deadline => "limited by the deadline",
        Constraint::Sla => "limited by the promised availability",
        Constraint::Efficiency => "limited by the efficiency: more leaves would mostly wait",
        Constraint::Slots => "limited by the slots",
        Constraint::Memory => "limited by the memory",
        Constraint::Pieces => "limited by the number of pieces",
        Constraint::Overhead => "more would be no faster",
        Constraint::Throughput => "limited by the measured throughput",
        Constraint::Given => "as asked for",
        Constraint::None => "nothing limits them",
    }
}

fn times(prediction: &Prediction) -> [Row; 2] {
    let spread = &prediction.chosen.spread;
    let method = match spread.method {
        Method::Formula => "by formula".to_owned(),
        Method::Simulation { queries, seed } => format!("of {queries} simulated queries, seed {seed}"),
        Method::Approximation => "by approximation".to_owned(),
    };
    let deadline = match prediction.meets_deadline {
        Some(true) => "within the deadline",
        Some(false) => "after the deadline",
        None => "",
    };
    [Row::new("p50", Value::Seconds(spread.p50), method), Row::new("p99", Value::Seconds(spread.p99), deadline)]
}

fn availability(plan: &Plan) -> Vec<Row> {
    let availability = &plan.availability;
    let note = match (availability.sla, availability.is_met) {
        (Some(sla), Some(true)) => format!("{} is promised", probability(sla)),
        (Some(sla), _) => format!("{} is promised, and cannot be kept", probability(sla)),
        (None, _) => String::new(),
    };
    let mut rows = vec![Row::new("availability", Value::Share(availability.answer), note)];
    if plan.pieces == plan.leaves {
        let more = Value::Share(availability.with_one_more);
        rows.push(Row::new("with one more", more, "if all leaves are needed"));
    }
    rows
}

fn costs(prediction: &Prediction) -> [Row; 3] {
    let point = &prediction.chosen;
    let optimum = prediction.flat_optimum.map(|leaves| format!("time alone is least at about {leaves:.0} leaves"));
    [
        Row::new("leaf time", Value::Seconds(point.leaf_seconds), "of all attempts of a query"),
        Row::new("slot time", Value::Seconds(point.slot_seconds), "for which a query holds slots"),
        Row::new("efficiency", Value::Share(point.efficiency), optimum.unwrap_or_default()),
    ]
}

fn floor(worth: &FloorWorth) -> Vec<Row> {
    let FloorWorth { needed, pieces, .. } = worth;
    let example = if worth.is_asked { "" } else { ", as an example" };
    let all = probability(worth.availability_of_all);
    let note = format!("with the floor; {all} with all of {pieces}");
    let mut rows = vec![
        Row::new("floor", Value::Share(worth.share), format!("{needed} of {pieces} pieces{example}")),
        Row::new("  availability", Value::Share(worth.availability), note),
    ];
    if let Some(times) = &worth.times {
        let note = format!("{:.1} times sooner than with all", times.times_sooner);
        rows.push(Row::new("  p50", Value::Seconds(times.p50), note));
        rows.push(Row::new("  p99", Value::Seconds(times.p99), ""));
        rows.push(Row::new("  p99 of all", Value::Seconds(times.p99_of_all), ""));
    }
    rows
}
