//! Builder of a model, event by event. Memory: some 100 bytes a partition and 48 an attempt.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};

use frond_root::{Event, EventKind, Failure, FailureKind, PartitionKey};

use super::{Attempt, End, Fate, Fold, Head, Lane, Model, PlanInfo, Trouble, add_usage};
use crate::show::text::{MAX_KEY, sanitise};
use crate::show::trouble::Excerpt;

/// Builder of a [`Model`].
#[derive(Debug, Default)]
pub struct Builder {
    model: Model,
    lanes: HashMap<u32, Lane>,
    /// Indices of running attempts in `model.attempts`, by partition and number.
    running: HashMap<(u32, u32), usize>,
    /// Earliest start of each scheduled retry, by partition and number.
    retries: HashMap<(u32, u32), u64>,
    folding: HashMap<u32, usize>,
    used: HashSet<u32>,
    held_since: Option<u64>,
    troubles: BTreeMap<FailureKind, Trouble>,
}

impl Builder {
    /// Adds the next event.
    pub fn take(&mut self, event: &Event) {
        let at = event.at;
        self.model.events += 1;
        self.model.last = self.model.last.max(at);
        self.model.written.take(event);
        match &event.kind {
            EventKind::QueryStarted { .. } => self.started(event),
            EventKind::Planned { partitions, weight, leaf_deadline, gather_deadline } => {
                let planned = PlanInfo {
                    at,
                    partitions: *partitions,
                    weight: *weight,
                    leaf_deadline: *leaf_deadline,
                    gather_deadline: *gather_deadline,
                };
                self.model.odd += u64::from(self.model.planned.replace(planned).is_some());
            }
            EventKind::AttemptStarted { .. } | EventKind::AttemptEnded { .. } => self.attempt(event),
            EventKind::RetryScheduled { partition, attempt, start } => {
                self.retries.insert((*partition, *attempt), *start);
            }
            EventKind::PartitionMissing { partition, key, status, slug } => {
                self.lane(*partition, Some(key)).missing = Some((*status, *slug));
            }
            EventKind::FoldStarted { .. } | EventKind::FoldEnded { .. } => self.fold(event),
            EventKind::FloorReached { .. } => {
                self.model.floor_reached.get_or_insert(at);
            }
            EventKind::Held { held, .. } => self.held(at, *held),
            EventKind::GatherEnded { why } => {
                self.model.gather_end.get_or_insert((at, *why));
            }
            EventKind::FinishStarted {} => {
                self.model.finish.get_or_insert(at);
            }
            EventKind::QueryEnded { .. } => self.ended(event),
        }
    }

    /// Returns the model of all events so far.
    #[must_use]
    pub fn build(mut self) -> Model {
        self.held(self.model.last, false);
        self.close_attempts();
        let mut lanes: Vec<Lane> = self.lanes.into_values().collect();
        lanes.sort_unstable_by_key(|lane| lane.index);
        let attempts = &mut self.model.attempts;
        attempts.sort_unstable_by_key(|one| (one.partition, one.start, one.number));
        let mut next = 0_usize;
        for lane in &mut lanes {
            let rest = attempts.get(next..).unwrap_or_default();
            let count = rest.iter().take_while(|one| one.partition == lane.index).count();
            lane.first = u32::try_from(next).unwrap_or(u32::MAX);
            lane.count = u32::try_from(count).unwrap_or(u32::MAX);
            next += count;
        }
        self.model.lanes = lanes;
        self.model.folds.sort_by_key(|fold| (fold.start, fold.number));
        self.model.troubles = self.troubles.into_values().collect();
        self.model.troubles.sort_by_key(|trouble| std::cmp::Reverse(trouble.count));
        self.model
    }

    fn started(&mut self, event: &Event) {
        let EventKind::QueryStarted { query, app, deadline, slots, floor, unix_ms, .. } = &event.kind else {
            return;
        };
        let head = Head {
            app: sanitise(app, MAX_KEY),
            query: query.to_string(),
            deadline: *deadline,
            slots: *slots,
            floor: *floor,
            unix_ms: *unix_ms,
        };
        self.model.odd += u64::from(self.model.head.replace(head).is_some());
    }

    fn lane(&mut self, partition: u32, key: Option<&PartitionKey>) -> &mut Lane {
        self.lanes.entry(partition).or_insert_with(|| Lane {
            index: partition,
            key: key
                .map_or_else(|| format!("partition {partition}").into(), |key| sanitise(key.as_str(), MAX_KEY).into()),
            missing: None,
            first: 0,
            count: 0,
        })
    }

