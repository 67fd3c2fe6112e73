//! Script of a test: the actions of each attempt at each partition, with their times.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use frond_root::policy::retry::Retry;
use frond_root::{Failure, FailureKind};

/// End of an attempt that is not stopped.
#[derive(Clone, Debug)]
pub(crate) enum End {
    /// A partial; `None` stands for the partition's index as text.
    Partial(Option<Bytes>),
    /// A failure.
    Failure(Failure),
    /// Dropped by the runner without a report.
    Lost,
    /// No end.
    Never,
}

/// Actions of one attempt. Times count from its start.
#[derive(Clone, Debug)]
pub struct Turn {
    pub(crate) emissions: Vec<(Duration, Bytes, f64)>,
    pub(crate) after: Duration,
    pub(crate) end: End,
    /// Time to stop once told to, or once its time is up; `None` ignores both.
    pub(crate) lateness: Option<Duration>,
}

impl Turn {
    fn ending(end: End) -> Self {
        Self { emissions: Vec::new(), after: Duration::ZERO, end, lateness: Some(Duration::ZERO) }
    }

    /// Succeeds with the partition's index as its partial.
    #[must_use]
    pub fn succeed() -> Self {
        Self::ending(End::Partial(None))
    }

    /// Succeeds with this partial.
    #[must_use]
    pub fn give(partial: impl Into<Bytes>) -> Self {
        Self::ending(End::Partial(Some(partial.into())))
    }

    /// Fails with this kind.
    #[must_use]
    pub fn fail(kind: FailureKind) -> Self {
        Self::fail_as(Failure::new(kind, "scripted"))
    }

    /// Fails with this failure.
    #[must_use]
    pub fn fail_as(failure: Failure) -> Self {
        Self::ending(End::Failure(failure))
    }

    /// Is dropped by its runner without a report.
    #[must_use]
    pub fn lost() -> Self {
        Self::ending(End::Lost)
    }

    /// Runs until it is stopped.
    #[must_use]
    pub fn never() -> Self {
        Self::ending(End::Never)
    }

    /// Sets the time of the end; the default is at once.
    #[must_use]
    pub fn after(mut self, after: Duration) -> Self {
        self.after = after;
        self
    }

    /// Emits `partial` for the share `done` at this time.
    #[must_use]
    pub fn emitting(mut self, after: Duration, partial: impl Into<Bytes>, done: f64) -> Self {
        self.emissions.push((after, partial.into(), done));
        self
    }

    /// Sets the time to stop once told to; the default is none.
    #[must_use]
    pub fn stopping_within(mut self, lateness: Duration) -> Self {
        self.lateness = Some(lateness);
        self
    }

    /// Ignores requests to stop and the end of its time.
    #[must_use]
    pub fn deaf(mut self) -> Self {
        self.lateness = None;
        self
    }
}

/// Function that plays one attempt of a partition.
type Play = dyn Fn(u32, u32) -> Turn + Send + Sync;

/// Actions of every attempt.
#[derive(Clone)]
pub struct Script {
    play: Arc<Play>,
    exceptions: BTreeMap<(u32, u32), Turn>,
}

impl Script {
    /// A script in which all attempts act alike.
    #[must_use]
    pub fn all(turn: Turn) -> Self {
        Self::by(move |_, _| turn.clone())
    }

    /// A script as a function of the partition's index and the attempt's number, from 1.
    #[must_use]
    pub fn by(play: impl Fn(u32, u32) -> Turn + Send + Sync + 'static) -> Self {
        Self { play: Arc::new(play), exceptions: BTreeMap::new() }
    }

    /// Replaces the actions of all attempts at partition `index`.
    #[must_use]
    pub fn at(mut self, index: u32, turn: Turn) -> Self {
        for attempt in 1..=Retry::JOB.attempts {
            self.exceptions.insert((index, attempt), turn.clone());
        }
        self
    }

    /// Replaces the actions of one attempt.
    #[must_use]
    pub fn at_attempt(mut self, index: u32, attempt: u32, turn: Turn) -> Self {
        self.exceptions.insert((index, attempt), turn);
        self
    }

    pub(crate) fn turn(&self, index: u32, attempt: u32) -> Turn {
        match self.exceptions.get(&(index, attempt)) {
            Some(turn) => turn.clone(),
            None => (self.play)(index, attempt),
        }
    }
}
