//! Builder of a model, event by event. Memory: some 100 bytes a partition, 64 an attempt and 16 a
//! wait.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};

use frond_root::event::EndedPart;
use frond_root::waits::MAX_WAITS;
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
            EventKind::AttemptStarted { partition, key, attempt, slot, units, cut_from, copy_of, worker, .. } => {
                if let Some(worker) = worker {
                    self.model.workers.insert(*slot, sanitise(worker, MAX_KEY).into());
                }
                // The rest of a running attempt waits for nothing before it is cut off, and so does a copy.
                let scattered = if cut_from.or(*copy_of).is_some() { event.at } else { self.model.scattered() };
                let queued = self.retries.remove(&(*partition, *attempt)).unwrap_or(scattered);
                let place = self.attempt_started((queued, event.at), (*partition, *attempt), *slot, key);
                if let Some(attempt) = place.and_then(|place| self.model.attempts.get_mut(place)) {
                    attempt.units = *units;
                    attempt.cut_from = *cut_from;
                    self.model.cuts += u64::from(cut_from.is_some());
                }
            }
            EventKind::AttemptEnded {
                partition,
                attempt,
                failure,
                usage,
                earlier,
                waited,
                waits,
                part,
                beaten,
                ..
            } => {
                add_usage(&mut self.model.usage, *usage);
                let id = (*partition, *attempt);
                let is_part = part.is_some() && !beaten;
                let failure = failure.as_ref().filter(|_| !beaten);
                if let Some(place) = self.attempt_ended(event.at, id, (*earlier, is_part), failure) {
                    self.waited(place, *waited, waits);
                    self.had(place, part.as_ref());
                }
            }
            _ => {}
        }
    }

    /// Adds an attempt. Returns its index, unless it runs already.
    fn attempt_started(
        &mut self,
        (queued, at): (u64, u64),
        id: (u32, u32),
        slot: u32,
        key: &PartitionKey,
    ) -> Option<usize> {
        self.lane(id.0, Some(key));
        match self.running.entry(id) {
            Entry::Occupied(_) => {
                self.model.odd += 1;
                None
            }
            Entry::Vacant(free) => {
                let place = *free.insert(self.model.attempts.len());
                self.model.attempts.push(Attempt {
                    partition: id.0,
                    number: id.1,
                    slot,
                    earlier: 0,
                    queued: queued.min(at),
                    start: at,
                    end: at,
                    waited: 0,
                    fate: Fate::Open,
                    units: None,
                    cut_from: None,
                    first_wait: 0,
                    waits: 0,
                });
                Some(place)
            }
        }
    }

    /// Ends an attempt, at a part of its partition if `is_part`. Returns its index, if its start is
    /// known.
    fn attempt_ended(
        &mut self,
        at: u64,
        id: (u32, u32),
        (earlier, is_part): (u32, bool),
        failure: Option<&Failure>,
    ) -> Option<usize> {
        let fate = match failure {
            Some(failure) => match failure.kind {
                FailureKind::Cancelled | FailureKind::OutOfTime => Fate::CutOff,
                kind => Fate::Failed(kind),
            },
            // Each part of a partition is used.
            None if self.model.gather_end.is_none() && (self.used.insert(id.0) || is_part) => Fate::Used,
            None => Fate::Discarded,
        };
        let place = self.running.remove(&id);
        let Some(attempt) = place.and_then(|place| self.model.attempts.get_mut(place)) else {
            self.model.odd += 1;
            return None;
        };
        attempt.end = at.max(attempt.start);
        attempt.fate = fate;
        attempt.earlier = earlier;
        self.model.warm += u64::from(earlier > 0);
        if let Some(failure) = failure {
            let key = self.lane(id.0, None).key.clone();
            self.trouble(failure, || format!("{key}, attempt {}", id.1));
        }
        place
    }

    /// Adds the units that an ended attempt had in the end, after all cuts.
    fn had(&mut self, place: usize, part: Option<&EndedPart>) {
        let Some(attempt) = self.model.attempts.get_mut(place) else { return };
        attempt.units = part.filter(|part| (part.begin, part.end) != (0, part.of)).map(|part| (part.begin, part.end));
    }

    /// Adds the waits of an attempt that has ended, as far as they are within it and in order.
    fn waited(&mut self, place: usize, waited: u64, waits: &[(u64, u64)]) {
        let Some(attempt) = self.model.attempts.get_mut(place).filter(|_| waited > 0) else { return };
        attempt.waited = waited.min(attempt.time());
        attempt.first_wait = u32::try_from(self.model.waits.len()).unwrap_or(u32::MAX);
        let mut from = attempt.start;
        for wait in waits.iter().take(MAX_WAITS) {
            let span = (wait.0.clamp(from, attempt.end), wait.1.clamp(from, attempt.end));
            if span.0 < span.1 {
                self.model.waits.push(span);
                attempt.waits += 1;
                from = span.1;
            }
        }
        self.model.waiting += 1;
        self.model.waited = self.model.waited.saturating_add(attempt.waited);
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
