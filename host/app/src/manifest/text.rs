//! Text of `frond.toml`: maps offsets to lines, and the parser's errors to messages.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use frond_root::quote::{clipped, shortened};
use serde::de::DeserializeOwned;
use toml::de::{DeTable, DeValue};

use crate::error::{AppError, Complaint, Location};

/// Longest key that an error names, with its sections, in bytes.
const MAX_KEY: usize = 256;

/// The text of a `frond.toml`.
pub(crate) struct Text {
    file: Arc<Path>,
    text: String,
    /// Offset of each line feed, so that finding a line does not read the text again.
    line_ends: Vec<usize>,
}

impl Text {
    /// Checks the text of a `frond.toml`.
    ///
    /// # Errors
    /// When it is not UTF-8, with the line.
    pub(crate) fn new(file: Arc<Path>, bytes: Vec<u8>) -> Result<Self, AppError> {
        let newline = |(at, byte): (usize, &u8)| (*byte == b'\n').then_some(at);
        let line_ends = bytes.iter().enumerate().filter_map(newline).collect();
        let (text, wrong) = match String::from_utf8(bytes) {
            Ok(text) => (text, None),
            Err(error) => (String::new(), Some(error.utf8_error().valid_up_to())),
        };
        let text = Self { file, text, line_ends };
        match wrong {
            None => Ok(text),
            Some(at) => Err(text.refuse(at, "", "not UTF-8, which TOML has to be", "")),
        }
    }

    /// Returns the place of the byte at `offset`.
    pub(crate) fn place(&self, offset: usize, key: impl Into<String>) -> Location {
        Location {
            file: Arc::clone(&self.file),
            line: self.line_ends.partition_point(|end| *end < offset) + 1,
            key: shortened(key.into(), MAX_KEY),
        }
    }

    /// Returns an error about the byte at `offset`.
    pub(crate) fn refuse(
        &self,
        offset: usize,
        key: impl Into<String>,
        text: impl Into<String>,
        hint: impl Into<String>,
    ) -> AppError {
        AppError::Manifest { at: self.place(offset, key), complaint: Complaint::new(text, hint), cause: None }
    }

    /// Refuses a list that is too long: `beyond` is the offset of its entry after the last that it
    /// may have, if it has one.
    pub(crate) fn few_enough(&self, key: &str, beyond: Option<usize>, most: usize, hint: &str) -> Result<(), AppError> {
        match beyond {
            Some(offset) => Err(self.refuse(offset, key, format!("there are more than {most}"), hint)),
            None => Ok(()),
        }
    }

    /// Parses the file, without resolving it.
    ///
    /// # Errors
    /// When it is not TOML, lacks a key, or has an unknown key or a value of the wrong type.
    pub(crate) fn parse<T: DeserializeOwned>(&self) -> Result<T, AppError> {
        toml::from_str(&self.text).map_err(|error| {
            let span = error.span().unwrap_or_default();
            let key =
                DeTable::parse(&self.text).ok().and_then(|table| key_of(table.get_ref(), &span)).unwrap_or_default();
            AppError::Manifest {
                complaint: explain(error.message(), &key),
                at: self.place(span.start, key),
                cause: None,
            }
        })
    }
}

/// Returns the key whose name or value is at `span`, with its sections.
fn key_of(table: &DeTable<'_>, span: &Range<usize>) -> Option<String> {
    table.iter().find_map(|(key, value)| {
        if key.span() == *span || value.span() == *span {
            return Some(key.get_ref().to_string());
        }
        let below = match value.get_ref() {
            DeValue::Table(table) => format!(".{}", key_of(table, span)?),
            DeValue::Array(items) => items.iter().enumerate().find_map(|(at, item)| match item.get_ref() {
                _ if item.span() == *span => Some(format!("[{at}]")),
                DeValue::Table(table) => Some(format!("[{at}].{}", key_of(table, span)?)),
                _ => None,
            })?,
            _ => return None,
        };
        Some(format!("{}{below}", key.get_ref()))
    })
}

/// Rewords the parser's message if it is a known one.
fn explain(message: &str, key: &str) -> Complaint {
    let quoted: Vec<_> = message.split('`').skip(1).step_by(2).collect();
    if let Some((unknown, known)) = quoted.split_first() {
        if message.starts_with("unknown field") {
            return Complaint::new("unknown key", choices(unknown, known));
        }
        if message.starts_with("unknown variant") {
            return Complaint::new(
                format!("`{}` is not a value of this key", clipped(unknown)),
                choices(unknown, known),
            );
        }
        if message.starts_with("missing field") {
            return missing(unknown, key);
        }
    }
    // serde's message for an enum given a value of another type; no enum here is written as a
    // table.
    if message == "wanted string or table" {
        return Complaint::new("expected a string", "");
    }
    let wrong = ["invalid type: ", "invalid value: "]
        .iter()
        .find_map(|start| message.strip_prefix(start))
        .and_then(|rest| rest.rsplit_once(", expected "));
    if let Some((found, expected)) = wrong {
        return Complaint::new(format!("expected {}, found {}", in_words(expected), in_words(found)), "");
    }
    match message.split_once("\n(") {
        Some((text, hint)) => Complaint::new(text, hint.trim_end_matches(')')),
        None => Complaint::new(message.replace('\n', ", "), ""),
    }
}

fn missing(field: &str, key: &str) -> Complaint {
    if key.is_empty() {
        return Complaint::new(format!("there is no [{field}] section"), "");
    }
    Complaint::new(format!("the key `{field}` is missing"), "")
}

/// Replaces Rust's type names by plain words.
fn in_words(expected: &str) -> &str {
    match expected {
        "u64" | "u32" => "a whole number, 0 or more",
        "i64" => "a whole number",
        "a boolean" => "true or false",
        "a sequence" | "sequence" => "a list",
        "a map" | "map" => "a table",
        other => other,
    }
}

/// Hint that lists the known words and names the one closest to `unknown`.
fn choices(unknown: &str, known: &[&str]) -> String {
    let all = known.iter().map(|one| format!("`{one}`")).collect::<Vec<_>>().join(", ");
    match closest(unknown, known) {
        Some(closest) => format!("did you mean `{closest}`? known here: {all}"),
        None => format!("known here: {all}"),
    }
}

/// Returns the known word that `word` most likely misspells: at most a third of its letters differ.
fn closest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    known
        .iter()
        .map(|one| (distance(&word.replace('_', "-"), one), *one))
        .filter(|(distance, one)| *distance <= one.len().max(word.len()).div_ceil(3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, one)| one)
}

/// Levenshtein distance of two words, computed row by row.
fn distance(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.chars().count()).collect();
    for (above, a) in from.chars().enumerate() {
        let mut diagonal = above;
        let mut left = above + 1;
        for (cell, b) in row.iter_mut().skip(1).zip(to.chars()) {
            let edited = (diagonal + usize::from(a != b)).min(left + 1).min(*cell + 1);
            diagonal = std::mem::replace(cell, edited);
            left = edited;
        }
        if let Some(first) = row.first_mut() {
            *first = above + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}
