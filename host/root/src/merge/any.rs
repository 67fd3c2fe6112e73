//! The tree for a commutative merge: partials by level, folded as they come.

use std::collections::VecDeque;

use bytes::Bytes;

use super::{Fold, Place, Urgency, batch};

/// `levels[k]` holds results of about 8ᵏ leaves each, oldest first.
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
        let full = self
            .levels
            .iter()
            .position(|queue| batch(queue.iter().map(Bytes::len)).1);
        match (full, urgency) {
            (Some(level), _) => {
                let queue = self.levels.get_mut(level)?;
                let (count, _) = batch(queue.iter().map(Bytes::len));
                let inputs = queue.drain(..count).collect();
                Some(fold(inputs, level + 1))
            }
            (None, Urgency::Any) if !folding => self.lowest(),
            _ => None,
        }
    }

    /// Up to a fold's worth of the lowest levels: the results that have been folded least.
    fn lowest(&mut self) -> Option<Fold> {
        let (count, _) = batch(self.levels.iter().flatten().map(Bytes::len));
        if count < 2 {
            return None;
        }
        let (mut inputs, mut top) = (Vec::with_capacity(count), 0);
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

    pub(super) fn into_last(self) -> Option<Bytes> {
        self.levels.into_iter().flatten().next()
    }
}

fn fold(inputs: Vec<Bytes>, level: usize) -> Fold {
    let place = Place {
        lo: 0,
        level: u8::try_from(level).unwrap_or(u8::MAX),
    };
    Fold { inputs, place }
}
