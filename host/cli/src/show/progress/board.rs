//! State of a running query for display, updated by each event in constant time.

use std::collections::{HashMap, HashSet};

use frond_root::progress::DoneParts;
use frond_root::{Event, EventKind, PartitionKey, Status};

/// Limit on the running leaves that are shown.
pub const MAX_LEAVES: usize = 8;

/// Phase of a query.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// The query has not started.
    #[default]
    Waiting,
    /// The plan is being made.
    Planning,
    /// Leaves run.
    Gathering,
    /// Partials are merged; the query waits for no leaf.
    Merging,
    /// The query has ended.
    Over,
}

/// State of a query for display.
#[derive(Debug, Default)]
pub struct Board {
    /// The app's name.
    pub app: String,
    /// The query's deadline, in microseconds.
    pub deadline: u64,
    /// The current phase.
    pub phase: Phase,
    /// Number of planned partitions.
    pub planned: u64,
    /// Number of failed attempts.
    pub failures: u64,
    /// Number of retries that have been scheduled.
    pub retries: u64,
    /// True while leaves are held back because partials use too much memory.
    pub held: bool,
    /// True once the floor is reached.
    pub enough: bool,
    succeeded: HashSet<u32>,
    parts: DoneParts,
    missing: HashSet<u32>,
    running: HashMap<(u32, u32), Leaf>,
}

/// A running leaf.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// The partition's key.
    pub key: PartitionKey,
    /// The attempt's number.
    pub attempt: u32,
    /// Its start, in microseconds since the query's start.
    pub start: u64,
}

impl Board {
    /// Adds the next event.
    pub fn take(&mut self, event: &Event) {
        match &event.kind {
            EventKind::QueryStarted { app, deadline, .. } => {
                self.app.clone_from(app);
                self.deadline = *deadline;
                self.phase = Phase::Planning;
            }
            EventKind::Planned { partitions, .. } => {
                self.planned = *partitions;
                self.phase = Phase::Gathering;
            }
            EventKind::AttemptStarted { partition, key, attempt, .. } => {
                let leaf = Leaf { key: key.clone(), attempt: *attempt, start: event.at };
                self.running.insert((*partition, *attempt), leaf);
            }
            EventKind::AttemptEnded { partition, attempt, beaten: true, .. } => {
                self.running.remove(&(*partition, *attempt));
            }
            EventKind::AttemptEnded { partition, attempt, failure, part, .. } => {
                self.running.remove(&(*partition, *attempt));
                self.failures += u64::from(failure.is_some());
                let is_whole = match part {
                    Some(part) => self.parts.add(*partition, part) == part.of,
                    None => failure.is_none(),
                };
                if is_whole && self.phase == Phase::Gathering {
                    self.succeeded.insert(*partition);
                }
            }
            EventKind::RetryScheduled { .. } => self.retries += 1,
            EventKind::PartitionMissing { partition, status, .. } => {
                if *status != Status::Skipped {
                    self.missing.insert(*partition);
                }
            }
            EventKind::Held { held, .. } => self.held = *held,
            EventKind::FloorReached { .. } => self.enough = true,
            EventKind::GatherEnded { .. } => {
                self.phase = Phase::Merging;
                self.running.clear();
            }
            EventKind::QueryEnded { .. } => self.phase = Phase::Over,
            EventKind::FoldStarted { .. } | EventKind::FoldEnded { .. } | EventKind::FinishStarted {} => {}
        }
    }

    /// Returns the number of partitions that succeeded.
    #[must_use]
    pub fn succeeded(&self) -> u64 {
        self.succeeded.len() as u64
    }

    /// Returns the number of missing partitions.
    #[must_use]
    pub fn missing(&self) -> u64 {
        self.missing.len() as u64
    }

    /// Returns the key of a running leaf.
    #[must_use]
    pub fn key(&self, partition: u32, attempt: u32) -> Option<&PartitionKey> {
        self.running.get(&(partition, attempt)).map(|leaf| &leaf.key)
    }

    /// Returns the leaves that have been running longest, and the number of the others.
    #[must_use]
    pub fn slowest(&self) -> (Vec<Leaf>, u64) {
        let mut leaves: Vec<_> = self.running.iter().collect();
        let order = |one: &(&(u32, u32), &Leaf)| (one.1.start, *one.0);
        if leaves.len() > MAX_LEAVES {
            leaves.select_nth_unstable_by_key(MAX_LEAVES - 1, order);
            leaves.truncate(MAX_LEAVES);
        }
        leaves.sort_by_key(order);
        let more = (self.running.len() - leaves.len()) as u64;
        (leaves.into_iter().map(|(_, leaf)| leaf.clone()).collect(), more)
    }
}
