//! What each attempt at each partition does, and when.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use frond_root::policy::retry::Retry;
use frond_root::{Failure, FailureKind};

/// How an attempt ends by itself.
#[derive(Clone, Debug)]
pub(crate) enum End {
    /// With a partial; `None` stands for the partition's index as text.
    Partial(Option<Bytes>),
    /// With a failure.
    Failure(Failure),
    /// The runner loses it: it is dropped without an end.
    Lost,
    /// Not at all.
    Never,
}

/// What one attempt does. Times count from its start.
#[derive(Clone, Debug)]
pub struct Turn {
    pub(crate) emissions: Vec<(Duration, Bytes, f64)>,
    pub(crate) after: Duration,
    pub(crate) end: End,
    /// How long it takes to stop when it is told to, or when its time is up; `None`: it does not listen.
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

    /// Fails.
    #[must_use]
    pub fn fail(kind: FailureKind) -> Self {
        Self::fail_as(Failure::new(kind, "scripted"))
    }

    /// Fails in this way.
    #[must_use]
    pub fn fail_as(failure: Failure) -> Self {
        Self::ending(End::Failure(failure))
    }

    /// Is dropped by its runner, without a report.
    #[must_use]
    pub fn lost() -> Self {
        Self::ending(End::Lost)
    }

    /// Goes on until it is stopped.
    #[must_use]
    pub fn never() -> Self {
        Self::ending(End::Never)
    }

    /// Ends this long after it began; at once otherwise.
    #[must_use]
    pub fn after(mut self, after: Duration) -> Self {
        self.after = after;
        self
    }

    /// Hands over `partial`, for the share `done`, this long after it began.
    #[must_use]
    pub fn emitting(mut self, after: Duration, partial: impl Into<Bytes>, done: f64) -> Self {
        self.emissions.push((after, partial.into(), done));
        self
    }

    /// Takes this long to stop when told; no time otherwise.
    #[must_use]
    pub fn stopping_within(mut self, lateness: Duration) -> Self {
        self.lateness = Some(lateness);
        self
    }

    /// Neither stops when it is told to nor when its time is up.
    #[must_use]
    pub fn deaf(mut self) -> Self {
        self.lateness = None;
        self
    }
}

type Play = dyn Fn(u32, u32) -> Turn + Send + Sync;

/// What every attempt does.
#[derive(Clone)]
pub struct Script {
    play: Arc<Play>,
    exceptions: BTreeMap<(u32, u32), Turn>,
}

impl Script {
    /// All attempts do the same.
    #[must_use]
    pub fn all(turn: Turn) -> Self {
        Self::by(move |_, _| turn.clone())
    }

    /// A function of the partition's index and the attempt's number, which is 1 for the first.
    #[must_use]
    pub fn by(play: impl Fn(u32, u32) -> Turn + Send + Sync + 'static) -> Self {
        Self { play: Arc::new(play), exceptions: BTreeMap::new() }
    }

    /// All attempts at partition `index` do this instead.
    #[must_use]
    pub fn at(mut self, index: u32, turn: Turn) -> Self {
        for attempt in 1..=Retry::JOB.attempts {
            self.exceptions.insert((index, attempt), turn.clone());
        }
        self
    }

    /// This one attempt does this instead.
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
