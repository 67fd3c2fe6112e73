//! Errors of settings.

use std::path::PathBuf;

/// Reason why a server cannot start with its settings.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read `{}`", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        cause: std::io::Error,
    },
    /// The file is invalid.
    #[error("{}: {text}", path.display())]
    Wrong {
        /// The file.
        path: PathBuf,
        /// The error, with its line.
        text: String,
    },
    /// The settings cannot be used.
    #[error("{0}")]
    Refused(String),
}
