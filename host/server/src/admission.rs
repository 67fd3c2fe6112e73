//! Which queries are taken on: those that can be answered in time beside those that run, by what queries of their app
//! took so far. The others are refused at once, so that under any load those taken on keep their deadlines.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use frond_root::policy::admission::{Load, admit};

/// What is under way, and what queries cost.
pub(crate) struct Admission {
    slots: usize,
    state: Arc<Mutex<State>>,
}

struct State {
    most: usize,
    next: u64,
    /// By app.
    costs: HashMap<String, Cost>,
    /// Queries under way by how long their gather may take, with what they are expected to cost.
    running: BTreeMap<(Duration, u64), Duration>,
    ahead: Duration,
}

/// What queries of an app cost.
struct Cost {
    /// Slot time, a moving average.
    mean: Duration,
    /// When one was last taken on.
    heard: Instant,
}

/// A query that was taken on. Dropped when it has ended.
pub(crate) struct Ticket {
    state: Arc<Mutex<State>>,
    key: (Duration, u64),
    cost: Duration,
}

/// A new cost counts for so much of the average.
const WEIGHT: f64 = 0.2;

impl Admission {
    pub(crate) fn new(slots: usize, most: usize) -> Self {
        let state = State { most, next: 0, costs: HashMap::new(), running: BTreeMap::new(), ahead: Duration::ZERO };
        Self { slots: slots.max(1), state: Arc::new(Mutex::new(state)) }
    }

    /// Queries at once, from now on.
    pub(crate) fn allow(&self, most: usize) {
        lock(&self.state).most = most;
    }

    /// Takes a query on that must be gathered within `budget`, or says after which time there may be room.
    pub(crate) fn admit(&self, app: &str, budget: Duration) -> Result<Ticket, Duration> {
        let mut state = lock(&self.state);
        let now = Instant::now();
        let known = state.costs.get(app);
        let cost = known.map_or(Duration::ZERO, |known| known.mean);
        let unheard = known.map_or(Duration::ZERO, |known| now.saturating_duration_since(known.heard));
        let shortest = state.running.keys().next().map(|(budget, _)| *budget);
        let load = Load {
            running: state.running.len(),
            most: state.most,
            ahead: state.ahead,
            shortest,
            slots: self.slots,
            unheard,
        };
        admit(&load, cost, budget)?;
        if let Some(known) = state.costs.get_mut(app) {
            known.heard = now;
        }
        state.next += 1;
        let key = (budget, state.next);
        state.running.insert(key, cost);
        state.ahead += cost;
        Ok(Ticket { state: self.state.clone(), key, cost })
    }

    /// A query of this app took so much slot time.
    pub(crate) fn learn(&self, app: &str, took: Duration) {
        let mut state = lock(&self.state);
        match state.costs.get_mut(app) {
            Some(cost) => cost.mean = cost.mean.mul_f64(1.0 - WEIGHT) + took.mul_f64(WEIGHT),
            None => {
                state.costs.insert(app.to_owned(), Cost { mean: took, heard: Instant::now() });
            }
        }
    }

    /// Slot time that is expected to be ahead.
    pub(crate) fn ahead(&self) -> Duration {
        lock(&self.state).ahead
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut state = lock(&self.state);
        state.running.remove(&self.key);
        state.ahead = state.ahead.saturating_sub(self.cost);
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
