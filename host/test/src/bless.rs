//! Rewrites expectations from the observed outcome, in the case's file or in the file that it
//! names.

use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use frond_root::FailureKind;
use toml_edit::{Array, DocumentMut, Item, Table, value};

use crate::case::Case;
use crate::diff::shown;
use crate::expect::Form;
use crate::fixture::MAX_FILES;
use crate::observed::{NoResult, Observed};
use crate::trial::{CaseResult, Verdict};

/// Rewrites the expectation of a case that failed or that expects nothing yet; returns true if the
/// case passes with it. An expectation that is compared as JSON stays JSON. The case still fails
/// for a difference that the rewrite does not cover, with a hint to change it by hand.
///
/// # Errors
/// When a file cannot be read or written.
pub fn bless(case: &Case, tried: &mut CaseResult) -> std::io::Result<bool> {
    let wrong = matches!(tried.verdict, Verdict::Failed { .. }) || case.expect.is_empty();
    let Some(observed) = tried.observed.as_deref().filter(|_| wrong) else {
        return Ok(false);
    };
    let named = case.expect.result.as_ref().and_then(|expected| Some((expected.form, expected.file.clone()?)));
    match (&observed.result, named) {
        (_, Some((Form::Snapshot, file))) => write(&file, observed.snapshot().as_bytes())?,
        (Ok(bytes), Some((_, file))) => write(&file, bytes)?,
        (Ok(bytes), None) => edit(&case.file, |expect| expected(expect, bytes, case))?,
        (Err(without), _) => edit(&case.file, |expect| failed(expect, without))?,
    }
    edit(&case.file, |expect| beside(expect, observed))?;
    tried.verdict = blessed(&case.file, observed);
    Ok(tried.verdict == Verdict::Blessed)
}

/// Verdict of the case under its rewritten file.
fn blessed(file: &Path, observed: &Observed) -> Verdict {
    let rewritten = match Case::read(file) {
        Ok(case) => case,
        Err(fixture) => return Verdict::Broken { why: fixture.what },
    };
    let mut wrong = rewritten.expect.hold(observed);
    if wrong.is_empty() {
        return Verdict::Blessed;
    }
    for one in &mut wrong {
        one.what.push_str("\n(--bless does not rewrite this: change it in the case's file)");
    }
    Verdict::Failed { wrong }
}

fn write(file: &Path, bytes: &[u8]) -> std::io::Result<()> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(file, bytes)
}

/// Changes `[expect]` and leaves the rest of the file as written. Atomic rename: the file appears
/// whole or not at all.
fn edit(file: &Path, change: impl FnOnce(&mut Table)) -> std::io::Result<()> {
    let other = |error: toml_edit::TomlError| std::io::Error::new(std::io::ErrorKind::InvalidData, error);
    let mut text: DocumentMut = frond_files::read_text(file, MAX_FILES)?.parse().map_err(other)?;
    let expect = text.entry("expect").or_insert(Item::Table(Table::new()));
    let Some(table) = expect.as_table_mut() else {
        let why = "`expect` must be a section with the header [expect]";
        return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, why));
    };
    change(table);
    let new: PathBuf = file.with_extension("toml.new");
    fs::write(&new, text.to_string())?;
    fs::rename(new, file)
}

const RESULTS: [&str; 5] = ["text", "json", "file", "text-file", "json-file"];
const FAILURES: [&str; 3] = ["failure", "reason", "message"];

fn expected(expect: &mut Table, bytes: &Bytes, case: &Case) {
    FAILURES.iter().for_each(|key| drop(expect.remove(key)));
    let json = serde_json::from_slice::<serde_json::Value>(bytes).is_ok();
    let form = case.expect.result.as_ref().map(|expected| expected.form);
    let key = if json && form != Some(Form::Text) { "json" } else { "text" };
    RESULTS.iter().filter(|other| **other != key).for_each(|other| drop(expect.remove(other)));
    expect.insert(key, value(if key == "json" { shown(bytes) } else { String::from_utf8_lossy(bytes).into_owned() }));
}

fn failed(expect: &mut Table, without: &NoResult) {
    RESULTS.iter().for_each(|key| drop(expect.remove(key)));
    // The failure's kind is enough, unless the case named a reason before.
    let named = expect.contains_key("reason") || without.kind().is_none();
    set(expect, "failure", without.kind().map(FailureKind::slug));
    set(expect, "reason", without.reason().filter(|_| named));
    set(expect, "message", None);
}

/// Sets the key to this text, or removes it when there is none.
fn set(expect: &mut Table, key: &str, text: Option<&str>) {
    match text {
        Some(text) => drop(expect.insert(key, value(text))),
        None => drop(expect.remove(key)),
    }
}

/// Updates counts and limits that the case already expects.
fn beside(expect: &mut Table, observed: &Observed) {
    let least = |used: u64| i64::try_from(used).unwrap_or(i64::MAX);
    let raise = |expect: &mut Table, key: &str, used: u64| {
        if let Some(most) = expect.get(key).and_then(Item::as_integer)
            && most < least(used)
        {
            expect.insert(key, value(least(used)));
        }
    };
    raise(expect, "max-fuel", observed.usage.fuel);
    raise(expect, "max-memory", observed.usage.memory);
    match (expect.contains_key("outcome"), observed.outcome) {
        (true, Some(outcome)) => drop(expect.insert("outcome", value(outcome))),
        (false, Some("partial")) => drop(expect.insert("outcome", value("partial"))),
        _ => {}
    }
    if let (true, Some(keys)) = (expect.contains_key("keys"), &observed.keys) {
        expect.insert("keys", value(keys.iter().collect::<Array>()));
    }
    if let (true, Some(share)) = (expect.contains_key("emitted"), observed.emitted) {
        expect.insert("emitted", value(share));
    }
    if let Some(coverage) = expect.get_mut("coverage").and_then(Item::as_table_like_mut) {
        let names: Vec<String> = coverage.iter().map(|(name, _)| name.to_owned()).collect();
        for name in names {
            let found =
                observed.partitions.as_ref().and_then(|counts| counts.get(&name)).and_then(|count| count.as_i64());
            if let Some(found) = found {
                coverage.insert(&name, value(found));
            }
        }
    }
}
