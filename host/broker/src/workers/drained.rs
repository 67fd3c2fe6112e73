//! Processes that were asked to leave, so that they are asked again when they come again.

use std::collections::VecDeque;

use crate::nats::PeerId;

/// The most processes that are remembered. For a further one, the first is forgotten.
const MOST_DRAINED: usize = 1024;

/// Processes that were asked to leave, the last one at the end.
#[derive(Debug, Default)]
pub(super) struct Drained(VecDeque<PeerId>);

impl Drained {
    /// Remembers a process.
    pub(super) fn add(&mut self, process: PeerId) {
        if self.has(process) {
            return;
        }
        if self.0.len() >= MOST_DRAINED {
            self.0.pop_front();
        }
        self.0.push_back(process);
    }

    /// True if the process was asked to leave.
    pub(super) fn has(&self, process: PeerId) -> bool {
        self.0.contains(&process)
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
            drained.add(*process);
        }
        assert!(!drained.has(all[0]));
        assert!(all[1..].iter().all(|process| drained.has(*process)));
    }
}
