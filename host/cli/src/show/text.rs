//! Formatting for people: text that is safe for a terminal and of bounded length, and numbers whose
//! rounding never misleads.

use std::borrow::Cow;
use std::fmt::Write as _;

use frond_root::{FailureKind, Floor, Status};
pub use frond_test::told::count;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Limit on the characters shown of one foreign text, such as a message or a line of a log.
pub const MAX_TEXT: usize = 400;
/// Limit on the characters of a partition's key.
pub const MAX_KEY: usize = 120;

/// Escapes text from a guest or a file name for printing: control characters, and those that
/// reorder or hide text (Unicode TR 36, "bidirectional text spoofing"), become visible. Text beyond
/// `limit` characters is cut off with a `…`. The function is idempotent.
#[must_use]
pub fn sanitise(text: &str, limit: usize) -> String {
    let mut safe = String::with_capacity(text.len().min(limit));
    let mut room = limit;
    for char in text.chars() {
        let before = safe.len();
        let cost = match char {
            '\n' | '\r' | '\t' => {
                safe.extend(char.escape_default());
                2
            }
            _ if is_unsafe(char) => {
                safe.extend(char.escape_unicode());
                safe.len() - before
            }
            _ => {
                safe.push(char);
                1
            }
        };
        if cost > room {
            safe.truncate(before);
            safe.push('…');
            break;
        }
        room -= cost;
    }
    safe
}

/// Returns true for a control character, or one that hides or reorders text.
pub(crate) fn is_unsafe(char: char) -> bool {
    char.is_control()
        || matches!(char,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{feff}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}')
}

/// Converts text to ASCII: the symbols of Frond's views to similar ones, other characters to
/// escapes.
#[must_use]
pub fn ascii(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '█' => plain.push('#'),
            '▒' => plain.push('%'),
            '─' => plain.push('-'),
            '░' | '—' => plain.push('-'),
            '·' => plain.push('.'),
            '×' => plain.push('x'),
            '…' => plain.push('~'),
            '│' => plain.push('|'),
            '└' => plain.push('`'),
            'µ' => plain.push('u'),
            _ if char.is_ascii() => plain.push(char),
            _ => plain.extend(char.escape_unicode()),
        }
    }
    Cow::Owned(plain)
}

/// Returns the width of `text` in columns.
#[must_use]
pub fn columns(text: &str) -> usize {
    text.width()
}

/// Shortens `text` to at most `limit` columns by replacing its middle with a `…`, because both ends
/// of keys and paths tell them apart.
#[must_use]
pub fn fit(text: &str, limit: usize) -> String {
    if columns(text) <= limit {
        return text.to_owned();
    }
    let room = limit.saturating_sub(1);
    let mut head = take(text.chars(), room / 2);
    let tail = take(text.chars().rev(), room - columns(&head).min(room));
    head.push('…');
    head.extend(tail.chars().rev());
    // Some characters are wider together than they are alone.
    while columns(&head) > limit && head.pop().is_some() {}
    head
}

fn take(chars: impl Iterator<Item = char>, limit: usize) -> String {
    let mut taken = String::new();
    let mut used = 0;
    for char in chars {
        used += char.width().unwrap_or(0);
        if used > limit {
            break;
        }
        taken.push(char);
    }
    taken
}

/// Pads `text` on the right to `width` columns.
#[must_use]
pub fn pad(text: &str, width: usize) -> String {
    let fill = width.saturating_sub(columns(text));
    format!("{text}{:fill$}", "")
}

/// Pads `text` on the left to `width` columns.
#[must_use]
pub fn pad_left(text: &str, width: usize) -> String {
    let fill = width.saturating_sub(columns(text));
    format!("{:fill$}{text}", "")
}

/// Formats a duration in microseconds to about three digits: `812 µs`, `43.1 ms`, `1.79 s`, `2 min
/// 03 s`, `1 h 02 min`.
#[must_use]
pub fn duration(micros: u64) -> String {
    let hundredths = |of: u64| ((micros / (of / 100)) % 100, micros / of);
    match micros {
        0..1_000 => format!("{micros} µs"),
        1_000..100_000 => format!("{}.{} ms", micros / 1_000, micros / 100 % 10),
        100_000..1_000_000 => format!("{} ms", micros / 1_000),
        1_000_000..60_000_000 => {
            let (part, whole) = hundredths(1_000_000);
            format!("{whole}.{part:02} s")
        }
        60_000_000..3_600_000_000 => format!("{} min {:02} s", micros / 60_000_000, micros / 1_000_000 % 60),
        _ => format!("{} h {:02} min", micros / 3_600_000_000, micros / 60_000_000 % 60),
    }
}

