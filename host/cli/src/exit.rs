//! What the process's exit code says.

use std::process::ExitCode;

use frond_root::{Answer, Reason};
use rustix::process::{Resource, getrlimit};

/// The least address space, in bytes, with which the runtime, its threads and a small component have room.
const ADDRESS_SPACE: u64 = 256 << 20;

/// The exit codes. The README and the help of the verbs list them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Exit {
    /// Done; a query's answer is whole.
    Whole = 0,
    /// A test failed, a law does not hold, or a component does not fit.
    Failed = 1,
    /// The answer is partial, and above the floor.
    Partial = 3,
    /// No answer: too little, or not what is required, arrived.
    BelowFloor = 4,
    /// No answer: nothing arrived before the deadline.
    Deadline = 5,
    /// No answer: the merge or the split failed.
    Plugin = 6,
    /// The command line, the app or its input is wrong.
    Usage = 64,
    /// A plugin, or the app's source, refused the query.
    InvalidQuery = 65,
    /// A server cannot be reached or takes nothing on now, or a job has not ended in time: try again later.
    Unavailable = 69,
    /// A bug in Frond, or a machine that does not let it work.
    Bug = 70,
    /// Interrupted: a query twice, who watches a job once.
    Interrupted = 130,
}

/// What neither the command line nor the app can be blamed for. As a context, it makes an error end with [`Exit::Bug`].
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct MachineFault(pub(crate) String);

impl MachineFault {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Refuses a process that may use so little address space that its threads could not start in the midst of its work.
    pub(crate) fn check_address_space() -> Result<(), Self> {
        match getrlimit(Resource::As).current {
            Some(bytes) if bytes < ADDRESS_SPACE => Err(Self(format!(
                "this process may use {} MiB of address space, and needs {} MiB at least\n(`ulimit -v` says so: raise it)",
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
