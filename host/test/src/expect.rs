//! Expectations of a case, and their comparison with the observed outcome.

use std::path::PathBuf;

use bytes::Bytes;
use frond_app::Size;
use frond_root::FailureKind;
use serde::Deserialize;
use serde_json::Value;

use crate::diff::{diff, hex, indent, shown};
use crate::fixture::{CaseFiles, Fixture};
use crate::json::Json;
use crate::observed::Observed;

/// Table `[expect]` of a case, as written.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct ExpectTable {
    text: Option<String>,
    json: Option<toml::Value>,
    file: Option<PathBuf>,
    text_file: Option<PathBuf>,
    json_file: Option<PathBuf>,
    snapshot: Option<PathBuf>,
    failure: Option<FailureKind>,
    reason: Option<String>,
    message: Option<String>,
    log: Option<String>,
    max_fuel: Option<u64>,
    max_memory: Option<Size>,
    outcome: Option<String>,
    coverage: Option<toml::Table>,
    keys: Option<Vec<String>>,
    emitted: Option<f64>,
}

/// The expected outcome of a case.
#[derive(Clone, Debug, Default)]
pub struct Expect {
    /// The result, if the case gives one.
    pub result: Option<Expected>,
    /// Kind of the failure, if the call is to fail.
    pub failure: Option<FailureKind>,
    /// Reason why a query has no answer: `below-floor`, `deadline`, `cancelled`, `invalid-query`,
    /// `split`, `merge`.
    pub reason: Option<String>,
    /// Text that the failure's message must contain.
    pub message: Option<String>,
    /// Text that some line of the log must contain.
    pub log: Option<String>,
    /// Limit on the fuel of the call, or of any leaf of the query.
    pub max_fuel: Option<u64>,
    /// Limit on the memory of the call, or of any leaf of the query, in bytes.
    pub max_memory: Option<u64>,
    /// `complete`, `partial` or `failed`.
    pub outcome: Option<String>,
    /// Numbers of partitions, by the names of the coverage report.
    pub coverage: Option<toml::Table>,
    /// The keys that a split returns.
    pub keys: Option<Vec<String>>,
    /// The share of the partition that the leaf's last emitted partial covers.
    pub emitted: Option<f64>,
}

/// An expected result, given inline or by a file.
#[derive(Clone, Debug)]
pub struct Expected {
    /// How it is compared.
    pub form: Form,
    /// Its file; `None` when it is inline.
    pub file: Option<PathBuf>,
    /// Its bytes; `None` for a file that does not exist yet.
    pub bytes: Option<Bytes>,
}

/// Comparison of a result with its expectation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Byte by byte, as text.
    Text,
    /// As JSON values: whitespace and the order of keys do not matter.
    Json,
    /// Byte by byte.
    Bytes,
    /// The text of the whole outcome, including failures.
    Snapshot,
}

/// One difference between the expected and the observed outcome.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Difference {
    /// The difference in words.
    pub what: String,
    /// Line diff: `-` marks expected lines and `+` observed ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub diff: Option<String>,
}

impl Difference {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), diff: None }
    }
}

impl Expect {
    pub(crate) fn read(wanted: &ExpectTable, beside: &CaseFiles<'_>) -> Result<Self, Fixture> {
        let expect = Self {
            result: result(wanted, beside)?,
            failure: wanted.failure,
            reason: wanted.reason.clone(),
            message: wanted.message.clone(),
            log: wanted.log.clone(),
            max_fuel: wanted.max_fuel,
            max_memory: wanted.max_memory.map(|size| size.0),
            outcome: wanted.outcome.clone(),
            coverage: wanted.coverage.clone(),
            keys: wanted.keys.clone(),
            emitted: wanted.emitted,
        };
        let fails = expect.failure.is_some() || expect.reason.is_some();
        if fails && expect.result.as_ref().is_some_and(|result| result.form != Form::Snapshot) {
            return Err(Fixture::new("expects both a failure and a result"));
        }
        Ok(expect)
    }

