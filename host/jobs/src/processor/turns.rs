//! Turns of the jobs on one processor: a caller whose jobs take all places gives one of them to
//! another caller's job that waits.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

/// Most times that the turn of a job is doubled.
const DOUBLED: u64 = 4;

/// A place for a further job.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Place {
    /// Nobody has it.
    Free,
    /// The latest job of this caller has it, and its turn is over. It is for another caller's job.
    NotOf(Option<String>),
}

/// Jobs that run on one processor.
pub(super) struct Turns {
    at_once: usize,
    turn: Duration,
    /// In the order in which they were taken.
    jobs: Vec<Turn>,
}

/// Turn of a job.
struct Turn {
    caller: Option<String>,
    since: Instant,
    length: Duration,
    /// Set when the job is to be given back; without a receiver once the job no longer runs.
    over: watch::Sender<bool>,
}

impl Turns {
    pub(super) fn new(at_once: usize, turn: Duration) -> Self {
        Self { at_once, turn, jobs: Vec::new() }
    }

    /// Returns the place for the next job, if there is one. If all are taken by one caller, that is
    /// the place of the caller's latest job, after its turn: its earlier jobs run undisturbed, so
    /// that leaves which take longer than a turn come to their end.
    pub(super) fn place(&mut self, now: Instant) -> Option<Place> {
        self.jobs.retain(|job| !job.over.is_closed());
        if self.jobs.len() < self.at_once {
            return Some(Place::Free);
        }
        let latest = self.jobs.last()?;
        let is_over = now.saturating_duration_since(latest.since) >= latest.length;
        let is_alone = self.jobs.iter().all(|job| job.caller == latest.caller);
        (is_over && is_alone).then(|| Place::NotOf(latest.caller.clone()))
    }

    /// Gives the place to a caller's job that was taken at `now`, for the `epoch`th time. Its run
    /// keeps the receiver, which becomes true when the job is to be given back.
    pub(super) fn begin(
        &mut self,
        place: &Place,
        caller: Option<String>,
        epoch: u64,
        now: Instant,
    ) -> watch::Receiver<bool> {
        if let Place::NotOf(_) = place
            && let Some(latest) = self.jobs.pop()
        {
            latest.over.send_replace(true);
        }
        let (over, receiver) = watch::channel(false);
        let length = length(self.turn, self.at_once, epoch);
        self.jobs.push(Turn { caller, since: now, length, over });
        receiver
    }
}

/// Length of the turn of a job that is taken for the `epoch`th time. With a single place, no job
/// runs undisturbed, so a job has twice its last turn, and in the end time for a long leaf.
fn length(turn: Duration, at_once: usize, epoch: u64) -> Duration {
    let doubled = if at_once == 1 { epoch.saturating_sub(1).min(DOUBLED) } else { 0 };
    turn.saturating_mul(1_u32 << doubled)
}

#[cfg(test)]
mod tests;
