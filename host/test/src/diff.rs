//! Results as text for people, and their differences line by line.

use std::fmt::Write as _;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use similar::{ChangeTag, TextDiff};

use crate::json::Json;

/// Unchanged lines around each difference of a diff.
const CONTEXT: usize = 2;
/// Limit on the lines of a diff.
const MAX_DIFF: usize = 60;
/// Limit in bytes on each side of a diff.
const MAX_TEXT: usize = 256 << 10;

/// Formats bytes for people: JSON indented, text as it is, other bytes in base 64.
pub(crate) fn shown(bytes: &[u8]) -> String {
    match (Json::read(bytes), std::str::from_utf8(bytes)) {
        (Ok(json), _) => json.pretty(),
        (_, Ok(text)) => text.to_owned(),
        _ => format!("base64:{}", BASE64_STANDARD.encode(bytes)),
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    let lines = bytes.chunks(16).map(|line| line.iter().map(|byte| format!("{byte:02x} ")).collect::<String>());
    lines.collect::<Vec<_>>().join("\n")
}

pub(crate) fn indent(text: &str) -> String {
    let lines: Vec<String> = clip(text).lines().take(MAX_DIFF).map(|line| format!("  {line}\n")).collect();
    lines.concat()
}

fn clip(text: &str) -> &str {
    let mut end = text.len().min(MAX_TEXT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

/// Returns the differing lines with a few unchanged lines around them.
pub(crate) fn diff(expected: &str, found: &str) -> String {
    let expected = clip(expected);
    let found = clip(found);
    let diff = TextDiff::from_lines(expected, found);
    let mut text = String::new();
    let mut lines = 0;
    for group in diff.grouped_ops(CONTEXT) {
        if let Some(first) = group.first() {
            let _ = writeln!(text, "@ line {}", first.old_range().start + 1);
        }
        for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
            lines += 1;
            if lines > MAX_DIFF {
                text.push_str("… and more\n");
                return text;
            }
            let sign = match change.tag() {
                ChangeTag::Delete => '-',
                ChangeTag::Insert => '+',
                ChangeTag::Equal => ' ',
            };
            let _ = writeln!(text, "{sign} {}", change.value().trim_end_matches('\n'));
        }
    }
    text
}
