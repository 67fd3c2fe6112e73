//! Problems of worlds and recordings that cannot be simulated.

use std::fmt;

/// Reason why a world cannot be simulated: a key, and what its value must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Path of the key, such as `query.partitions`.
    pub key: String,
    /// Rule that its value breaks.
    pub rule: String,
    /// Line in the file, if there is one.
    pub line: Option<usize>,
}

impl Problem {
    /// A problem of a key.
    #[must_use]
    pub fn new(key: &str, rule: impl Into<String>) -> Self {
        Self { key: key.to_owned(), rule: rule.into(), line: None }
    }

    /// The problem that `key` breaks the rule, unless it `holds`.
    ///
    /// # Errors
    /// The problem.
    pub fn unless(holds: bool, key: &str, rule: &str) -> Result<(), Self> {
        if holds { Ok(()) } else { Err(Self::new(key, rule)) }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        write!(f, "`{}` {}", self.key, self.rule)
    }
}

impl std::error::Error for Problem {}
