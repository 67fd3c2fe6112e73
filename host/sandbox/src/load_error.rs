//! Failed loads of components.

use crate::inspect::Misfit;

/// Reason why a component could not be loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// Its file could not be read.
    #[error("cannot be read: {0}")]
    Unreadable(#[source] std::io::Error),
    /// It does not fit its role.
    #[error("{0}")]
    Misfit(#[from] Misfit),
    /// The engine could not be set up.
    #[error("the sandbox could not be set up: {0}")]
    Engine(String),
    /// The process is ending and compiles nothing more.
    #[error("the process is ending")]
    Stopped,
}
