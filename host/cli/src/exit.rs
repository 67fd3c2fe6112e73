//! Exit codes of the process.

use std::process::ExitCode;

use frond_root::{Answer, Reason};
use rustix::process::{Resource, getrlimit};

/// Smallest address space, in bytes, that holds the runtime, its threads and a small component.
const ADDRESS_SPACE: u64 = 256 << 20;

/// Exit code of the process, as the README and the help of the verbs list it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Exit {
    /// Success; a query's answer is complete.
    Whole = 0,
    /// A test failed, a law does not hold, or a component does not fit.
    Failed = 1,
    /// The answer is partial, and above the floor.
    Partial = 3,
    /// No answer: too little arrived, or a required partition is missing.
    BelowFloor = 4,
    /// No answer: nothing arrived before the deadline.
    Deadline = 5,
    /// No answer: the merge or the split failed.
    Plugin = 6,
    /// The command line, the app or its input is wrong.
    Usage = 64,
    /// A plugin, or the app's source, refused the query.
    InvalidQuery = 65,
    /// The server cannot be reached or accepts no requests now, or a job has not ended in time: try
    /// again later.
    Unavailable = 69,
    /// A bug in Frond, or a fault of the machine.
    Bug = 70,
    /// Interrupted: the second signal to a query, the first one to a watcher of a job, or a server
    /// that cut off queries or connections when it stopped.
    Interrupted = 130,
}

/// Error that neither the command line nor the app causes. As the context of an error, it sets the
/// exit code to [`Exit::Bug`].
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct MachineFault(pub(crate) String);

impl MachineFault {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Returns an error if the limit on address space is so low that starting a thread could fail
    /// later.
    pub(crate) fn check_address_space() -> Result<(), Self> {
        match getrlimit(Resource::As).current {
            Some(bytes) if bytes < ADDRESS_SPACE => Err(Self(format!(
                "this process may use {} MiB of address space, and needs {} MiB at least\n(raise the limit of `ulimit -v`)",
                bytes >> 20,
                ADDRESS_SPACE >> 20
            ))),
            _ => Ok(()),
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl From<&Answer> for Exit {
    fn from(answer: &Answer) -> Self {
        match answer {
            Answer::Complete { .. } => Self::Whole,
            Answer::Partial { .. } => Self::Partial,
            Answer::Failed { reason, .. } => Self::from(reason),
        }
    }
}

impl From<&Reason> for Exit {
    fn from(reason: &Reason) -> Self {
        match reason {
            Reason::InvalidQuery(_) => Self::InvalidQuery,
            Reason::BelowFloor | Reason::Cancelled => Self::BelowFloor,
            Reason::Deadline => Self::Deadline,
            Reason::Split(_) | Reason::Merge(_) => Self::Plugin,
        }
    }
}
