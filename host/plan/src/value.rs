//! Values with their units, and the inputs of a plan as rows.

use std::fmt;

use serde::Serialize;

use crate::inputs::{Confidence, Input, Inputs, Source};

/// Largest number of decimals of a probability.
const MAX_DECIMALS: usize = 12;

/// Least number of characters of a probability: `0.` and four decimals.
const LEAST: usize = 6;

/// An input of a plan, with its source.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct InputRow {
    /// Name of the input.
    pub name: &'static str,
    /// The value.
    pub value: Value,
    /// Origin of the value.
    pub source: Source,
    /// Trust in the value.
    pub confidence: Confidence,
    /// Number of samples behind it.
    pub samples: u64,
}

/// Value of a row with its unit.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Value {
    /// A number of things.
    Count(u64),
    /// A time in seconds.
    Seconds(f64),
    /// A number of bytes.
    Bytes(u64),
    /// A probability or a share.
    Share(f64),
    /// A word.
    Text(String),
}

impl fmt::Display for Value {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => write!(to, "{count}"),
            Self::Seconds(seconds) => write!(to, "{seconds:.6} s"),
            Self::Bytes(bytes) => write!(to, "{bytes} bytes"),
            Self::Share(share) => to.write_str(&probability(*share)),
            Self::Text(text) => to.write_str(text),
        }
    }
}

/// Formats a probability with at least four decimals, and as many as tell it from 1.
#[must_use]
pub fn probability(value: f64) -> String {
    if value <= 0.0 || value >= 1.0 || value.is_nan() {
        return format!("{value:.0}");
    }
    let nines = (-(1.0 - value).log10()).max(0.0).floor() as usize;
    let decimals = (nines + 2).clamp(4, MAX_DECIMALS);
    let most = 1.0 - 10_f64.powi(-(decimals as i32));
    let mut text = format!("{:.decimals$}", value.min(most));
    while text.len() > LEAST && text.ends_with('0') {
        text.pop();
    }
    text
}

/// Returns the rows of all inputs.
pub(crate) fn input_rows(inputs: &Inputs) -> Vec<InputRow> {
    let mut rows = vec![
        row("leaf availability", &inputs.leaf_availability, |value| Value::Share(*value)),
        row("attempts of a leaf", &inputs.attempts, |value| Value::Count(u64::from(*value))),
        row("floor", &inputs.floor, |value| Value::Share(*value)),
    ];
    rows.extend(inputs.sla.as_ref().map(|sla| row("promised availability", sla, |value| Value::Share(*value))));
    rows.extend(inputs.deadline.as_ref().map(|time| row("deadline", time, |value| Value::Seconds(*value))));
    rows.extend(inputs.leaves.as_ref().map(|leaves| row("leaves asked for", leaves, |value| Value::Count(*value))));
    rows.extend(inputs.slots.as_ref().map(|slots| row("slots", slots, |value| Value::Count(*value))));
    let Some(app) = &inputs.workload else { return rows };
    rows.extend([
        row("mean leaf", &app.leaf, |leaf| Value::Seconds(leaf.mean())),
        row("variation of leaves", &app.leaf, |leaf| Value::Text(format!("{:.2}", leaf.cv()))),
        row("pieces measured", &app.pieces, |value| Value::Count(*value)),
        row("division of the work", &app.division, |value| Value::Text(format!("{value:?}").to_lowercase())),
        row("time beside leaves", &app.fixed, |value| Value::Seconds(*value)),
        row("overhead of a piece", &app.overhead, |value| Value::Seconds(*value)),
        row("one merge", &app.fold, |value| Value::Seconds(*value)),
        row("partials of a merge", &app.fan_in, |value| Value::Count(*value)),
        row("least efficiency", &inputs.efficiency, |value| Value::Share(*value)),
        row("use of slots aimed at", &inputs.slot_use, |value| Value::Share(*value)),
    ]);
    rows.extend(app.leaf_memory.as_ref().map(|memory| row("memory of a leaf", memory, |value| Value::Bytes(*value))));
    rows.extend(app.memory.as_ref().map(|memory| row("memory for leaves", memory, |value| Value::Bytes(*value))));
    rows
}

fn row<T>(name: &'static str, input: &Input<T>, value: impl Fn(&T) -> Value) -> InputRow {
    InputRow {
        name,
        value: value(&input.value),
        source: input.source,
        confidence: input.confidence,
        samples: input.samples,
    }
}
