//! View of a simulation: its figures, and the waterfall of its slowest query.

use frond_root::Event;
use frond_sim::{Quantiles, SimReport, World};

use super::model::build::Builder;
use super::page::{Line, Page, Tone};
use super::style::TermStyle;
use super::text::{self, count, millis, pad, percent, plural, times};
use super::waterfall::waterfall;

/// Width of the first column: the longest label is `over the bound`.
const LABEL: usize = 16;

/// Returns the report of a simulation, with the slowest query's waterfall from its events.
pub(crate) fn view(world: &World, report: &SimReport, events: &[Event], style: TermStyle) -> String {
    let mut page = Page::new(style);
    page.wrapped(2, Line::new().tone(Tone::Strong, head(world, report)));
    for (label, text) in rows(report) {
        page.wrapped(LABEL, Line::new().tone(Tone::Dim, pad(label, LABEL)).put(text));
    }
    if !events.is_empty() {
        let mut builder = Builder::default();
        events.iter().for_each(|event| builder.take(event));
        page.blank();
        page.line(Line::new().tone(Tone::Strong, format!("waterfall of query {}", count(report.slowest.query))));
        waterfall(&mut page, &builder.build());
    }
    page.into_text()
}

fn head(world: &World, report: &SimReport) -> String {
    let workers = match world.cluster.workers.len() as u64 {
        0 => String::new(),
        number => format!(" of {}", plural(number, "worker", "workers")),
    };
    format!(
        "{} of {} on {}{workers}, seed {}",
        plural(report.queries, "query", "queries"),
        plural(world.query.partitions.into(), "partition", "partitions"),
        plural(report.slots as u64, "slot", "slots"),
        report.seed,
    )
}

fn rows(report: &SimReport) -> Vec<(&'static str, String)> {
    let outcomes = report.outcomes;
    let SimReport { attempts, units, .. } = report;
    let mut rows = vec![
        (
            "answers",
            format!(
                "{} complete, {} partial, {} failed, {} refused; {} of the weight on average",
                count(outcomes.complete),
                count(outcomes.partial),
                count(outcomes.failed),
                count(outcomes.refused),
                percent(report.coverage),
            ),
        ),
        ("time", quantiles(&report.ms, millis)),
    ];
    if let Some(over) = &report.over_bound {
        rows.push(("over the bound", quantiles(over, |factor| format!("{factor:.3}"))));
    }
    rows.push(("use of slots", percent(report.utilisation)));
    rows.push((
        "slot time",
        format!("{} for the answers, {} for nothing", millis(report.used_ms), millis(report.wasted_ms)),
    ));
    rows.push((
        "attempts",
        format!(
            "{}, of which {}, {}, {} ({} won)",
            count(attempts.started),
            plural(attempts.retries, "retry", "retries"),
            plural(attempts.cuts, "cut", "cuts"),
            plural(attempts.hedges, "copy", "copies"),
            count(attempts.hedge_wins),
        ),
    ));
    if !units.is_empty() {
        let parts = [("redone", units.redone), ("saved", units.saved), ("lost", units.lost)];
        let text = parts.map(|(name, number)| format!("{} {name}", text::big(number)));
        rows.push(("units", format!("{} taken, {}", text::big(units.taken), text.join(", "))));
    }
    if !report.failures.is_empty() {
        let failures = report.failures.iter().map(|(slug, number)| format!("{} {slug}", count(*number)));
        rows.push(("failures", failures.collect::<Vec<_>>().join(", ")));
    }
    if report.workers_lost > 0 {
        rows.push(("lost workers", count(report.workers_lost)));
    }
    let slowest = report.slowest;
    let over_median = if report.ms.p50 > 0.0 { slowest.ms / report.ms.p50 } else { 1.0 };
    let text = format!("query {}, {}, {} the median", count(slowest.query), millis(slowest.ms), times(over_median));
    rows.push(("slowest", text));
    rows
}

fn quantiles(all: &Quantiles, show: impl Fn(f64) -> String) -> String {
    let named = [("p50", all.p50), ("p90", all.p90), ("p99", all.p99), ("p99.9", all.p999), ("most", all.most)];
    named.map(|(name, number)| format!("{name} {}", show(number))).join(", ")
}
