//! Explanation of a recorded query: the verdict, the waterfall, the critical path, and the figures
//! behind them.

use std::path::Path;

use super::model::Model;
use super::model::build::Builder;
use super::model::figures::{Quantiles, Slot};
use super::page::{Line, Page, Tone};
use super::style::TermStyle;
use super::summary::{Verdict, unit_row, verdict_rows};
use super::text::{self, count, duration, fit, pad, pad_left, percent, plural, share, times};
use super::waterfall::waterfall;
use crate::record::{self, Ending, RecordError};

/// Largest number of slots that are listed one by one.
const MAX_SLOTS: usize = 8;
/// Width of a slot's bar.
const BAR: usize = 30;

/// Reads the recording at `path` and explains it.
///
/// # Errors
/// See [`record::read`].
pub fn file(path: &Path, style: TermStyle) -> Result<String, RecordError> {
    let mut builder = Builder::default();
    let ending = record::read(path, |event| builder.take(&event))?;
    Ok(explain(&builder.build(), ending, style))
}

/// Explains a query. `ending` says how its recording ends.
#[must_use]
pub fn explain(model: &Model, ending: Ending, style: TermStyle) -> String {
    let mut page = Page::new(style);
    head(&mut page, model);
    outcome(&mut page, model, ending);
    heading(&mut page, "waterfall");
    waterfall(&mut page, model);
    critical_path(&mut page, model);
    stragglers(&mut page, model);
    quantiles(&mut page, model);
    slots(&mut page, model);
    troubles(&mut page, model);
    written(&mut page, model);
    page.into_text()
}

fn heading(page: &mut Page, text: &str) {
    page.blank();
    page.line(Line::new().tone(Tone::Strong, text));
}

fn head(page: &mut Page, model: &Model) {
    let Some(head) = &model.head else {
        return page.line(Line::new().tone(Tone::Bad, "the query's start is not recorded"));
    };
    let words = format!("   query {}   {}", head.query, text::date(head.unix_ms));
    page.wrapped(2, Line::new().tone(Tone::Strong, &head.app).put(words));
    let mut parts = vec![
        plural(head.slots as u64, "slot", "slots"),
        format!("deadline {}", duration(head.deadline)),
        text::floor(head.floor),
    ];
    if let Some(planned) = model.planned {
        parts.insert(0, plural(planned.partitions, "partition", "partitions"));
        parts.push(format!("weight {}", count(planned.weight)));
    }
    page.wrapped(2, Line::new().put(parts.join(" · ")));
}

fn outcome(page: &mut Page, model: &Model, ending: Ending) {
    if let Some(end) = &model.end {
        verdict_rows(
            page,
            Verdict { outcome: &end.outcome, reason: end.reason.as_ref(), coverage: &end.coverage },
            // The failures have a section below if events report them; the failure of a finish is
            // only shown here.
            model.troubles.is_empty(),
        );
        unit_row(page, &end.coverage);
    } else {
        page.wrapped(9, Line::new().tone(Tone::Bad, "no end   ").put(stopped(model, ending)));
    }
    let note = |page: &mut Page, text: &str| page.wrapped(9, Line::new().tone(Tone::Warn, "note     ").put(text));
    if let (Ending::Cut { line }, Some(_)) = (ending, &model.end) {
        note(page, &format!("line {} is incomplete", count(line)));
    }
    if model.odd > 0 {
        let odd = plural(model.odd, "event is", "events are");
        note(page, &format!("{odd} inconsistent with the rest of the recording"));
    }
}

fn stopped(model: &Model, ending: Ending) -> String {
    let place = match ending {
        Ending::Cut { line } => format!("in the middle of line {}", count(line)),
        Ending::Early { lines } => format!("after line {}", count(lines)),
        Ending::Whole => "here".to_owned(),
    };
    let phase = match (model.planned, model.gather_end) {
        (None, _) => "before the plan was ready".to_owned(),
        (_, Some(_)) => "while it merged".to_owned(),
        _ => format!(
            "with {} of {} settled",
            count(model.settled()),
            plural(model.partitions(), "partition", "partitions")
        ),
    };
    let after = duration(model.last);
    format!("the recording stops {place}, {after} into the query, {phase}: the query was killed, or still runs")
}

fn critical_path(page: &mut Page, model: &Model) {
    let steps = model.critical_path();
    let total = model.until();
    if steps.is_empty() {
        return;
    }
    heading(page, "critical path");
    let limit = page.width().saturating_sub(24).max(8);
    let names: Vec<_> = steps.iter().map(|step| fit(&page.foreign(&step.what, text::MAX_TEXT), limit)).collect();
    let wide = names.iter().map(|name| text::columns(name)).max().unwrap_or(0);
    for (step, name) in steps.iter().zip(&names) {
        let time = pad_left(&duration(step.time()), 12);
        let part = pad_left(&percent(share(step.time(), total)), 8);
        page.line(Line::new().put(format!("{}{time}{part}", pad(name, wide))));
    }
}

