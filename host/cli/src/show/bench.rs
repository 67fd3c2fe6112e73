//! Table of the cost of calls, and its comparison with another package.

use frond_sandbox::profile::Profile;
use frond_test::measure::Measurement;
use frond_test::profile::Hot;

use super::page::{Line, Page, Tone};
use super::style::TermStyle;
use super::text::{big, bytes, millis, pad, pad_left, percent, plural, share};

/// Limit on the functions that are listed.
const MAX_HOT: usize = 10;
/// Limit on the width of the column of names.
const MAX_NAME: usize = 32;

/// Returns a table with a line for each case. With `other`, each case has a second line and the
/// difference below it.
#[must_use]
pub fn table(package: &str, measured: &[Measurement], other: Option<&[Measurement]>, style: TermStyle) -> String {
    let mut page = Page::new(style);
    let width = measured.iter().map(|one| one.name.chars().count()).max().unwrap_or(0).clamp(4, MAX_NAME);
    page.line(Line::new().tone(Tone::Strong, package));
    let columns = ["calls", "in", "fuel", "fuel/byte", "median", "min", "in/s", "memory"];
    let head: String = columns.iter().map(|name| format!(" {}", pad_left(name, 9))).collect();
    page.line(Line::new().tone(Tone::Dim, format!("  {}{head}", pad("case", width))));
    for (at, one) in measured.iter().enumerate() {
        row(&mut page, &one.name, width, one);
        if let Some(other) = other.and_then(|other| other.get(at)) {
            row(&mut page, "  other", width, other);
            compared(&mut page, width, one, other);
        }
    }
    page.into_text()
}

fn row(page: &mut Page, name: &str, width: usize, one: &Measurement) {
    let name = page.foreign(name, MAX_NAME);
    let lead = format!("  {}", pad(&name, width));
    if let Some(failed) = &one.failed {
        page.wrapped(width + 4, Line::new().put(lead).tone(Tone::Bad, format!("  failed: {failed}")));
        return;
    }
    let per_byte = if one.input > 0 && one.fuel > 0 { format!("{:.1}", one.fuel_per_byte()) } else { "–".to_owned() };
    let columns = [
        big(one.calls),
        bytes(one.input),
        if one.fuel > 0 { big(one.fuel) } else { "–".to_owned() },
        per_byte,
        millis(one.ms_median),
        millis(one.ms_min),
        bytes(one.throughput() as u64),
        bytes(one.memory),
    ];
    let cells: String = columns.iter().map(|cell| format!(" {}", pad_left(cell, 9))).collect();
    page.line(Line::new().put(lead).put(cells));
}

fn compared(page: &mut Page, width: usize, one: &Measurement, other: &Measurement) {
    if one.failed.is_some() || other.failed.is_some() {
        return;
    }
    let ratio =
        |of: f64, to: f64| if to > 0.0 { format!("{:+.1} %", (of / to - 1.0) * 100.0) } else { "–".to_owned() };
    let fuel = ratio(other.fuel as f64, one.fuel as f64);
    let time = ratio(other.ms_median, one.ms_median);
    let same = if one.results == other.results { "the same results" } else { "OTHER RESULTS" };
    let tone = if one.results == other.results { Tone::Dim } else { Tone::Warn };
    let text = format!("  {}  fuel {fuel}, time {time}, {same}", pad("", width));
    page.line(Line::new().tone(tone, text));
}

/// Returns the list of the functions with the highest cost of their bodies alone.
#[must_use]
pub fn hottest(case: &str, profile: &Profile, hot: &[Hot], style: TermStyle) -> String {
    let mut page = Page::new(style);
    let whole: u64 = hot.iter().map(|one| one.own).sum();
    page.blank();
    let samples = plural(profile.samples, "sample", "samples");
    page.line(Line::new().tone(Tone::Strong, format!("{case}: {samples}")));
    page.line(Line::new().tone(Tone::Dim, format!(" {} {}  function", pad_left("own", 9), pad_left("total", 9))));
    for one in hot.iter().filter(|one| one.own > 0).take(MAX_HOT) {
        let part = |weight: u64| pad_left(&percent(share(weight, whole)), 9);
        page.line(Line::new().put(format!(" {} {}  {}", part(one.own), part(one.total), one.name)));
    }
    page.into_text()
}
