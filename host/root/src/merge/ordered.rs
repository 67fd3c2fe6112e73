//! Merge tree for an ordered merge: folds only neighbours, so that the result keeps partition
//! order.
//!
//! The parts of a partition form a block, partitions form blocks of [`FAN_IN`], blocks form blocks
//! of blocks, and so on. A block is folded when all of it is settled. Each partial is thus folded
//! about log₈(n) times, whatever the order of arrival, and a late partition delays its neighbours
//! only.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::fold::{Batch, FAN_IN, FOLD_BYTES, Fold, MAX_FAN_IN, TreePosition, Urgency};
use super::span::{Position, Span};

/// State of the content from a run's key up to its `end`.
#[derive(Debug)]
struct Run {
    end: Position,
    /// Number of leaves' partials in it; 0 when empty.
    leaves: u32,
    state: State,
}

impl Run {
    fn level(&self) -> u32 {
        self.leaves.max(1).ilog(FAN_IN as u32)
    }

    fn bytes(&self) -> usize {
        match &self.state {
            State::Ready(partial) => partial.len(),
            State::Folding | State::Empty => 0,
        }
    }
}

/// State of a run of neighbouring partitions or parts.
#[derive(Debug)]
enum State {
    /// A partial.
    Ready(Bytes),
    /// A running fold of the partials that were here.
    Folding,
    /// Nothing: no partial of these will arrive.
    Empty,
}

/// Runs by their first position. Positions without a run are still awaited.
#[derive(Debug, Default)]
pub(super) struct Runs {
    runs: BTreeMap<Position, Run>,
    /// Positions at which a block may have become complete, by level: low levels are folded first.
    touched: BTreeSet<(u32, Position)>,
}

impl Runs {
    pub(super) fn add(&mut self, span: Span, partial: Bytes) {
        self.insert(span.from, span.to, 1, State::Ready(partial));
        self.touched.insert((0, span.from));
    }

    pub(super) fn skip(&mut self, span: Span) {
        // Empty neighbours become one run, so that a walk over them is never longer than one over
        // partials.
        let Span { mut from, to: mut end } = span;
        if let Some((start, before)) = self.runs.range(..from).next_back()
            && before.end == from
            && matches!(before.state, State::Empty)
        {
            from = *start;
        }
        if let Some(after) = self.runs.get(&end)
            && matches!(after.state, State::Empty)
        {
            let joined = end;
            end = after.end;
            self.runs.remove(&joined);
        }
        self.insert(from, end, 0, State::Empty);
        self.touched.insert((0, span.from));
    }

    fn insert(&mut self, from: Position, end: Position, leaves: u32, state: State) {
        self.runs.insert(from, Run { end, leaves, state });
    }

    pub(super) fn next_fold(&mut self, urgency: Urgency, folding: bool) -> Option<Fold> {
        if urgency == Urgency::Any
            && !folding
            && let Some((from, count)) = self.last()
        {
            return self.take(from, count);
        }
        while let Some((_, at)) = self.touched.first().copied() {
            if let Some((from, count)) = self.whole_block(at).or_else(|| self.heavy(at)) {
                return self.take(from, count);
            }
            self.touched.pop_first();
        }
        // A running fold may form a full fold with the rest.
        if urgency == Urgency::Full || folding {
            return None;
        }
        let (from, level) = self.lowest_pair()?;
        let batch = self.neighbours(from, level);
        let worth = urgency == Urgency::Any || batch.is_even();
        worth.then(|| self.take(from, batch.count)).flatten()
    }

    /// All partials, if they fit one call and no partition between them is awaited: when nothing
    /// else runs, two folds in sequence take longer.
    fn last(&self) -> Option<(Position, usize)> {
        let (first, _) = self.runs.first_key_value()?;
        let (_, last) = self.runs.last_key_value()?;
        let (from, count) = self.settled(*first, last.end)?;
        let bytes: usize = self.runs.values().map(Run::bytes).sum();
        ((2..=MAX_FAN_IN).contains(&count) && bytes <= FOLD_BYTES).then_some((from, count))
    }