fn stragglers(page: &mut Page, model: &Model) {
    let (found, more) = model.stragglers();
    if found.is_empty() {
        return;
    }
    heading(page, "stragglers");
    let limit = page.width() / 2;
    let keys: Vec<_> = found.iter().map(|one| fit(&page.foreign(&one.lane.key, text::MAX_KEY), limit)).collect();
    let wide = keys.iter().map(|key| text::columns(key)).max().unwrap_or(0);
    for (one, key) in found.iter().zip(&keys) {
        let time = pad_left(&duration(one.time), 12);
        let end = if one.cut_off { ", and was cut off" } else { "" };
        let factor = times(one.times_median);
        page.line(Line::new().put(format!("{}{time}   {factor} median{end}", pad(key, wide))));
    }
    if more > 0 {
        page.line(Line::new().tone(Tone::Dim, format!("and {} more", count(more))));
    }
}

fn quantiles(page: &mut Page, model: &Model) {
    let rows = [
        ("leaf, succeeded", model.leaf_times()),
        ("wait for a slot", model.queue_times()),
        ("wait without one", model.wait_times()),
        ("merge", model.fold_times()),
    ];
    if rows.iter().all(|(_, row)| row.is_none()) {
        return;
    }
    heading(page, "times (quantiles by nearest rank)");
    // Columns get narrower in a narrow terminal, the first one most.
    let cell = if page.width() < 80 { 11 } else { 13 };
    let name_wide = page.width().saturating_sub(cell * 4 + 9).min(16);
    let line = |name: &str, n: &str, cells: [String; 4]| {
        let mut line = format!("{}{}", pad(&fit(name, name_wide), name_wide), pad_left(n, 9));
        for text in cells {
            line.push_str(&pad_left(&text, cell));
        }
        Line::new().put(line)
    };
    page.line(line("", "n", ["p50", "p90", "p99", "max"].map(str::to_owned)));
    for (name, row) in rows {
        if let Some(Quantiles { n, p50, p90, p99, max }) = row {
            page.line(line(name, &count(n), [p50, p90, p99, max].map(duration)));
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "an average, for display")]
fn slots(page: &mut Page, model: &Model) {
    let used = model.slots();
    let declared = model.head.as_ref().map_or(0, |head| head.slots).max(used.len());
    let (Some(least), Some(most)) = (
        used.iter().min_by(|one, other| one.share.total_cmp(&other.share)),
        used.iter().max_by(|one, other| one.share.total_cmp(&other.share)),
    ) else {
        return;
    };
    let busy = used.iter().map(|slot| slot.share).sum::<f64>() / declared as f64;
    heading(page, "slots");
    let words = format!(
        "{} used of {}, busy {} of the time from the plan to the gather's end",
        count(used.len() as u64),
        count(declared as u64),
        percent(busy)
    );
    page.wrapped(2, Line::new().put(words));
    if model.warm > 0 {
        let attempts = plural(model.attempts().len() as u64, "attempt", "attempts");
        let words = format!("{} of {attempts} ran warm: the instance had served earlier partitions", count(model.warm));
        page.wrapped(2, Line::new().put(words));
    }
    if model.waiting > 0 {
        let attempts = plural(model.attempts().len() as u64, "attempt", "attempts");
        let sum = duration(model.waited);
        let words = format!("{} of {attempts} waited without a slot, {sum} in all", count(model.waiting));
        page.wrapped(2, Line::new().put(words));
    }
    if used.len() <= MAX_SLOTS {
        used.iter().for_each(|slot| slot_row(page, model, slot));
    } else {
        slot_row(page, model, most);
        slot_row(page, model, least);
        page.line(Line::new().tone(Tone::Dim, "(the busiest and the idlest)"));
    }
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share of few columns"
)]
fn slot_row(page: &mut Page, model: &Model, slot: &Slot) {
    let filled = ((slot.share * BAR as f64).round() as usize).min(BAR);
    let bar = format!("{}{}", "█".repeat(filled), "·".repeat(BAR - filled));
    let name = pad(&format!("slot {}", slot.slot), 9);
    let part = pad_left(&percent(slot.share), 8);
    let number = plural(slot.attempts, "attempt", "attempts");
    let warm = if slot.warm > 0 { format!(", {} warm", count(slot.warm)) } else { String::new() };
    let worker = model.workers.get(&slot.slot).map(|worker| format!(", worker {worker}")).unwrap_or_default();
    page.line(Line::new().put(format!("{name}{bar}{part}   {number}{warm}{worker}")));
}

fn troubles(page: &mut Page, model: &Model) {
    if model.troubles.is_empty() {
        return;
    }
    heading(page, "failures");
    for trouble in &model.troubles {
        let example = &trouble.example;
        let line = Line::new()
            .put(format!("{} ", count(trouble.count)))
            .tone(Tone::Bad, trouble.kind.slug())
            .put(format!(", first at {}: {}", trouble.place, example.message));
        page.wrapped(4, line);
        example.details(page, 4);
    }
}

fn written(page: &mut Page, model: &Model) {
    if !model.written.is_empty() {
        heading(page, "written by leaves that succeeded");
        model.written.rows(page, "", usize::MAX);
    }
}

#[cfg(test)]
mod tests;
