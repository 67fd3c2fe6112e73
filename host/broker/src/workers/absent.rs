//! Workers that are not here and are still listed: those that were drained and have left, those
//! that cannot join, and processes that stand ready.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use super::view::WorkerView;

/// The most workers of one kind that are listed. For a further one, the first is forgotten.
const MOST_ABSENT: usize = 64;
/// Time for which a worker that is not here is listed.
const REMEMBERED: Duration = Duration::from_secs(600);

/// Pool of a broker whose workers may all be away.
#[derive(Debug)]
pub(super) struct EmptyPool {
    /// Its name.
    pub(super) name: String,
    /// True if leaves run on other slots meanwhile.
    pub(super) has_others: bool,
}

impl EmptyPool {
    /// Remark that no worker of the pool takes attempts, of which so many were drained. A root
    /// cannot see those of other pools.
    pub(super) fn remark(&self, drained: usize) -> String {
        let Self { name, has_others } = self;
        let result = if *has_others { "other slots run its leaves" } else { "leaves wait for one" };
        if drained > 0 {
            let were = if drained == 1 { "was" } else { "were" };
            return format!(
                "no worker of the pool `{name}` is left, and {drained} {were} drained: {result} (one that was drained \
                 takes attempts again once it is restarted; `frond worker --nats URL --pool {name}` starts another one)"
            );
        }
        format!(
            "no worker of the pool `{name}` has joined: {result} (`frond worker --nats URL --pool {name}` starts one; \
             for one that runs, compare its --pool and --nats with those here)"
        )
    }
}

/// Workers that are not here.
#[derive(Debug, Default)]
pub(super) struct Absentees {
    /// Workers that were drained and have left.
    drained: Remembered,
    /// Workers that cannot join.
    refused: Remembered,
    /// Processes that stand ready, by number.
    spares: BTreeMap<u64, (Instant, WorkerView)>,
    next_spare: u64,
}

impl Absentees {
    /// Remembers a worker that was drained and leaves now.
    pub(super) fn left(&mut self, worker: WorkerView, now: Instant) {
        self.drained.add(WorkerView { gone: Some(Duration::ZERO), ..worker }, now);
    }

    /// Remembers a worker that cannot join. One of the same name takes its place.
    pub(super) fn refused(&mut self, worker: WorkerView, now: Instant) {
        self.refused.forget(&worker.name);
        self.refused.add(worker, now);
    }

    /// Number of the workers of the broker that were drained and have left.
    pub(super) fn drained_of_broker(&self, now: Instant) -> usize {
        self.drained.listed(now).filter(|worker| worker.pool.is_some()).count()
    }

    /// Adds a process that stands ready. Returns its number.
    pub(super) fn stands_ready(&mut self, worker: WorkerView, now: Instant) -> u64 {
        self.next_spare += 1;
        self.spares.insert(self.next_spare, (now, worker));
        self.next_spare
    }

    /// Removes a process that stood ready.
    pub(super) fn stands_ready_no_more(&mut self, spare: u64) {
        self.spares.remove(&spare);
    }

    /// All that are listed now.
    pub(super) fn views(&self, now: Instant) -> Vec<WorkerView> {
        let later = |(at, worker): &(Instant, WorkerView)| worker.later(now.saturating_duration_since(*at));
        let spares = self.spares.values().map(later);
        spares.chain(self.drained.listed(now)).chain(self.refused.listed(now)).collect()
    }
}

/// Workers with the times at which they were last here, the last one at the end.
#[derive(Debug, Default)]
struct Remembered(VecDeque<(Instant, WorkerView)>);

impl Remembered {
    fn add(&mut self, worker: WorkerView, now: Instant) {
        self.0.retain(|(at, _)| now.saturating_duration_since(*at) < REMEMBERED);
        if self.0.len() >= MOST_ABSENT {
            self.0.pop_front();
        }
        self.0.push_back((now, worker));
    }

    fn forget(&mut self, name: &str) {
        self.0.retain(|(_, worker)| worker.name != name);
    }

    fn listed(&self, now: Instant) -> impl Iterator<Item = WorkerView> {
        let aged = self.0.iter().map(move |(at, worker)| (now.saturating_duration_since(*at), worker));
        aged.filter(|(gone, _)| *gone < REMEMBERED).map(|(gone, worker)| worker.later(gone))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worker(name: &str) -> WorkerView {
        WorkerView::refused(name, "it was drained".to_owned())
    }

    fn names(absent: &Absentees, now: Instant) -> Vec<String> {
        absent.views(now).into_iter().map(|worker| worker.name).collect()
    }

    #[test]
    fn the_last_workers_are_listed_for_a_while() {
        let start = Instant::now();
        let mut absent = Absentees::default();
        for number in 0..=MOST_ABSENT {
            absent.left(worker(&format!("w{number}")), start);
        }
        let later = start + REMEMBERED - Duration::from_secs(1);
        assert_eq!(names(&absent, later).len(), MOST_ABSENT);
        assert!(!names(&absent, later).contains(&"w0".to_owned()), "the first one is forgotten");
        assert_eq!(absent.views(later)[0].gone, Some(later - start));
        assert_eq!(names(&absent, start + REMEMBERED), Vec::<String>::new());
    }

    #[test]
    fn a_refused_worker_is_listed_once() {
        let now = Instant::now();
        let mut absent = Absentees::default();
        for name in ["a", "b", "a"] {
            absent.refused(worker(name), now);
            absent.left(worker(name), now);
        }
        assert_eq!(names(&absent, now), ["a", "b", "a", "b", "a"], "all that have left, and two that cannot join");
    }

    #[test]
    fn a_spare_is_listed_while_it_stands_ready() {
        let start = Instant::now();
        let mut absent = Absentees::default();
        let spare = absent.stands_ready(worker("spare"), start);
        let later = start + 2 * REMEMBERED;
        assert_eq!(absent.views(later)[0].age, 2 * REMEMBERED);
        absent.stands_ready_no_more(spare);
        assert_eq!(names(&absent, later), Vec::<String>::new());
    }
}