    fn attempt(&mut self, event: &Event) {
        match &event.kind {
            EventKind::AttemptStarted { partition, key, attempt, slot, .. } => {
                self.attempt_started(event.at, (*partition, *attempt), *slot, key)
            }
            EventKind::AttemptEnded { partition, attempt, failure, usage, .. } => {
                add_usage(&mut self.model.usage, *usage);
                self.attempt_ended(event.at, (*partition, *attempt), failure.as_ref());
            }
            _ => {}
        }
    }

    fn attempt_started(&mut self, at: u64, id: (u32, u32), slot: u32, key: &PartitionKey) {
        self.lane(id.0, Some(key));
        let queued = self.retries.remove(&id).unwrap_or(self.model.scattered());
        match self.running.entry(id) {
            Entry::Occupied(_) => self.model.odd += 1,
            Entry::Vacant(free) => {
                free.insert(self.model.attempts.len());
                self.model.attempts.push(Attempt {
                    partition: id.0,
                    number: id.1,
                    slot,
                    queued: queued.min(at),
                    start: at,
                    end: at,
                    fate: Fate::Open,
                });
            }
        }
    }

    fn attempt_ended(&mut self, at: u64, id: (u32, u32), failure: Option<&Failure>) {
        let fate = match failure {
            Some(failure) => match failure.kind {
                FailureKind::Cancelled | FailureKind::OutOfTime => Fate::CutOff,
                kind => Fate::Failed(kind),
            },
            None if self.model.gather_end.is_none() && self.used.insert(id.0) => Fate::Used,
            None => Fate::Discarded,
        };
        let place = self.running.remove(&id);
        let Some(attempt) = place.and_then(|place| self.model.attempts.get_mut(place)) else {
            self.model.odd += 1;
            return;
        };
        attempt.end = at.max(attempt.start);
        attempt.fate = fate;
        if let Some(failure) = failure {
            let key = self.lane(id.0, None).key.clone();
            self.trouble(failure, || format!("{key}, attempt {}", id.1));
        }
    }

    fn trouble(&mut self, failure: &Failure, place: impl FnOnce() -> String) {
        self.troubles
            .entry(failure.kind)
            .or_insert_with(|| Trouble { kind: failure.kind, count: 0, place: place(), example: Excerpt::of(failure) })
            .count += 1;
    }

    fn fold(&mut self, event: &Event) {
        match &event.kind {
            EventKind::FoldStarted { fold, inputs, bytes } => {
                let twice = self.folding.insert(*fold, self.model.folds.len()).is_some();
                self.model.odd += u64::from(twice);
                self.model.folds.push(Fold {
                    number: *fold,
                    start: event.at,
                    end: None,
                    inputs: *inputs,
                    bytes: *bytes,
                    failure: None,
                });
            }
            EventKind::FoldEnded { fold, failure, .. } => {
                let place = self.folding.remove(fold);
                match place.and_then(|place| self.model.folds.get_mut(place)) {
                    Some(known) => {
                        known.end = Some(event.at.max(known.start));
                        known.failure = failure.as_ref().map(|failure| failure.kind);
                    }
                    None => self.model.odd += 1,
                }
                if let Some(failure) = failure {
                    self.trouble(failure, || format!("merge {fold}"));
                }
            }
            _ => {}
        }
    }

    fn held(&mut self, at: u64, held: bool) {
        match (held, self.held_since) {
            (true, None) => self.held_since = Some(at),
            (false, Some(since)) => {
                self.held_since = None;
                self.model.held.push((since, at.max(since)));
            }
            _ => {}
        }
    }

    fn ended(&mut self, event: &Event) {
        let EventKind::QueryEnded { outcome, reason, coverage } = &event.kind else {
            return;
        };
        let end = End {
            at: event.at,
            outcome: sanitise(outcome, MAX_KEY),
            reason: reason.clone(),
            coverage: coverage.clone(),
        };
        self.model.odd += u64::from(self.model.end.replace(end).is_some());
    }

    /// Closes attempts without an end: the query stops waiting for them at the gather's end, so no
    /// event reports theirs.
    fn close_attempts(&mut self) {
        let gather_end = self.model.gather_end.map(|(at, _)| at);
        let close = gather_end.unwrap_or_else(|| self.model.until());
        for place in self.running.values() {
            if let Some(attempt) = self.model.attempts.get_mut(*place) {
                attempt.end = close.max(attempt.start);
                if gather_end.is_some() || self.model.end.is_some() {
                    attempt.fate = Fate::CutOff;
                }
            }
        }
    }
}
