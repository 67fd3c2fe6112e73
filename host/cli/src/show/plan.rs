//! A plan of an app's queries: its figures, the curve around it, and the inputs with their sources.

use frond_plan::{Confidence, InputRow, Plan, Point, Source, Value, probability, rows};

use super::page::{Line, Page, Tone};
use super::style::TermStyle;
use super::table::Table;
use super::text::{self, MAX_TEXT, count, duration};

/// Width of the column of labels.
const LABEL: usize = 16;
/// Width of the column of values.
const VALUE: usize = 12;

/// Returns the whole view. `basis` says where the inputs come from.
pub(crate) fn plan(plan: &Plan, basis: &str, style: TermStyle) -> String {
    let mut page = Page::new(style);
    let basis = page.foreign(basis, MAX_TEXT);
    page.wrapped(2, Line::new().tone(Tone::Strong, "plan   ").put(basis));
    page.blank();
    for row in rows(plan) {
        let value = text::pad_left(&shown(&row.value), VALUE);
        let label = text::pad(row.label, LABEL);
        let line = Line::new().put(format!("{label}{value}")).tone(Tone::Dim, format!("   {}", row.note));
        page.wrapped(LABEL + VALUE + 3, line);
    }
    for note in &plan.notes {
        page.wrapped(9, Line::new().tone(Tone::Warn, "note     ").put(note.as_str()));
    }
    let mut whole = page.into_text();
    for section in [curve(plan, style), inputs(plan, style)].into_iter().filter(|section| !section.is_empty()) {
        whole.push('\n');
        whole.push_str(&section);
    }
    whole
}

/// Returns a value with its unit.
fn shown(value: &Value) -> String {
    match value {
        Value::Count(number) => count(*number),
        Value::Seconds(time) => seconds(*time),
        Value::Bytes(size) => text::bytes(*size),
        Value::Share(share) => probability(*share),
        Value::Text(words) => words.clone(),
    }
}

fn seconds(time: f64) -> String {
    if time.is_finite() { duration(text::micros(time * 1e3)) } else { "endless".to_owned() }
}

/// Returns the curve: layouts of an app, or the availability alone.
fn curve(plan: &Plan, style: TermStyle) -> String {
    if plan.curve.is_empty() {
        let mut table = Table::new(["leaves", "availability"], [true, true]);
        for point in &plan.availability_curve {
            table.row(tone(point.pieces, plan.pieces), [count(point.pieces), probability(point.availability)]);
        }
        return table.render(style);
    }
    let head = ["leaves", "pieces", "expected", "p50", "p99", "slot time", "efficiency", "availability"];
    let mut table = Table::new(head, [true; 8]);
    for point in &plan.curve {
        table.row(tone(point.leaves, plan.leaves), cells(point));
    }
    table.render(style)
}

fn tone(number: u64, chosen: u64) -> Tone {
    if number == chosen { Tone::Strong } else { Tone::Plain }
}

fn cells(point: &Point) -> [String; 8] {
    [
        count(point.leaves),
        count(point.pieces),
        seconds(point.time),
        seconds(point.spread.p50),
        seconds(point.spread.p99),
        seconds(point.slot_seconds),
        text::percent(point.efficiency),
        probability(point.availability),
    ]
}

fn inputs(plan: &Plan, style: TermStyle) -> String {
    let mut table = Table::new(["input", "value", "from", "confidence"], [false, true, false, false]);
    for row in &plan.inputs {
        let tone = if row.confidence == Confidence::Low { Tone::Warn } else { Tone::Plain };
        table.row(tone, [row.name.to_owned(), shown(&row.value), source(row.source).to_owned(), confidence(row)]);
    }
    table.render(style)
}

fn source(source: Source) -> &'static str {
    match source {
        Source::Recording => "recording",
        Source::Calibration => "calibration",
        Source::Given => "command line",
        Source::App => "app",
        Source::Machine => "this machine",
        Source::Default => "default",
    }
}

fn confidence(row: &InputRow) -> String {
    let word = match row.confidence {
        Confidence::Low => "low",
        Confidence::Medium => "medium",
        Confidence::High => "high",
    };
    match row.samples {
        0 => word.to_owned(),
        samples => format!("{word} ({})", text::plural(samples, "sample", "samples")),
    }
}

#[cfg(test)]
mod tests;