    /// Returns true if the case gives no expectation.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.result.is_none()
            && self.failure.is_none()
            && self.reason.is_none()
            && self.outcome.is_none()
            && self.keys.is_none()
            && self.emitted.is_none()
    }

    /// Returns the differences between the expected and the observed outcome.
    pub(crate) fn hold(&self, observed: &Observed) -> Vec<Difference> {
        let mut wrong = Vec::new();
        self.hold_result(observed, &mut wrong);
        self.hold_query(observed, &mut wrong);
        if let Some(text) = &self.log
            && !observed.log.iter().any(|line| line.contains(text.as_str()))
        {
            wrong.push(Difference::new(format!("no line of the log contains `{text}`")));
        }
        let over = |what: &str, used: u64, most: Option<u64>, wrong: &mut Vec<Difference>| {
            if let Some(most) = most.filter(|most| used > *most) {
                wrong.push(Difference::new(format!("used {used} of {what}, more than the {most} expected")));
            }
        };
        over("fuel", observed.usage.fuel, self.max_fuel, &mut wrong);
        over("bytes of memory", observed.usage.memory, self.max_memory, &mut wrong);
        if let Some(share) = self.emitted
            && observed.emitted != Some(share)
        {
            let found = observed.emitted.map_or("nothing".to_owned(), |share| share.to_string());
            wrong.push(Difference::new(format!("emitted {found}, expected a partial for {share}")));
        }
        if let (Some(first), Some(cause)) = (wrong.first_mut(), observed.cause()) {
            // Before the remedy, which has a line of its own.
            let end = first.what.find('\n').unwrap_or(first.what.len());
            first.what.insert_str(end, &format!("\n{cause}"));
        }
        wrong
    }

    fn hold_result(&self, observed: &Observed, wrong: &mut Vec<Difference>) {
        let fails = self.failure.is_some() || self.reason.is_some();
        match (&self.result, &observed.result) {
            (Some(expected), _) if expected.form == Form::Snapshot => {
                let found = observed.snapshot();
                let text = expected.bytes.as_ref().map(|bytes| String::from_utf8_lossy(bytes).into_owned());
                match text {
                    None => wrong.push(missing(expected)),
                    Some(text) if text.trim_end() == found.trim_end() => {}
                    Some(text) => wrong.push(differs("the snapshot differs", &text, &found)),
                }
            }
            (Some(expected), Ok(found)) => wrong.extend(compare(expected, found)),
            (_, Err(failure)) if !fails && self.outcome.as_deref() != Some("failed") => {
                wrong.push(Difference::new(format!("failed: {}", failure.text())));
            }
            (None, Ok(found)) if fails => {
                let what = Difference::new("succeeded where a failure is expected");
                wrong.push(Difference { diff: Some(indent(&shown(found))), ..what });
            }
            _ => {}
        }
        if let (Some(kind), Err(failure)) = (self.failure, &observed.result)
            && failure.kind() != Some(kind)
        {
            wrong.push(Difference::new(format!("failed otherwise than with {kind}: {}", failure.text())));
        }
        if let (Some(reason), Err(failure)) = (&self.reason, &observed.result)
            && failure.reason() != Some(reason.as_str())
        {
            wrong.push(Difference::new(format!("has no answer for another reason than {reason}: {}", failure.text())));
        }
        if let (Some(text), Err(failure)) = (&self.message, &observed.result)
            && !failure.text().contains(text.as_str())
        {
            wrong.push(Difference::new(format!("the message does not contain `{text}`: {}", failure.text())));
        }
    }

    fn hold_query(&self, observed: &Observed, wrong: &mut Vec<Difference>) {
        if let Some(outcome) = &self.outcome
            && observed.outcome != Some(outcome.as_str())
        {
            let found = observed.outcome.unwrap_or("no query");
            wrong.push(Difference::new(format!("the outcome is {found}, expected {outcome}")));
        }
        // Unless the case says otherwise, a query's answer must be complete.
        if self.outcome.is_none() && self.result.is_some() && observed.outcome == Some("partial") {
            wrong.push(Difference::new("the answer is partial\n(write `outcome = \"partial\"` if that is expected)"));
        }
        for (name, expected) in self.coverage.iter().flatten() {
            let found =
                observed.partitions.as_ref().and_then(|partitions| partitions.get(name)).and_then(Value::as_i64);
            if found != expected.as_integer() {
                let found = found.map_or("unknown".to_owned(), |found| found.to_string());
                wrong.push(Difference::new(format!("coverage: {name} is {found}, expected {expected}")));
            }
        }
        if let Some(keys) = &self.keys
            && observed.keys.as_ref() != Some(keys)
        {
            let found = observed.keys.clone().unwrap_or_default();
            wrong.push(differs("the keys differ", &keys.join("\n"), &found.join("\n")));
        }
    }
}

