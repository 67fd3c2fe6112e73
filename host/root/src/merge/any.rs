//! Merge tree for a commutative merge: partials by level, folded as they arrive.

use std::collections::VecDeque;

use bytes::Bytes;

use super::fold::{Batch, FOLD_BYTES, Fold, MAX_FAN_IN, TreePosition, Urgency};

/// Queues by level: `levels[k]` has results of at least 8ᵏ leaves each, oldest first, except for
/// early folds.
#[derive(Debug, Default)]
pub(super) struct Levels {
    levels: Vec<VecDeque<Bytes>>,
}

impl Levels {
    pub(super) fn add(&mut self, level: usize, partial: Bytes) {
        if self.levels.len() <= level {
            self.levels.resize_with(level + 1, VecDeque::new);
        }
        if let Some(queue) = self.levels.get_mut(level) {
            queue.push_back(partial);
        }
    }

    pub(super) fn next_fold(&mut self, urgency: Urgency, folding: bool) -> Option<Fold> {
        if urgency == Urgency::Any
            && !folding
            && let Some(last) = self.last()
        {
            return Some(last);
        }
        let full = self.levels.iter().position(|queue| Batch::of(queue.iter().map(Bytes::len), MAX_FAN_IN).is_full());
        match (full, urgency) {
            (Some(level), _) => {
                let queue = self.levels.get_mut(level)?;
                let count = Batch::of(queue.iter().map(Bytes::len), MAX_FAN_IN).count;
                let inputs = queue.drain(..count).collect();
                Some(fold(inputs, level + 1))
            }
            (None, Urgency::Idle | Urgency::Any) if !folding => self.lowest(urgency),
            _ => None,
        }
    }

    /// Takes all partials if they fit one call: when nothing else runs, two folds in sequence take
    /// longer.
    fn last(&mut self) -> Option<Fold> {
        let mut count = 0;
        let mut bytes = 0;
        for partial in self.levels.iter().flatten() {
            count += 1;
            bytes += partial.len();
        }
        let whole = (2..=MAX_FAN_IN).contains(&count) && bytes <= FOLD_BYTES;
        whole.then(|| fold(self.levels.iter_mut().flat_map(|queue| queue.drain(..)).collect(), self.levels.len()))
    }

    /// Takes up to one call's inputs from the lowest levels: the results that have been folded
    /// least.
    fn lowest(&mut self, urgency: Urgency) -> Option<Fold> {
        let batch = Batch::of(self.levels.iter().flatten().map(Bytes::len), MAX_FAN_IN);
        let count = batch.count;
        if count < 2 || (urgency == Urgency::Idle && !batch.is_even()) {
            return None;
        }
        let mut inputs = Vec::with_capacity(count);
        let mut top = 0;
        for (level, queue) in self.levels.iter_mut().enumerate() {
            while inputs.len() < count
                && let Some(partial) = queue.pop_front()
            {
                inputs.push(partial);
                top = level;
            }
        }
        Some(fold(inputs, top + 1))
    }

    pub(super) fn peek(&self) -> Vec<Bytes> {
        self.levels.iter().flatten().cloned().collect()
    }

    pub(super) fn into_last(self) -> Option<Bytes> {
        self.levels.into_iter().flatten().next()
    }
}

fn fold(inputs: Vec<Bytes>, level: usize) -> Fold {
    let place = TreePosition { lo: (0, 0), level: u8::try_from(level).unwrap_or(u8::MAX) };
    Fold { inputs, place }
}
