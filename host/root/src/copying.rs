//! Copies of one query's slow attempts: when they are offered to idle slots, and which attempt
//! counts.

use std::collections::HashMap;
use std::ops::Range;
use std::time::Duration;

use tokio::time::Instant;

use crate::failure::{FailureKind, SUPERSEDED};
use crate::gather::{Gather, Reached};
use crate::hedging::{CopyLook, Hedging, Standing};
use crate::policy::cutting::MIN_REST;
use crate::policy::hedge::CopySettings;
use crate::scatter::Scatter;
use crate::share::Part;
use crate::work::{AttemptId, Outcome, StoredAttempt, Work};

/// End of an attempt that the gather has to account for.
#[derive(Debug)]
pub struct AttemptEnd {
    /// The attempt.
    pub id: AttemptId,
    /// Its outcome.
    pub outcome: Outcome,
    /// How far it came.
    pub reached: Reached,
}

/// Copies of one query's attempts.
#[derive(Debug)]
pub struct Copying {
    hedging: Hedging,
    /// Time before which no attempt is old enough to be copied.
    at: Option<Instant>,
    /// Losers that have ended and whose ends are unread, each with the unit where its winner began.
    leads: HashMap<AttemptId, u64>,
}

impl Copying {
    /// No copies yet, of a query with this many partitions to run.
    #[must_use]
    pub fn new(settings: &CopySettings, partitions: usize) -> Self {
        Self { hedging: Hedging::new(settings, partitions), at: None, leads: HashMap::new() }
    }

    /// Time at which an attempt may be old enough to be copied.
    #[must_use]
    pub fn timer(&self) -> Option<Instant> {
        self.at
    }

    /// Offers copies of the attempts that are old enough to `slots` slots, once nothing is left to
    /// start: `has_retries` if retries are to come. True if slots may find something to claim.
    pub fn offer(&mut self, scatter: &Scatter, slots: usize, has_retries: bool, now: Instant) -> bool {
        if self.at.is_some_and(|at| now < at) {
            return false;
        }
        let is_last = !scatter.is_claimable() && !has_retries;
        let look = || self.hedging.look(slots, scatter.running(), is_last, now);
        let look = if scatter.is_closed() { CopyLook::default() } else { look() };
        // Attempts are looked at in turn, so not at each wake-up.
        self.at = look.next.map(|at| at.max(now + MIN_REST));
        scatter.offer_copies(look.due)
    }

    /// Records that an attempt began that is no copy; `is_cut` if it has the half of another
    /// attempt's rest.
    pub fn started(&mut self, id: AttemptId, at: Instant, is_cut: bool, gather: &mut Gather) {
        self.hedging.started(id, at);
        gather.started(id.partition, at, is_cut);
    }

    /// Records that a copy of attempt `of` began.
    pub fn copied(&mut self, id: AttemptId, of: u32, at: Instant, scatter: &Scatter, gather: &mut Gather) {
        scatter.copy_seen(id);
        gather.copied(id.partition);
        if !self.hedging.copied(id, of, at) {
            gather.superseded(id.partition);
            scatter.supersede(&[id]);
        }
    }

    /// Settles what the end of an attempt means to its rivals: the first success stops them.
    /// Returns the ends that count, in order: none if a rival was done before.
    pub fn ended(
        &mut self,
        id: AttemptId,
        at: Instant,
        (outcome, part): (Outcome, Option<Part>),
        scatter: &Scatter,
        gather: &mut Gather,
    ) -> Vec<AttemptEnd> {
        // Taken in any case: an emission of a successful leaf must not stay in memory for the rest
        // of the query.
        let emission = scatter.take_emission(id);
        let own = |outcome, contested| AttemptEnd { id, outcome, reached: Reached { part, emission, contested } };
        match self.hedging.ended(id, outcome.result.is_ok(), at) {
            Standing::Sole => vec![own(outcome, None)],
            Standing::Outlived => {
                vec![own(outcome, Some(part.map_or(0..u64::MAX, |part| part.kept..part.stretch.end)))]
            }
            Standing::Won { losers, is_copy } => {
                if is_copy {
                    gather.copy_won();
                }
                let begin = part.map_or(0, |part| part.stretch.begin);
                let stopped = losers.iter().filter_map(|loser| self.stop_loser(*loser, begin, scatter, gather));
                let mut ends: Vec<_> = stopped.collect();
                scatter.supersede(&losers);
                ends.push(own(outcome, None));
                ends
            }
            Standing::Beaten => {
                scatter.forget_copies_of(id);
                let contested = self.contested(id, part, gather);
                if contested.is_some() {
                    return vec![own(superseded(outcome.ran), contested)];
                }
                gather.beaten(&outcome);
                scatter.stored(&[StoredAttempt { id, until: None }]);
                Vec::new()
            }
        }
    }

    /// Ends a rival of an attempt that was done first. What the rival has kept of the units before
    /// `begin`, which the winner does not have, counts at once: its worker may hang.
    fn stop_loser(
        &mut self,
        loser: AttemptId,
        begin: u64,
        scatter: &Scatter,
        gather: &mut Gather,
    ) -> Option<AttemptEnd> {
        let part = scatter.part_of(loser);
        if let Some(part) = part.filter(|part| part.stretch.begin < begin) {
            let emission = scatter.take_emission(loser);
            let reached = Reached { part: Some(part), emission, contested: Some(begin..part.stretch.end) };
            return Some(AttemptEnd { id: loser, outcome: superseded(Duration::ZERO), reached });
        }
        if part.is_none() && begin > 0 {
            // It has just ended: its report is on its way.
            self.leads.insert(loser, begin);
        } else {
            gather.superseded(loser.partition);
        }
        None
    }

    /// Units of a beaten attempt that its winner has, if it had units before them.
    fn contested(&mut self, id: AttemptId, part: Option<Part>, gather: &mut Gather) -> Option<Range<u64>> {
        let begin = self.leads.remove(&id)?;
        let contested = part.filter(|part| part.stretch.begin < begin).map(|part| begin..part.stretch.end);
        if contested.is_none() {
            gather.superseded(id.partition);
        }
        contested
    }

    /// True if an attempt was told to stop and has not ended.
    #[must_use]
    pub fn is_stopping(&self, id: AttemptId) -> bool {
        self.hedging.is_stopping(id)
    }

    /// Accounts for attempts that were to stop, and have not at the end of the gather.
    pub fn end(&self, gather: &mut Gather, now: Instant) {
        for (_, since) in self.hedging.stopping() {
            gather.wasted_beside(now.saturating_duration_since(since));
        }
    }
}

/// Outcome of an attempt of which only what it kept counts.
fn superseded(ran: Duration) -> Outcome {
    Outcome::failed(FailureKind::Cancelled, ran, SUPERSEDED)
}
