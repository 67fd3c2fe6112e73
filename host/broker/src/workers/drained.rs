//! Processes that were asked to leave, so that they are asked again when they come again.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::time::Instant;

use crate::nats::PeerId;

/// The most processes that are remembered. For a further one, the first is forgotten.
const MOST_DRAINED: usize = 1024;

/// Drain of a worker.
#[derive(Clone, Debug)]
pub(super) struct Drain {
    /// Name of who asked for it; `None` if the worker's own host did.
    pub(super) by: Option<Arc<str>>,
    /// Time at which it was asked for.
    pub(super) at: Instant,
}

/// Processes that were asked to leave, the last one at the end.
#[derive(Debug, Default)]
pub(super) struct Drained(VecDeque<(PeerId, Drain)>);

impl Drained {
    /// Remembers a process. Only its first drain counts.
    pub(super) fn add(&mut self, process: PeerId, drain: Drain) {
        if self.get(process).is_some() {
            return;
        }
        if self.0.len() >= MOST_DRAINED {
            self.0.pop_front();
        }
        self.0.push_back((process, drain));
    }

    /// Drain of the process, if it was asked to leave.
    pub(super) fn get(&self, process: PeerId) -> Option<&Drain> {
        self.0.iter().find(|(of, _)| *of == process).map(|(_, drain)| drain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_processes_are_remembered() {
        let mut drained = Drained::default();
        let all: Vec<_> = std::iter::repeat_with(PeerId::random).take(MOST_DRAINED + 1).collect();
        for process in all.iter().chain(&all[1..]) {
            drained.add(*process, Drain { by: None, at: Instant::now() });
        }
        assert!(drained.get(all[0]).is_none());
        assert!(all[1..].iter().all(|process| drained.get(*process).is_some()));
    }
}
