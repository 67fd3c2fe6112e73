//! Leaf runner whose leaves follow a script.

use std::collections::{BTreeMap, BTreeSet};
use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use frond_root::{
    Attempt, CancellationToken, Done, Emission, FailureKind, LeafRunner, Outcome, PieceSizes, Usage, Work,
};
use tokio::time::{Instant, sleep, sleep_until};

use crate::script::{End, Script, Turn};
use crate::stops::Stops;

/// One attempt that began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StartedAttempt {
    /// Index of the partition.
    pub index: u32,
    /// Number of the attempt, from 1.
    pub attempt: u32,
    /// Start time.
    pub at: Instant,
}

/// Counters and history of a runner.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// Leaves that run now.
    pub running: usize,
    /// The most leaves that ran at once.
    pub most: usize,
    /// Attempts that began, in order.
    pub begun: Vec<StartedAttempt>,
    /// Attempts that stopped because their query was closed.
    pub stopped: usize,
    /// Attempts that stopped because their time was up.
    pub overran: usize,
}

impl Counts {
    /// Number of attempts by partition.
    #[must_use]
    pub fn attempts(&self) -> BTreeMap<u32, u32> {
        let mut attempts = BTreeMap::new();
        for begun in &self.begun {
            *attempts.entry(begun.index).or_default() += 1;
        }
        attempts
    }

    /// Number of attempts at partition `index`.
    #[must_use]
    pub fn attempts_at(&self, index: u32) -> u32 {
        self.attempts().get(&index).copied().unwrap_or(0)
    }
}

/// Attached scatters, busy slots and counts of a scripted runner.
#[derive(Default)]
struct State {
    attached: Vec<(Arc<dyn Work>, Stops)>,
    busy: BTreeSet<u32>,
    counts: Counts,
}

/// Scripted runner as its tasks share it.
struct Shared {
    script: Script,
    slots: usize,
    state: Mutex<State>,
}

/// Runner that executes leaves as tasks that follow a script.
pub struct Leaves(Arc<Shared>);

impl Leaves {
    /// A runner that names `slots` slots, and would run any number of leaves: a query's window is
    /// all that bounds them.
    #[must_use]
    pub fn new(script: Script, slots: usize) -> Self {
        Self(Arc::new(Shared { script, slots, state: Mutex::default() }))
    }

    /// A runner of the same leaves with this many slots, before its first query.
    #[must_use]
    pub fn on_slots(&self, slots: usize) -> Self {
        Self::new(self.0.script.clone(), slots)
    }

    /// Snapshot of the counters and the history.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.0.state.lock().unwrap().counts.clone()
    }

    /// Leaves that run now.
    #[must_use]
    pub fn running(&self) -> usize {
        self.0.state.lock().unwrap().counts.running
    }

    /// True when every attached query has been closed.
    #[must_use]
    pub fn all_closed(&self) -> bool {
        let state = self.0.state.lock().unwrap();
        state.attached.iter().all(|(work, _)| work.is_closed())
    }
}

impl LeafRunner for Leaves {
    fn attach(&self, work: Arc<dyn Work>) {
        let stops = Stops::of(&*work);
        self.0.state.lock().unwrap().attached.push((work, stops));
        fill(&self.0);
    }

    fn nudge(&self) {
        fill(&self.0);
    }

    fn slots(&self) -> usize {
        self.0.slots
    }

    fn pieces(&self) -> Option<PieceSizes> {
        None
    }
}

/// An attempt on its slot, with the signal that stops it.
struct Claim {
    attempt: Attempt,
    claimed: Instant,
    slot: u32,
    closed: CancellationToken,
}

fn fill(shared: &Arc<Shared>) {
    while let Some(claim) = claim(shared) {
        let turn = shared.script.turn(claim.attempt.index(), claim.attempt.number());
        tokio::spawn(play(shared.clone(), claim, turn));
    }
}

fn claim(shared: &Shared) -> Option<Claim> {
    let mut state = shared.state.lock().unwrap();
    let slot = (0_u32..).find(|slot| !state.busy.contains(slot))?;
    let now = Instant::now();
    let of = |claim: fn(&Arc<dyn Work>, u32, Instant) -> Option<Attempt>| {
        state.attached.iter().find_map(|(work, stops)| {
            let attempt = claim(work, slot, now)?;
            let stop = stops.begin(attempt.id());
            Some((attempt, stop))
        })
    };
    let (attempt, closed) = of(Attempt::claim).or_else(|| of(Attempt::copy))?;
    state.busy.insert(slot);
    let counts = &mut state.counts;
    counts.running += 1;
    counts.most = counts.most.max(counts.running);
    counts.begun.push(StartedAttempt { index: attempt.index(), attempt: attempt.number(), at: now });
    Some(Claim { attempt, claimed: now, slot, closed })
}

/// Cause of an attempt's end.
enum Way {
    ByItself,
    Closed,
    Overran,
}

async fn play(shared: Arc<Shared>, claim: Claim, turn: Turn) {
    let Claim { attempt, claimed, slot, closed } = claim;
    let way = tokio::select! {
        // A leaf that is done when it is stopped counts as done.
        biased;
        () = work(&attempt, &turn) => Way::ByItself,
        way = stopped(closed, attempt.deadline(), turn.lateness) => way,
    };
    {
        // Counted before the report, so that a reader of the report finds the counters up to date.
        let mut state = shared.state.lock().unwrap();
        state.busy.remove(&slot);
        state.counts.running -= 1;
        state.counts.stopped += usize::from(matches!(way, Way::Closed));
        state.counts.overran += usize::from(matches!(way, Way::Overran));
    }
    report(attempt, claimed.elapsed(), &turn, &way);
    fill(&shared);
}

async fn work(attempt: &Attempt, turn: &Turn) {
    let start = Instant::now();
    for (after, partial, done) in &turn.emissions {
        sleep_until(start + *after).await;
        attempt.emit(Emission { partial: partial.clone(), done: Done::Share(*done) });
    }
    match turn.end {
        End::Never => pending().await,
        _ if turn.after.is_zero() => {}
        _ => sleep_until(start + turn.after).await,
    }
}

async fn stopped(closed: CancellationToken, deadline: Instant, lateness: Option<Duration>) -> Way {
    let Some(lateness) = lateness else {
        return pending().await;
    };
    let way = tokio::select! {
        () = closed.cancelled() => Way::Closed,
        () = sleep_until(deadline) => Way::Overran,
    };
    if !lateness.is_zero() {
        sleep(lateness).await;
    }
    way
}

fn report(attempt: Attempt, ran: Duration, turn: &Turn, way: &Way) {
    let outcome = match (way, &turn.end) {
        (Way::Closed, _) => Outcome::failed(FailureKind::Cancelled, ran, "the query was over"),
        (Way::Overran, _) => Outcome::failed(FailureKind::OutOfTime, ran, "its time was up"),
        (Way::ByItself, End::Lost | End::Never) => return drop(attempt),
        (Way::ByItself, End::Failure(failure)) => {
            Outcome { result: Err(Box::new(failure.clone())), ..Outcome::failed(failure.kind, ran, "") }
        }
        (Way::ByItself, End::Partial(partial)) => {
            let index = || Bytes::from(attempt.index().to_string());
            let partial = partial.clone().unwrap_or_else(index);
            let usage = Usage { output: partial.len() as u64, ..Usage::default() };
            Outcome::succeeded(partial, ran, usage)
        }
    };
    attempt.end(outcome, Instant::now());
}
