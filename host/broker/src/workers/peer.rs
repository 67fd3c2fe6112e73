//! One worker, as a root sees it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use frond_root::Ticket;
use tokio::time::Instant;

use super::queries::Query;
use crate::frames::{AttemptOf, Join};
use crate::session::FrameSender;

/// The most attempts on their way to a worker, for each of its slots.
pub(super) const MOST_AHEAD: usize = 64;

/// Attempt that a worker has.
pub(super) struct Held {
    pub(super) query: Arc<Query>,
    pub(super) ticket: Ticket,
    /// Time at which the root heard that the leaf began.
    pub(super) started: Option<Instant>,
    /// True while the leaf waits without a slot.
    pub(super) is_waiting: bool,
}

/// A worker.
pub(super) struct Peer {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) slots: u32,
    waiting: u32,
    /// Number of its first slot among those of all workers.
    pub(super) first: u32,
    pub(super) since: Instant,
    pub(super) sender: FrameSender,
    pub(super) held: HashMap<AttemptOf, Held>,
    /// Number of attempts that wait without a slot.
    pub(super) waits: usize,
    /// Queries that the worker knows.
    pub(super) opened: HashSet<u64>,
    /// Leaves that the worker cannot run, with the reasons.
    pub(super) refused: HashMap<Bytes, String>,
    pub(super) is_draining: bool,
    /// Number of attempts that ended.
    pub(super) ended: u64,
    /// Time that they took on their slots.
    pub(super) ran: Duration,
}

impl Peer {
    pub(super) fn new(join: Join, first: u32, sender: FrameSender, now: Instant) -> Self {
        Self {
            name: join.name,
            version: join.version,
            slots: join.slots.clamp(1, super::MAX_WORKER_SLOTS),
            waiting: join.waiting,
            first,
            since: now,
            sender,
            held: HashMap::new(),
            waits: 0,
            opened: HashSet::new(),
            refused: HashMap::new(),
            is_draining: false,
            ended: 0,
            ran: Duration::ZERO,
        }
    }

    /// Number of attempts that have a slot, or are on their way to one.
    pub(super) fn active(&self) -> usize {
        self.held.len() - self.waits
    }

    /// True if the worker has a slot that does nothing.
    pub(super) fn has_idle_slot(&self) -> bool {
        !self.is_draining && self.active() < self.slots as usize && self.waits <= self.waiting as usize
    }

    /// True if the worker may have one more attempt of the query. Beyond its slots it has as many
    /// as its leaves take in two round trips, so that no slot waits for the next one, and a slow
    /// worker holds little that others could run.
    pub(super) fn may_have(&self, query: &Query) -> bool {
        let slots = self.slots as usize;
        let trip = self.sender.round_trip().unwrap_or_default().as_secs_f64();
        let ahead = query.mean().map_or(0.0, |mean| slots as f64 * 2.0 * trip / mean.as_secs_f64());
        let room = slots + (ahead as usize).min(slots * MOST_AHEAD);
        !self.is_draining
            && self.active() < room
            && self.waits <= self.waiting as usize
            && !self.refused.contains_key(&query.source.leaf)
    }
}
