//! Slots of the root's process, and workers with theirs.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use frond_root::policy::credits::MOST_AHEAD;

use crate::agenda::nanos;
use crate::leaf::Pace;
use crate::world::{ClusterTable, WorkerTable, duration};

/// Slots of the root's process.
#[derive(Debug)]
pub(crate) struct Slots {
    pub(crate) paces: Vec<Pace>,
    /// Idle slots, the most recently idle last.
    pub(crate) idle: Vec<u32>,
    /// Number of slots with background work.
    pub(crate) background: usize,
}

impl Slots {
    pub(crate) fn new(cluster: &ClusterTable) -> Self {
        let speed = |at: u32| cluster.speeds.get(at as usize).copied().unwrap_or(1.0);
        let pace = |at| Pace { speed: speed(at), stops: Vec::new() };
        Self { paces: (0..cluster.slots).map(pace).collect(), idle: (0..cluster.slots).rev().collect(), background: 0 }
    }
}

/// A worker, and what the root knows of it.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) name: Arc<str>,
    pub(crate) slots: u32,
    /// Number of its first slot among those of all workers.
    pub(crate) first: u32,
    pub(crate) pace: Pace,
    pub(crate) killed: Option<u64>,
    /// True once it is killed.
    pub(crate) is_dead: bool,
    /// True once the root has lost it.
    pub(crate) is_lost: bool,
    pub(crate) idle: Vec<u32>,
    /// Attempts that wait for a slot.
    pub(crate) queue: VecDeque<u32>,
    /// Attempts that it has, as the root knows.
    pub(crate) held: BTreeSet<u32>,
}

impl Worker {
    fn new(number: usize, first: u32, table: &WorkerTable) -> Self {
        let ns = |ms: f64| nanos(duration(ms));
        let stops = table.stops.iter().map(|stop| (ns(stop.at_ms), ns(stop.at_ms + stop.for_ms)));
        Self {
            name: format!("worker-{number}").into(),
            slots: table.slots,
            first,
            pace: Pace { speed: table.speed, stops: stops.collect() },
            killed: table.killed_ms.map(ns),
            is_dead: false,
            is_lost: false,
            idle: (0..table.slots).rev().collect(),
            queue: VecDeque::new(),
            held: BTreeSet::new(),
        }
    }
}

/// Places where leaves run.
#[derive(Debug)]
pub(crate) enum Places {
    /// Slots of the root's process.
    Here(Slots),
    /// Workers, behind messages that take half a round trip each.
    Workers { all: Vec<Worker>, round_trip: Duration },
}

impl Places {
    pub(crate) fn new(cluster: &ClusterTable) -> Self {
        if cluster.workers.is_empty() {
            return Self::Here(Slots::new(cluster));
        }
        let mut first = 0;
        let mut all = Vec::with_capacity(cluster.workers.len());
        for (number, table) in cluster.workers.iter().enumerate() {
            all.push(Worker::new(number, first, table));
            first += table.slots;
        }
        Self::Workers { all, round_trip: duration(cluster.round_trip_ms) }
    }

    /// Number of slots, without those of lost workers.
    pub(crate) fn slots(&self) -> usize {
        match self {
            Self::Here(slots) => slots.paces.len(),
            Self::Workers { all, .. } => all.iter().filter(|one| !one.is_lost).map(|one| one.slots as usize).sum(),
        }
    }

    /// The most attempts of a query that are claimed at once.
    pub(crate) fn most_claimed(&self) -> usize {
        match self {
            Self::Here(_) => self.slots(),
            Self::Workers { all, .. } => {
                let live = all.iter().filter(|one| !one.is_dead).map(|one| one.slots as usize);
                live.sum::<usize>() * (1 + MOST_AHEAD)
            }
        }
    }

    /// Sum of the speeds of all slots.
    pub(crate) fn speed(&self) -> f64 {
        match self {
            Self::Here(slots) => slots.paces.iter().map(|pace| pace.speed).sum(),
            Self::Workers { all, .. } => all.iter().map(|one| f64::from(one.slots) * one.pace.speed).sum(),
        }
    }
}