fn result(wanted: &ExpectTable, beside: &CaseFiles<'_>) -> Result<Option<Expected>, Fixture> {
    let inline = |form, text: &String| (form, None, Some(Bytes::copy_from_slice(text.as_bytes())));
    let file = |form, path: &PathBuf| (form, Some(path.clone()), None);
    let json = wanted.json.as_ref().map(json).transpose()?;
    let given = [
        wanted.text.as_ref().map(|text| inline(Form::Text, text)),
        json.as_ref().map(|text| inline(Form::Json, text)),
        wanted.file.as_ref().map(|path| file(Form::Bytes, path)),
        wanted.text_file.as_ref().map(|path| file(Form::Text, path)),
        wanted.json_file.as_ref().map(|path| file(Form::Json, path)),
        wanted.snapshot.as_ref().map(|path| file(Form::Snapshot, path)),
    ];
    let mut given = given.into_iter().flatten();
    let Some((form, path, bytes)) = given.next() else {
        return Ok(None);
    };
    if given.next().is_some() {
        return Err(Fixture::new("expects more than one of text, json, file, text-file, json-file and snapshot"));
    }
    let bytes = match &path {
        // `--bless` writes a file that does not exist yet.
        Some(named) if beside.path(named).exists() => Some(beside.bytes(named)?),
        Some(_) => None,
        None => bytes,
    };
    Ok(Some(Expected { form, file: path.map(|named| beside.path(&named)), bytes }))
}

/// Returns the expected JSON as text: a string already is JSON, other TOML values are converted.
fn json(value: &toml::Value) -> Result<String, Fixture> {
    let value = match value {
        toml::Value::String(text) => Json::read(text.as_bytes()).map(|json| json.pretty()),
        other => serde_json::to_string(other),
    };
    value.map_err(|error| Fixture::new(format!("`expect.json` is not JSON: {error}")))
}

fn compare(expected: &Expected, found: &Bytes) -> Option<Difference> {
    let Some(bytes) = &expected.bytes else {
        return Some(missing(expected));
    };
    if expected.form == Form::Json {
        return match (Json::read(bytes), Json::read(found)) {
            (Ok(wanted), Ok(found)) if wanted == found => None,
            (Ok(_), Ok(_)) => Some(differs("the result differs", &shown(bytes), &shown(found))),
            (Err(error), _) => Some(Difference::new(format!("what is expected is not JSON: {error}"))),
            (_, Err(error)) => {
                let what = Difference::new(format!("the result is not JSON: {error}"));
                Some(Difference { diff: Some(indent(&shown(found))), ..what })
            }
        };
    }
    if bytes == found {
        return None;
    }
    let same = shown(bytes) == shown(found);
    let (bytes, found) = if same { (hex(bytes), hex(found)) } else { (shown(bytes), shown(found)) };
    Some(differs("the result differs", &bytes, &found))
}

fn missing(expected: &Expected) -> Difference {
    let path = expected.file.as_ref().map_or(String::new(), |path| path.display().to_string());
    Difference::new(format!("there is no file `{path}`\n(--bless writes it from the actual result)"))
}

fn differs(what: &str, expected: &str, found: &str) -> Difference {
    Difference { what: format!("{what} (- expected, + found)"), diff: Some(diff(expected, found)) }
}
