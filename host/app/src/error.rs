//! What is wrong with an app or with what it is given: the file, the line, the key, and the remedy.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where something is written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Location {
    /// The `frond.toml`, as its app was named.
    pub file: Arc<Path>,
    /// The line, from 1; 0 for the file as a whole.
    pub line: usize,
    /// The key with its sections, such as `leaf.component`; empty where there is none.
    pub key: String,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        if self.key.is_empty() {
            return Ok(());
        }
        write!(f, ": {}", self.key)
    }
}

/// What is wrong, and what to do about it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Complaint {
    /// What is wrong: lower case, no full stop.
    pub text: String,
    /// The remedy, without its parentheses; empty where the text says it all.
    pub hint: String,
}

impl Complaint {
    pub(crate) fn new(text: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { text: text.into(), hint: hint.into() }
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)?;
        if self.hint.is_empty() {
            return Ok(());
        }
        write!(f, "\n({})", self.hint)
    }
}

/// Why an app cannot be used, or its work not be cut. An underlying I/O error is the `source`, and not in the text.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AppError {
    /// There is no app where one was named.
    #[error("no app at `{}`: {why}\n(give the folder that holds the app's frond.toml)", path.display())]
    NoApp {
        /// What was named.
        path: PathBuf,
        /// What is missing.
        why: &'static str,
        /// The system's reason, where there is one.
        #[source]
        cause: Option<io::Error>,
    },
    /// Something in `frond.toml` is wrong, or something that it names is missing or does not fit.
    #[error("{at}: {complaint}")]
    Manifest {
        /// Where it is written.
        at: Location,
        /// What is wrong with it.
        complaint: Complaint,
        /// The system's reason, where there is one.
        #[source]
        cause: Option<io::Error>,
    },
    /// The input that the caller gave, and not the app, is missing, unreadable or cannot be cut.
    #[error("{complaint}")]
    Input {
        /// What is wrong with it.
        complaint: Complaint,
        /// The system's reason, where there is one.
        #[source]
        cause: Option<io::Error>,
    },
    /// The query is not what the app's source needs.
    #[error("{complaint}")]
    Query {
        /// What is wrong with it.
        complaint: Complaint,
    },
}

impl AppError {
    /// True when the query's bytes are at fault, and neither the app nor its input.
    #[must_use]
    pub fn is_query(&self) -> bool {
        matches!(self, Self::Query { .. })
    }

    pub(crate) fn query(text: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Query { complaint: Complaint::new(text, hint) }
    }
}

/// Who named a piece of input, and so where its errors point: a place in `frond.toml`, or nothing but the caller.
#[derive(Clone, Debug)]
pub(crate) enum Origin {
    Written(Location),
    Caller,
}

impl Origin {
    pub(crate) fn refuse(&self, text: impl Into<String>, hint: impl Into<String>) -> AppError {
        self.complain(Complaint::new(text, hint), None)
    }

    pub(crate) fn failed(&self, text: impl Into<String>, hint: impl Into<String>, cause: io::Error) -> AppError {
        self.complain(Complaint::new(text, hint), Some(cause))
    }

    fn complain(&self, complaint: Complaint, cause: Option<io::Error>) -> AppError {
        match self {
            Self::Written(at) => AppError::Manifest { at: at.clone(), complaint, cause },
            Self::Caller => AppError::Input { complaint, cause },
        }
    }
}
