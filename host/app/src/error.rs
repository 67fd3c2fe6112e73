//! Errors of an app or its input: the file, the line, the key and the remedy.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use frond_root::quote::shortened;

/// Longest text of a complaint, and longest remedy, in bytes.
const MAX_TEXT: usize = 4 << 10;

/// A place in a `frond.toml`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Location {
    /// Path of the `frond.toml`, as the caller named its app.
    pub file: Arc<Path>,
    /// Line, counted from 1; 0 stands for the whole file.
    pub line: usize,
    /// Key with its sections, such as `leaf.component`; empty if there is none.
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

/// A problem and its remedy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Complaint {
    /// The problem: lower case, no full stop.
    pub text: String,
    /// The remedy, without parentheses; empty if the text is enough.
    pub hint: String,
}

impl Complaint {
    pub(crate) fn new(text: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { text: shortened(text.into(), MAX_TEXT), hint: shortened(hint.into(), MAX_TEXT) }
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

/// Error of an app that cannot be used or whose work cannot be cut. An underlying I/O error is the
/// `source` and is not part of the text.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AppError {
    /// There is no app at the given path.
    #[error("no app at `{}`: {why}\n(give the folder that holds the app's frond.toml)", path.display())]
    NoApp {
        /// The given path.
        path: PathBuf,
        /// The missing part.
        why: &'static str,
        /// The operating system's error, if there is one.
        #[source]
        cause: Option<io::Error>,
    },
    /// Something in `frond.toml` is wrong, or something that it names is missing or does not fit.
    #[error("{at}: {complaint}")]
    Manifest {
        /// Place of the problem.
        at: Location,
        /// The problem and its remedy.
        complaint: Complaint,
        /// The operating system's error, if there is one.
        #[source]
        cause: Option<io::Error>,
    },
    /// The caller's input, as opposed to the app's, is missing, unreadable or cannot be cut.
    #[error("{complaint}")]
    Input {
        /// The problem and its remedy.
        complaint: Complaint,
        /// The operating system's error, if there is one.
        #[source]
        cause: Option<io::Error>,
    },
    /// The query does not have the form that the app's source needs.
    #[error("{complaint}")]
    Query {
        /// The problem and its remedy.
        complaint: Complaint,
    },
}

impl AppError {
    /// True if the query's bytes are at fault, rather than the app or its input.
    #[must_use]
    pub fn is_query(&self) -> bool {
        matches!(self, Self::Query { .. })
    }

    pub(crate) fn query(text: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Query { complaint: Complaint::new(text, hint) }
    }
}

/// Origin of an input, which decides where its errors point: to a place in `frond.toml`, or to the
/// caller.
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