/// Formats a duration in milliseconds, the unit of coverage reports.
#[must_use]
pub fn millis(ms: f64) -> String {
    duration(micros(ms))
}

/// Converts milliseconds to whole microseconds; NaN and negative values give 0.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the cast saturates, which is what is wanted"
)]
#[must_use]
pub fn micros(ms: f64) -> u64 {
    (ms * 1e3).round() as u64
}

/// Formats a share of 0 to 1 in percent, rounded down: only 1 reads `100 %`, and only 0 reads `0
/// %`.
#[must_use]
pub fn percent(share: f64) -> String {
    let share = share.clamp(0.0, 1.0);
    if share > 0.0 && share < 0.001 {
        return "<0.1 %".to_owned();
    }
    // The small addend compensates that 0.29 × 1000 is 289.999….
    let tenths = (share * 1e3 + 1e-6).floor();
    let tenths = if share < 1.0 { tenths.min(999.0) } else { tenths };
    if tenths % 10.0 == 0.0 { format!("{:.0} %", tenths / 10.0) } else { format!("{:.1} %", tenths / 10.0) }
}

/// Returns `part / whole`, or 1 if `whole` is 0.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "for display")]
pub fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 1.0 } else { part as f64 / whole as f64 }
}

/// Formats a factor: `3.1×`, `120×`.
#[must_use]
pub fn times(factor: f64) -> String {
    match factor {
        f if f < 10.0 => format!("{f:.1}×"),
        f if f < 1e6 => format!("{f:.0}×"),
        _ => ">1,000,000×".to_owned(),
    }
}
/// Formats a count with its noun: `1 retry`, `2 retries`.
#[must_use]
pub fn plural(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(number), if number == 1 { one } else { many })
}

/// Formats a number of bytes: `812 B`, `4.0 KiB`, `1.3 GiB`.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "for display")]
pub fn bytes(number: u64) -> String {
    let mut value = number as f64;
    let mut unit = "B";
    for next in ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"] {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    if unit == "B" { format!("{number} B") } else { format!("{value:.1} {unit}") }
}

/// Formats a large number with a decimal prefix: `812`, `1.3 M`, `2.0 G`.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "for display")]
pub fn big(number: u64) -> String {
    let mut value = number as f64;
    let mut unit = "";
    for next in [" k", " M", " G", " T", " P", " E"] {
        if value < 1000.0 {
            break;
        }
        value /= 1000.0;
        unit = next;
    }
    if unit.is_empty() { number.to_string() } else { format!("{value:.1}{unit}") }
}

/// Formats Unix milliseconds as a date and a time of day in UTC. The calendar arithmetic is
/// `civil_from_days` of Howard Hinnant's "chrono-compatible low-level date algorithms".
#[must_use]
pub fn date(unix_ms: u64) -> String {
    let seconds = unix_ms / 1000;
    let days = seconds / 86_400 + 719_468;
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let mut text = format!("{year:04}-{month:02}-{day:02}");
    let hour = seconds / 3600 % 24;
    let minute = seconds / 60 % 60;
    let second = seconds % 60;
    let _ = write!(text, " {hour:02}:{minute:02}:{second:02} UTC");
    text
}

/// Formats a floor in words.
#[must_use]
pub fn floor(floor: Floor) -> String {
    match floor {
        Floor::All => "floor: all".to_owned(),
        Floor::AtLeast(fraction) => format!("floor {}", percent(fraction)),
        Floor::BestEffort => "floor: anything".to_owned(),
    }
}

/// Formats a partition's status in words.
#[must_use]
pub fn status(status: Status) -> &'static str {
    match status {
        Status::Skipped => "skipped",
        Status::Succeeded => "succeeded",
        Status::Degraded => "degraded",
        Status::Failed => "failed",
        Status::TimedOut => "timed out",
        Status::Cancelled => "cancelled",
        Status::NotStarted => "not started",
    }
}

/// Formats failure kinds with their counts: `2 trap · 1 lost`.
#[must_use]
pub fn slugs<'a>(counts: impl IntoIterator<Item = (&'a FailureKind, &'a u64)>) -> String {
    let parts: Vec<_> = counts.into_iter().map(|(kind, number)| format!("{} {kind}", count(*number))).collect();
    parts.join(" · ")
}

#[cfg(test)]
mod tests;
