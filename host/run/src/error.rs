//! Errors that stop an app before it can answer.

use std::error::Error;
use std::fmt;

use frond_app::AppError;
use frond_broker::nats::NatsError;

/// Reason why an app cannot be loaded or a query cannot run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The app, its components or its input are wrong.
    #[error(transparent)]
    App(#[from] AppError),
    /// The query asks for something impossible.
    #[error(transparent)]
    Query(frond_root::Error),
    /// The broker of the workers cannot be reached, or cannot be used.
    #[error(transparent)]
    Broker(Box<NatsError>),
    /// No worker could ever run the app's leaves: the reason and the remedy.
    #[error("{0}")]
    Nowhere(&'static str),
    /// Neither the app nor the query is at fault: the host denies a resource, or there is a bug.
    #[error("{what}")]
    Machine {
        /// Step that failed.
        what: &'static str,
        /// Cause of the failure.
        #[source]
        cause: Box<dyn Error + Send + Sync>,
    },
}

impl RunError {
    /// Makes an error that is the host's fault.
    pub fn machine(what: &'static str, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Machine { what, cause: cause.into() }
    }
}

impl From<NatsError> for RunError {
    fn from(error: NatsError) -> Self {
        Self::Broker(Box::new(error))
    }
}

impl From<frond_root::Error> for RunError {
    fn from(error: frond_root::Error) -> Self {
        match error {
            // Restores the app's own error type, by which callers tell the app's author from the
            // query's.
            frond_root::Error::Source(source) => match source.downcast::<AppError>() {
                Ok(wrong) => Self::App(*wrong),
                Err(lost) => Self::machine("the query's work could not be cut", lost),
            },
            other => Self::Query(other),
        }
    }
}

/// Error message without a further cause.
#[derive(Debug)]
pub(crate) struct Why(pub(crate) &'static str);

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Error for Why {}
