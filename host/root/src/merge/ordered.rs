//! The tree for an ordered merge: only neighbours are folded, so that the result is in the order of the partitions.
//!
//! A run is folded with runs of its level or below, a level being how often its leaves make eight. Low levels come
//! first: what they make of themselves is handled less often than what a large neighbour makes of them.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::{FAN_IN, Fold, Place, Urgency, batch};

/// What stands for the partitions from a run's key up to its `end`.
#[derive(Debug)]
struct Run {
    end: u32,
    /// Partials of leaves in it; 0 when empty.
    leaves: u32,
    state: State,
}

impl Run {
    fn level(&self) -> u32 {
        self.leaves.max(1).ilog(FAN_IN as u32)
    }
}

/// Above all levels: neighbours of any size.
const ANY_LEVEL: u32 = u32::MAX;

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
    /// Where a full fold may have become possible: levels and starts of runs.
    touched: BTreeSet<(u32, u32)>,
}

impl Runs {
    pub(super) fn add(&mut self, partition: u32, partial: Bytes) {
        self.insert(partition, partition + 1, 1, State::Ready(partial));
        self.touched.insert((0, partition));
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
        // It stands between neighbours of any level, and takes that of the lower one.
        let level = |run: Option<&Run>| run.map_or(0, Run::level);
        let before = level(self.runs.range(..from).next_back().map(|(_, run)| run));
        self.touched.insert((before.min(level(self.runs.get(&end))), from));
    }

    fn insert(&mut self, from: u32, end: u32, leaves: u32, state: State) {
        self.runs.insert(from, Run { end, leaves, state });
    }

    pub(super) fn next_fold(&mut self, urgency: Urgency, folding: bool) -> Option<Fold> {
        while let Some((level, at)) = self.touched.first().copied() {
            if let Some(from) = self.full_around(at, level) {
                return self.take(from, level);
            }
            self.touched.pop_first();
        }
        match urgency {
            // What is being folded may make a full fold with what is left.
            Urgency::Any if !folding => self.first_pair().and_then(|from| self.take(from, ANY_LEVEL)),
            _ => None,
        }
    }

    /// The start of a full fold of runs up to `level` with the one at `at` among them.
    fn full_around(&self, at: u32, level: u32) -> Option<u32> {
        let here = self.runs.get(&at)?;
        let mut room = FAN_IN - usize::from(matches!(here.state, State::Ready(_)));
        let mut from = at;
        for (start, run) in self.runs.range(..at).rev() {
            let usable = run.end == from && run.level() <= level && !matches!(run.state, State::Folding);
            if !usable || room == 0 {
                break;
            }
            room -= usize::from(matches!(run.state, State::Ready(_)));
            from = *start;
        }
        self.neighbours(from, level).1.then_some(from)
    }

    /// How many runs from `from` on may be folded together, and whether they make a full fold.
    fn neighbours(&self, from: u32, level: u32) -> (usize, bool) {
        let mut end = from;
        let ready = self
            .runs
            .range(from..)
            .map_while(|(start, run)| {
                let usable = *start == end && run.level() <= level;
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
            .find(|start| self.neighbours(*start, ANY_LEVEL).0 >= 2)
    }

    /// Takes the fold that starts at `from`, of runs up to `level`, leaving a placeholder.
    fn take(&mut self, from: u32, level: u32) -> Option<Fold> {
        let (count, _) = self.neighbours(from, level);
        let mut inputs = Vec::with_capacity(count);
        let (mut end, mut leaves) = (from, 0);
        while inputs.len() < count {
            let run = self.runs.remove(&end)?;
            end = run.end;
            if let State::Ready(partial) = run.state {
                leaves += run.leaves;
                inputs.push(partial);
            }
        }
        self.insert(from, end, leaves, State::Folding);
        Some(Fold {
            inputs,
            place: Place { lo: from, level: 0 },
        })
    }

    pub(super) fn folded(&mut self, place: Place, result: Bytes) {
        if let Some(run) = self.runs.get_mut(&place.lo) {
            run.state = State::Ready(result);
            self.touched.insert((run.level(), place.lo));
        }
    }

    pub(super) fn into_last(self) -> Option<Bytes> {
        self.runs.into_values().find_map(|run| match run.state {
            State::Ready(partial) => Some(partial),
            _ => None,
        })
    }
}
