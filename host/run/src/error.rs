//! What stops an app before it can answer.

use std::error::Error;
use std::fmt;

use frond_app::AppError;

/// Why an app could not be loaded, or a query not be asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The app, its components or its input are wrong.
    #[error(transparent)]
    App(#[from] AppError),
    /// The query asks for what cannot be.
    #[error(transparent)]
    Query(frond_root::Error),
    /// Neither can be blamed: a machine that does not let it work, or a bug.
    #[error("{what}")]
    Machine {
        /// What could not be done.
        what: &'static str,
        /// Why not.
        #[source]
        cause: Box<dyn Error + Send + Sync>,
    },
}

impl RunError {
    /// The machine's fault.
    pub fn machine(what: &'static str, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Machine { what, cause: cause.into() }
    }
}

impl From<frond_root::Error> for RunError {
    fn from(error: frond_root::Error) -> Self {
        match error {
            // By its own type again: who wrote the app and who asked the query are told apart by it.
            frond_root::Error::Source(source) => match source.downcast::<AppError>() {
                Ok(wrong) => Self::App(*wrong),
                Err(lost) => Self::machine("the query's work could not be cut", lost),
            },
            other => Self::Query(other),
        }
    }
}

/// A message without a cause of its own.
#[derive(Debug)]
pub(crate) struct Why(pub(crate) &'static str);

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Error for Why {}
