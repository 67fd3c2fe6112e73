//! Copies of slow attempts (hedged requests): when a slot is idle and nothing is left to start or
//! to cut, an attempt that has run for much longer than the others is run a second, at most a third
//! time. The first success wins. Copies are bounded as a share of the attempts and of the slots.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::cutting::MIN_REST;
use crate::sync::lock;

/// An attempt is copied once it has run for this many times the median of its query's attempts.
pub const MEDIANS: u32 = 2;
/// An attempt is copied at the latest, as far as its app's earlier queries tell, after this many
/// times their median.
pub const APP_MEDIANS: u32 = 3;
/// The most live attempts at one partition, copies included.
pub const MAX_LIVE: usize = 3;
/// The least number of finished attempts of a query from which their median is used.
pub const MIN_ENDED: u64 = 5;
/// The least number of finished attempts of an app from which its times are used.
pub const MIN_HISTORY: u64 = 20;
/// One copy is allowed for this many other attempts.
pub const ATTEMPTS_PER_COPY: u64 = 20;
/// The most copies that an app may have saved up from earlier queries.
pub const MAX_SAVED: u64 = 5;
/// Copies may have one of this many slots, and at least one.
pub const SLOTS_PER_COPY: usize = 10;
/// Number of ended copies whose wins are counted.
pub const LAST_COPIES: usize = 20;
/// While fewer of [`LAST_COPIES`] have won, half as many copies are allowed.
pub const MIN_WINS: usize = 4;
/// Percentage of the slots above which leaves of other queries leave none for copies.
pub const MAX_LOAD: usize = 70;
/// The most attempts of earlier queries that an app's times count; beyond that, all count half.
pub const MAX_HISTORY: u64 = 1_000;

/// Number of classes of times within a factor of two.
const CLASSES: u32 = 32;

/// Whether slow attempts of a query are copied, and what is known from its app's earlier queries.
#[derive(Clone, Debug)]
pub struct CopySettings {
    /// True if slow attempts may be copied. It needs leaves whose effects are safe to repeat.
    pub is_on: bool,
    /// History of the app's queries, which they share; `None` if each query is on its own.
    pub history: Option<Arc<CopyHistory>>,
}

impl CopySettings {
    /// Settings without copies.
    pub const OFF: Self = Self { is_on: false, history: None };
    /// Settings of a query on its own, with copies.
    pub const ON: Self = Self { is_on: true, history: None };
}

impl Default for CopySettings {
    fn default() -> Self {
        Self::ON
    }
}

/// Bound on the rounding errors of a share of the attempts.
const ROUNDING: f64 = 1e-9;

/// Attempts of one class of times.
#[derive(Clone, Copy, Debug, Default)]
struct Class {
    finished: u64,
    censored: u64,
}

/// Distribution of the times of attempts, in classes of 3 %. A stopped attempt is a censored
/// observation: it would have taken longer than it ran. An estimate that ignored those would drift
/// down, as only the fast ones would count.
#[derive(Clone, Debug, Default)]
pub struct LeafTimes {
    classes: BTreeMap<u32, Class>,
    finished: u64,
    censored: u64,
}

impl LeafTimes {
    /// Records an attempt that has finished.
    pub fn finish(&mut self, took: Duration) {
        self.classes.entry(class_of(took)).or_default().finished += 1;
        self.finished += 1;
    }

    /// Records an attempt that was stopped after `ran`.
    pub fn censor(&mut self, ran: Duration) {
        self.classes.entry(class_of(ran)).or_default().censored += 1;
        self.censored += 1;
    }

    /// Number of finished attempts.
    #[must_use]
    pub fn finished(&self) -> u64 {
        self.finished
    }

    /// Time within which this share of the attempts ends (Kaplan–Meier estimate). `None` if too few
    /// have ended to tell.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let mut left = (self.finished + self.censored) as f64;
        let mut survive = 1.0;
        for (class, count) in &self.classes {
            survive *= 1.0 - count.finished as f64 / left;
            if survive <= 1.0 - share + ROUNDING {
                return Some(middle_of(*class));
            }
            left -= (count.finished + count.censored) as f64;
        }
        None
    }

    /// Adds other attempts. Beyond [`MAX_HISTORY`] attempts, all of them count half from then on.
    fn add(&mut self, others: &Self) {
        for (class, count) in &others.classes {
            let sum = self.classes.entry(*class).or_default();
            sum.finished += count.finished;
            sum.censored += count.censored;
        }
        self.finished += others.finished;
        self.censored += others.censored;
        while self.finished + self.censored > MAX_HISTORY {
            self.halve();
        }
    }

    fn halve(&mut self) {
        self.classes.retain(|_, count| {
            *count = Class { finished: count.finished / 2, censored: count.censored / 2 };
            count.finished + count.censored > 0
        });
        self.finished = self.classes.values().map(|count| count.finished).sum();
        self.censored = self.classes.values().map(|count| count.censored).sum();
    }
}

/// Class of a time: its power of two, and the first bits after the leading one.
fn class_of(time: Duration) -> u32 {
    let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX).max(u64::from(CLASSES));
    let power = nanos.ilog2();
    let within = (nanos >> (power - CLASSES.ilog2())) as u32 & (CLASSES - 1);
    power * CLASSES + within
}

