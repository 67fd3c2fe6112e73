//! Limits that end guest calls: each with its key, its value, and one sentence for every display.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::call::{Bound, Unit};

/// Place where a limit is set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scope {
    /// `[limits.leaf]` in `frond.toml`.
    Leaf,
    /// `[limits.merge]` in `frond.toml`.
    Merge,
    /// `[limits.split]` in `frond.toml`.
    Split,
    /// The query's deadline.
    Query,
    /// The job's timeout.
    Job,
    /// `[limits]` in a test case.
    Case,
    /// A fault that a test injects.
    Fault,
    /// The environment of `frond run-test`.
    RunTest,
}

/// Name of a limit: the dotted key under which it is set, such as `limits.leaf.fuel`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct LimitKey {
    /// Place where the limit is set.
    pub scope: Scope,
    /// Quantity that the limit bounds.
    pub bound: Bound,
}

/// Limit that ended a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Limit {
    /// Name of the limit.
    pub key: LimitKey,
    /// Value, in the unit of its bound.
    pub value: u64,
}

/// Limits on the time of an attempt, whenever it begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TimeLimits {
    /// Time by which all leaves of the query must have ended.
    pub until: Instant,
    /// Limit behind `until`.
    pub limit: Limit,
    /// Time limit of one attempt, from its begin.
    pub each: Option<Duration>,
}

impl TimeLimits {
    /// Time by which an attempt that begins at `begun` must have ended, and the limit behind it.
    #[must_use]
    pub fn at(&self, begun: Instant) -> (Instant, Limit) {
        let own = self.each.and_then(|each| Some((begun.checked_add(each)?, Limit::time(Scope::Leaf, each))));
        own.filter(|(at, _)| *at < self.until).unwrap_or((self.until, self.limit))
    }
}

const SCOPES: [Scope; 8] =
    [Scope::Leaf, Scope::Merge, Scope::Split, Scope::Query, Scope::Job, Scope::Case, Scope::Fault, Scope::RunTest];

impl fmt::Display for LimitKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = self.bound.word();
        match self.scope {
            Scope::Leaf => write!(f, "limits.leaf.{word}"),
            Scope::Merge => write!(f, "limits.merge.{word}"),
            Scope::Split => write!(f, "limits.split.{word}"),
            Scope::Query => f.write_str("query.deadline"),
            Scope::Job => f.write_str("job.timeout"),
            Scope::Case => write!(f, "case.limits.{word}"),
            Scope::Fault => write!(f, "inject.{word}"),
            Scope::RunTest => match self.bound {
                Bound::Time | Bound::Fuel | Bound::Memory => write!(f, "FROND_TEST_{}", word.to_ascii_uppercase()),
                // The default limit of a leaf, which no variable changes.
                _ => write!(f, "limits.leaf.{word}"),
            },
        }
    }
}

impl From<LimitKey> for String {
    fn from(key: LimitKey) -> Self {
        key.to_string()
    }
}

impl TryFrom<String> for LimitKey {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl FromStr for LimitKey {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let keys = SCOPES.iter().flat_map(|scope| Bound::ALL.map(|bound| Self { scope: *scope, bound }));
        keys.into_iter().find(|key| key.to_string() == text).ok_or_else(|| format!("`{text}` is no limit"))
    }
}

impl LimitKey {
    /// Setting that raises the limit; `None` for a limit that is not raised because of one call.
    fn setting(self) -> Option<String> {
        let word = self.bound.word();
        match self.scope {
            Scope::Leaf | Scope::Merge | Scope::Split => {
                let key = self.to_string();
                let table = key.rsplit_once('.').map_or("limits", |(table, _)| table);
                Some(format!("[{table}] {word} = …"))
            }
            Scope::Case => Some(format!("[limits] {word} = …")),
            Scope::RunTest => {
                matches!(self.bound, Bound::Time | Bound::Fuel | Bound::Memory).then(|| format!("{self}=…"))
            }
            Scope::Query | Scope::Job | Scope::Fault => None,
        }
    }
}

