//! The tree for an ordered merge: only neighbours are folded, so that the result is in the order of the partitions.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{FAN_IN, Fold, Place, Urgency, batch};

/// What stands for the partitions from a run's key up to its `end`.
#[derive(Debug)]
struct Run {
    end: u32,
    level: u8,
    state: State,
}

#[derive(Debug)]
enum State {
    /// A partial.
    Ready(Bytes),
    /// A partial that is being made of those that stood here.
    Folding,
    /// Nothing: these partitions will not come.
    Empty,
}

/// Runs by their first partition. Partitions without a run are still awaited.
#[derive(Debug, Default)]
pub(super) struct Runs {
    runs: BTreeMap<u32, Run>,
    /// Where a full fold may have become possible.
    touched: Vec<u32>,
}

impl Runs {
    pub(super) fn add(&mut self, partition: u32, partial: Bytes) {
        self.insert(partition, partition + 1, 0, State::Ready(partial));
        self.touched.push(partition);
    }

    pub(super) fn skip(&mut self, partition: u32) {
        // Empty neighbours become one run, so that no walk over them is longer than one over partials.
        let (mut from, mut end) = (partition, partition + 1);
        if let Some((start, before)) = self.runs.range(..partition).next_back()
            && before.end == partition
            && matches!(before.state, State::Empty)
        {
            from = *start;
        }
        if let Some(after) = self.runs.get(&end)
            && matches!(after.state, State::Empty)
        {
            end = after.end;
            self.runs.remove(&(partition + 1));
        }
        self.insert(from, end, 0, State::Empty);
        self.touched.push(from);
    }

    fn insert(&mut self, from: u32, end: u32, level: u8, state: State) {
        self.runs.insert(from, Run { end, level, state });
    }

    pub(super) fn next_fold(&mut self, urgency: Urgency) -> Option<Fold> {
        while let Some(at) = self.touched.last().copied() {
            if let Some((from, level)) = self.full_around(at) {
                return self.take(from, level);
            }
            self.touched.pop();
        }
        match urgency {
            Urgency::Full => None,
            Urgency::Any => self.first_pair().and_then(|from| self.take(from, u8::MAX)),
        }
    }

    /// The start and the level of a full fold around the run at `at`.
    fn full_around(&self, at: u32) -> Option<(u32, u8)> {
        let level = self.runs.get(&at)?.level;
        let mut from = at;
        // A fold's worth, with at most one empty run before each.
        for (start, run) in self.runs.range(..at).rev().take(2 * FAN_IN) {
            let adjacent = run.end == from && run.level <= level;
            if !adjacent || matches!(run.state, State::Folding) {
                break;
            }
            from = *start;
        }
        self.neighbours(from, level).1.then_some((from, level))
    }

    /// How many runs from `from` on may be folded together, and whether they make a full fold.
    fn neighbours(&self, from: u32, level: u8) -> (usize, bool) {
        let mut end = from;
        let ready = self
            .runs
            .range(from..)
            .map_while(|(start, run)| {
                let usable = *start == end && run.level <= level;
                end = run.end;
                match (&run.state, usable) {
                    (State::Ready(partial), true) => Some(Some(partial.len())),
                    (State::Empty, true) => Some(None),
                    _ => None,
                }
            })
            .flatten();
        batch(ready)
    }

    /// The first two partials with nothing but empty runs between them.
    fn first_pair(&self) -> Option<u32> {
        self.runs
            .iter()
            .filter(|(_, run)| matches!(run.state, State::Ready(_)))
            .map(|(start, _)| *start)
            .find(|start| self.neighbours(*start, u8::MAX).0 >= 2)
    }

    /// Takes the fold that starts at `from`, of runs up to `level`, leaving a placeholder.
    fn take(&mut self, from: u32, level: u8) -> Option<Fold> {
        let (count, _) = self.neighbours(from, level);
        let mut inputs = Vec::with_capacity(count);
        let (mut end, mut top) = (from, 0);
        while inputs.len() < count {
            let run = self.runs.remove(&end)?;
            end = run.end;
            if let State::Ready(partial) = run.state {
                top = top.max(run.level);
                inputs.push(partial);
            }
        }
        let level = top.saturating_add(1);
        self.insert(from, end, level, State::Folding);
        Some(Fold {
            inputs,
            place: Place { lo: from, level },
        })
    }

    pub(super) fn folded(&mut self, place: Place, result: Bytes) {
        if let Some(run) = self.runs.get_mut(&place.lo) {
            run.state = State::Ready(result);
            self.touched.push(place.lo);
        }
    }

    pub(super) fn into_last(self) -> Option<Bytes> {
        self.runs.into_values().find_map(|run| match run.state {
            State::Ready(partial) => Some(partial),
            _ => None,
        })
    }
}
