//! Report of the guards: which the kernel offers, and which hold.

use std::fmt;

/// Guard of the wall.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Guard {
    /// Landlock: no files, no network, no signals to other processes.
    Landlock,
    /// Seccomp: no system call that is not on the allow list.
    Seccomp,
    /// No new privileges: no program with more rights.
    NoNewPrivileges,
    /// Kernel ends this process when its parent dies.
    ParentDeath,
    /// Bounds on memory, files and core dumps.
    Limits,
    /// No capabilities, also of a process that runs as root.
    Capabilities,
    /// First choice of the kernel when memory runs out.
    OutOfMemory,
}

/// State of a guard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Offered or in force as a whole.
    Whole,
    /// Offered or in force in part.
    Partial,
    /// Not offered, or not in force.
    Missing,
}

/// State of one guard, in words for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Guard that this part describes.
    pub guard: Guard,
    /// State of the guard.
    pub state: State,
    /// Clause without a full stop, such as "landlock is switched off".
    pub message: String,
    /// Advice to improve the state; `None` if it is whole, or nothing can be done.
    pub remedy: Option<String>,
}

/// Report of all guards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// States, one a guard.
    pub parts: Vec<Part>,
}

impl Guard {
    /// Short name in lower case, such as `no-new-privileges`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Landlock => "landlock",
            Self::Seccomp => "seccomp",
            Self::NoNewPrivileges => "no-new-privileges",
            Self::ParentDeath => "parent-death",
            Self::Limits => "limits",
            Self::Capabilities => "capabilities",
            Self::OutOfMemory => "out-of-memory",
        }
    }
}

impl fmt::Display for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Part {
    #[cfg(target_os = "linux")]
    pub(crate) fn whole(guard: Guard, message: impl Into<String>) -> Self {
        Self { guard, state: State::Whole, message: message.into(), remedy: None }
    }

    #[cfg(target_os = "linux")]
    pub(crate) fn partial(guard: Guard, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { guard, state: State::Partial, message: message.into(), remedy: Some(remedy.into()) }
    }

    pub(crate) fn missing(guard: Guard, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { guard, state: State::Missing, message: message.into(), remedy: Some(remedy.into()) }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.guard, self.message)?;
        self.remedy.as_ref().map_or(Ok(()), |remedy| write!(f, "\n({remedy})"))
    }
}

impl Report {
    /// Returns true if no guard is missing. Guards may be partial.
    #[must_use]
    pub fn is_enforced(&self) -> bool {
        self.parts.iter().all(|part| part.state != State::Missing)
    }

    /// Returns true if every guard is whole.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.parts.iter().all(|part| part.state == State::Whole)
    }

    /// Returns the part of a guard; `None` if the report leaves it out.
    #[must_use]
    pub fn part(&self, guard: Guard) -> Option<&Part> {
        self.parts.iter().find(|part| part.guard == guard)
    }
}