    /// The smallest settled block around `at` with two or more partials: their start, and how many
    /// to fold.
    fn whole_block(&self, at: Position) -> Option<(Position, usize)> {
        let mut size = 1;
        loop {
            let first = at.0 / size * size;
            let (from, ready) = self.settled((first, 0), (first.saturating_add(size), 0))?;
            if ready > 1 {
                return Some((from, self.neighbours(from, u32::MAX).count.min(ready)));
            }
            size = size.checked_mul(FAN_IN as u32)?;
        }
    }

    /// Start of the run at `first`, and number of partials from there to `end`; `None` unless all
    /// of them are settled.
    fn settled(&self, first: Position, end: Position) -> Option<(Position, usize)> {
        let (from, _) = self.runs.range(..=first).next_back()?;
        let mut next = *from;
        let mut ready = 0;
        for (start, run) in self.runs.range(from..) {
            if *start != next || matches!(run.state, State::Folding) {
                return None;
            }
            ready += usize::from(matches!(run.state, State::Ready(_)));
            next = run.end;
            if next >= end {
                return Some((*from, ready));
            }
        }
        None
    }

    /// A range of partials at `at` that is worth a fold by its bytes alone.
    fn heavy(&self, at: Position) -> Option<(Position, usize)> {
        let before = self.runs.range(..at).next_back();
        let before = before.filter(|(_, run)| run.end == at).map(|(start, _)| *start);
        [before, Some(at)].into_iter().flatten().find_map(|from| {
            let batch = self.neighbours(from, u32::MAX);
            (batch.is_heavy() && batch.is_even()).then_some((from, batch.count))
        })
    }

    /// Runs from `from` on, up to `level`, that may be folded together.
    fn neighbours(&self, from: Position, level: u32) -> Batch {
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
        Batch::of(ready, FAN_IN)
    }

    /// The adjacent pair that has been folded least: its first run, and the higher of its levels.
    fn lowest_pair(&self) -> Option<(Position, u32)> {
        let mut last: Option<(Position, u32)> = None;
        let mut next = (0, 0);
        let pairs = self.runs.iter().filter_map(|(start, run)| {
            let before = last.filter(|_| *start == next);
            next = run.end;
            match run.state {
                State::Ready(_) => {
                    last = Some((*start, run.level()));
                    before.map(|(from, level)| (from, level.max(run.level())))
                }
                State::Empty => {
                    last = before;
                    None
                }
                State::Folding => {
                    last = None;
                    None
                }
            }
        });
        pairs.min_by_key(|(_, level)| *level)
    }

    /// Takes `count` partials from `from` on, and leaves a placeholder.
    fn take(&mut self, from: Position, count: usize) -> Option<Fold> {
        let mut inputs = Vec::with_capacity(count);
        let mut end = from;
        let mut leaves = 0;
        while inputs.len() < count {
            let run = self.runs.remove(&end)?;
            end = run.end;
            if let State::Ready(partial) = run.state {
                leaves += run.leaves;
                inputs.push(partial);
            }
        }
        self.insert(from, end, leaves, State::Folding);
        Some(Fold { inputs, place: TreePosition { lo: from, level: 0 } })
    }

    pub(super) fn folded(&mut self, place: TreePosition, result: Bytes) {
        if let Some(run) = self.runs.get_mut(&place.lo) {
            run.state = State::Ready(result);
            // The result may span the border of two blocks.
            let level = run.level();
            let last = if run.end.1 == 0 { run.end.0 - 1 } else { run.end.0 };
            self.touched.extend([(level, place.lo), (level, (last, 0))]);
        }
    }

    pub(super) fn peek(&self) -> Vec<Bytes> {
        let ready = self.runs.values().filter_map(|run| match &run.state {
            State::Ready(partial) => Some(partial.clone()),
            _ => None,
        });
        ready.collect()
    }

    pub(super) fn into_last(self) -> Option<Bytes> {
        self.runs.into_values().find_map(|run| match run.state {
            State::Ready(partial) => Some(partial),
            _ => None,
        })
    }
}