impl Limit {
    /// A limit.
    #[must_use]
    pub fn new(scope: Scope, bound: Bound, value: u64) -> Self {
        Self { key: LimitKey { scope, bound }, value }
    }

    /// A limit on time.
    #[must_use]
    pub fn time(scope: Scope, time: Duration) -> Self {
        Self::new(scope, Bound::Time, u64::try_from(time.as_micros()).unwrap_or(u64::MAX))
    }

    /// Replaces the place where the limit is set.
    #[must_use]
    pub fn set_by(self, scope: Scope) -> Self {
        Self { key: LimitKey { scope, ..self.key }, ..self }
    }
}

/// Writes the key, the value, and how to raise it.
impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {}", self.key, shown(self.key.bound.unit(), self.value))?;
        match self.key.setting() {
            Some(setting) => write!(f, "; raise it with `{setting}`"),
            None => Ok(()),
        }
    }
}

/// Formats a number with grouped digits: `1,234,567`.
#[must_use]
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Formats a value with its unit.
fn shown(unit: Unit, value: u64) -> String {
    match unit {
        Unit::Time => duration(value),
        Unit::Bytes => bytes(value),
        Unit::Count => grouped(value),
    }
}

/// Formats bytes in the largest unit that divides them.
fn bytes(number: u64) -> String {
    let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let whole = units.iter().find(|(unit, _)| number >= *unit && number.is_multiple_of(*unit));
    match whole {
        Some((unit, name)) => format!("{} {name}", number / unit),
        None => format!("{} bytes", grouped(number)),
    }
}

/// Formats microseconds in the largest unit that divides them.
fn duration(micros: u64) -> String {
    let units = [(3_600_000_000, "h"), (60_000_000, "min"), (1_000_000, "s"), (1_000, "ms")];
    let whole = units.iter().find(|(unit, _)| micros >= *unit && micros.is_multiple_of(*unit));
    match whole {
        Some((unit, name)) => format!("{} {name}", grouped(micros / unit)),
        None => format!("{} µs", grouped(micros)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_read_as_it_is_written() {
        for scope in SCOPES {
            for bound in Bound::ALL {
                let key = LimitKey { scope, bound };
                let read: LimitKey = key.to_string().parse().unwrap();
                assert_eq!(read.to_string(), key.to_string());
            }
        }
        assert!("limits.leaf.patience".parse::<LimitKey>().is_err());
    }

    #[test]
    fn a_limit_says_its_key_its_value_and_how_to_raise_it() {
        let check = |scope, bound, value, expect: &str| assert_eq!(Limit::new(scope, bound, value).to_string(), expect);
        check(
            Scope::Leaf,
            Bound::Fuel,
            1_000_000_000,
            "limits.leaf.fuel is 1,000,000,000; raise it with `[limits.leaf] fuel = …`",
        );
        check(
            Scope::Merge,
            Bound::Memory,
            256 << 20,
            "limits.merge.memory is 256 MiB; raise it with `[limits.merge] memory = …`",
        );
        check(
            Scope::Split,
            Bound::Output,
            1001,
            "limits.split.output is 1,001 bytes; raise it with `[limits.split] output = …`",
        );
        check(Scope::Case, Bound::HostCalls, 7, "case.limits.host-calls is 7; raise it with `[limits] host-calls = …`");
        check(Scope::RunTest, Bound::Time, 300_000, "FROND_TEST_TIME is 300 ms; raise it with `FROND_TEST_TIME=…`");
        check(Scope::Query, Bound::Time, 2_000_000, "query.deadline is 2 s");
        check(Scope::Job, Bound::Time, 90_000_000, "job.timeout is 90 s");
        check(Scope::Fault, Bound::Fuel, 1000, "inject.fuel is 1,000");
    }
}
