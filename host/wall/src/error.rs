//! Errors of entering the wall.

use std::io;

/// Failure to confine the process. The process must exit.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WallError {
    /// Parent died before the kernel was asked to end this process with it.
    #[error("the parent process has ended")]
    ParentGone,
    /// System call that failed although the kernel has it.
    #[error("cannot {step}: {error}")]
    System {
        /// Step that failed, as a verb and its object.
        step: &'static str,
        /// Kernel's reason.
        #[source]
        error: io::Error,
    },
    /// Landlock ruleset that was not accepted.
    #[error("cannot restrict the process by landlock: {0}")]
    Landlock(String),
    /// Seccomp filter that could not be built or installed.
    #[error("cannot restrict the process by seccomp: {0}")]
    Seccomp(String),
}
