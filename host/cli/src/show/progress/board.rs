//! Where a running query stands: updated by each event in constant time, read at any moment.

use std::collections::{HashMap, HashSet};

use frond_root::{Event, EventKind, PartitionKey, Status};

/// The most running leaves that are shown.
pub const MAX_LEAVES: usize = 8;

/// What the query is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// It has not begun.
    #[default]
    Waiting,
    /// It cuts the work.
    Planning,
    /// Leaves run.
    Gathering,
    /// Partials are folded; no leaf is waited for.
    Merging,
    /// It is over.
    Over,
}

/// Where a query stands.
#[derive(Debug, Default)]
pub struct Board {
    /// The app's name.
    pub app: String,
    /// The query's deadline, in microseconds.
    pub deadline: u64,
    /// What it is doing.
    pub phase: Phase,
    /// How many partitions there are.
    pub planned: u64,
    /// How many attempts failed.
    pub failures: u64,
    /// How many attempts were or will be tried again.
    pub retries: u64,
    /// True while leaves are held back for the memory of partials.
    pub held: bool,
    /// True once the floor is reached.
    pub enough: bool,
    succeeded: HashSet<u32>,
    missing: HashSet<u32>,
    running: HashMap<(u32, u32), Leaf>,
}

/// A running leaf.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// Its partition's key.
    pub key: PartitionKey,
    /// Its attempt.
    pub attempt: u32,
    /// When it began, in microseconds since the query did.
    pub start: u64,
}

impl Board {
    /// Takes the next event.
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
            EventKind::AttemptEnded { partition, attempt, failure, .. } => {
                self.running.remove(&(*partition, *attempt));
                match failure {
                    None if self.phase == Phase::Gathering => _ = self.succeeded.insert(*partition),
                    None => {}
                    Some(_) => self.failures += 1,
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

    /// How many partitions succeeded.
    #[must_use]
    pub fn succeeded(&self) -> u64 {
        self.succeeded.len() as u64
    }

    /// How many partitions are settled without a success.
    #[must_use]
    pub fn missing(&self) -> u64 {
        self.missing.len() as u64
    }

    /// The key of a running leaf.
    #[must_use]
    pub fn key(&self, partition: u32, attempt: u32) -> Option<&PartitionKey> {
        self.running.get(&(partition, attempt)).map(|leaf| &leaf.key)
    }

    /// The leaves that have been running longest, and how many more run.
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