/// Time in the middle of a class.
fn middle_of(class: u32) -> Duration {
    let unit = 1_u64 << (class / CLASSES).saturating_sub(CLASSES.ilog2());
    let least = u64::from(CLASSES + class % CLASSES).saturating_mul(unit);
    Duration::from_nanos(least.saturating_add(unit / 2))
}

/// Times of an app's earlier queries, as the rule uses them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AppTimes {
    /// Median of its attempts.
    pub median: Duration,
    /// 95th percentile of its attempts.
    pub p95: Duration,
}

/// Age from which an attempt is copied: at least [`MEDIANS`] times the `median` of the query's
/// attempts, at least what the app's earlier queries say, and at least twice the least rest that is
/// worth a cut. `None` while neither is known.
#[must_use]
pub fn copy_age(median: Option<Duration>, app: Option<AppTimes>) -> Option<Duration> {
    let own = median.map(|median| median.saturating_mul(MEDIANS));
    let app = app.map(|app| app.p95.min(app.median.saturating_mul(APP_MEDIANS)));
    Some(own.max(app)?.max(MIN_REST * 2))
}

/// The most copies of a query at once, on so many slots.
#[must_use]
pub fn most_at_once(slots: usize) -> usize {
    (slots / SLOTS_PER_COPY).max(1)
}

/// True if leaves of other queries, on `others` of the slots, leave room for copies.
#[must_use]
pub fn leaves_room(others: usize, slots: usize) -> bool {
    others.saturating_mul(100) <= slots.saturating_mul(MAX_LOAD)
}

/// History of an app's queries for its next ones: how long its leaves take, whether copies help,
/// and how many copies are saved.
#[derive(Debug)]
pub struct CopyHistory(Mutex<History>);

/// State of a history.
#[derive(Debug)]
struct History {
    times: LeafTimes,
    /// Attempts that earlier queries have not spent on copies.
    saved: u64,
    /// Latest copies that ended, oldest first: true if the copy won.
    wins: VecDeque<bool>,
}

impl Default for CopyHistory {
    /// A history without queries. The first attempt of all completes the price of a copy, so that
    /// the number of copies is the number of attempts over [`ATTEMPTS_PER_COPY`], rounded up.
    fn default() -> Self {
        let saved = ATTEMPTS_PER_COPY - 1;
        Self(Mutex::new(History { times: LeafTimes::default(), saved, wins: VecDeque::new() }))
    }
}

impl CopyHistory {
    /// Times of the app's attempts; `None` while there are fewer than [`MIN_HISTORY`].
    #[must_use]
    pub fn times(&self) -> Option<AppTimes> {
        let history = lock(&self.0);
        let is_known = history.times.finished() >= MIN_HISTORY;
        is_known.then_some(())?;
        Some(AppTimes { median: history.times.quantile(0.5)?, p95: history.times.quantile(0.95)? })
    }

    /// Records whether a copy won.
    pub fn copy_ended(&self, won: bool) {
        let mut history = lock(&self.0);
        if history.wins.len() == LAST_COPIES {
            history.wins.pop_front();
        }
        history.wins.push_back(won);
    }

    /// Number of attempts that a copy costs: twice as many while few copies win.
    fn price(&self) -> u64 {
        let history = lock(&self.0);
        let wins = history.wins.iter().filter(|won| **won).count();
        let is_poor = history.wins.len() == LAST_COPIES && wins < MIN_WINS;
        ATTEMPTS_PER_COPY * (1 + u64::from(is_poor))
    }

    fn saved(&self) -> u64 {
        lock(&self.0).saved
    }

    fn take(&self, attempts: u64) {
        let mut history = lock(&self.0);
        history.saved = history.saved.saturating_sub(attempts);
    }

    /// Adds what a query has left, and how long its attempts took.
    fn add(&self, attempts: u64, times: &LeafTimes) {
        let mut history = lock(&self.0);
        history.saved = (history.saved + attempts).min(MAX_SAVED * ATTEMPTS_PER_COPY);
        history.times.add(times);
    }
}

/// Budget for the copies of one query (token bucket). Each other attempt is a token; the app's
/// earlier queries may have saved some.
#[derive(Debug)]
pub struct CopyBudget {
    history: Arc<CopyHistory>,
    attempts: u64,
}

impl CopyBudget {
    /// Makes the budget of a query that begins.
    #[must_use]
    pub fn new(history: Arc<CopyHistory>) -> Self {
        Self { history, attempts: 0 }
    }

    /// The history that the budget uses.
    #[must_use]
    pub fn history(&self) -> &CopyHistory {
        &self.history
    }

    /// Counts an attempt that is no copy.
    pub fn attempt(&mut self) {
        self.attempts += 1;
    }

    /// Number of copies that may start.
    #[must_use]
    pub fn allowed(&self) -> usize {
        let tokens = self.attempts + self.history.saved();
        usize::try_from(tokens / self.history.price()).unwrap_or(usize::MAX)
    }

    /// Counts a copy that starts.
    pub fn spend(&mut self) {
        let price = self.history.price();
        self.history.take(price.saturating_sub(self.attempts));
        self.attempts = self.attempts.saturating_sub(price);
    }

    /// Ends the query: leaves its times, and the rest of its budget, to the app's next queries.
    pub fn end(&mut self, times: &LeafTimes) {
        self.history.add(std::mem::take(&mut self.attempts), times);
    }
}

#[cfg(test)]
mod tests;
