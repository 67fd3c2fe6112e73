//! World of a simulation: queries, the slots and workers that run them, and what goes wrong.

use std::time::Duration;

use frond_root::Floor;
use serde::{Deserialize, Deserializer};

use crate::distribution::{Distribution, MAX_MS};
use crate::problem::Problem;

/// The most partitions of one query.
pub(crate) const MAX_PARTITIONS: u32 = 100_000;
/// The most queries of one simulation.
pub(crate) const MAX_QUERIES: u64 = 10_000_000;
/// The most partitions of all queries together.
pub(crate) const MAX_ALL: u64 = 1_000_000_000;
/// The most slots of the process, and of all workers together.
pub(crate) const MAX_SLOTS: u32 = 100_000;
/// The most workers.
pub(crate) const MAX_WORKERS: usize = 10_000;
/// The most tenants.
pub(crate) const MAX_TENANTS: u32 = 1_000;
/// The most stops of one worker.
pub(crate) const MAX_STOPS: usize = 1_000;
/// The most units of a partition.
pub(crate) const MAX_UNITS: u64 = 1 << 44;

/// World of a simulation. Times are in milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct World {
    /// Seed of all random numbers.
    pub seed: u64,
    /// The queries.
    pub query: QueryTable,
    /// The slots and workers.
    pub cluster: ClusterTable,
    /// Arrivals of the queries.
    pub arrivals: ArrivalsTable,
    /// Faults of attempts.
    pub faults: FaultsTable,
}

/// `[query]`: what each query asks for, and its leaves.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct QueryTable {
    /// Number of partitions.
    pub partitions: u32,
    /// Time of a partition's leaf on a slot of speed 1.
    pub leaf: Distribution,
    /// Attempts that are slow by chance, such as on a busy core.
    pub slow: SlowTable,
    /// Pieces of a partition; without, a leaf takes its partition at once.
    pub pieces: Option<PiecesTable>,
    /// Time from the start of an attempt to its first piece.
    pub overhead_ms: f64,
    /// Time of the last merge, and of each merge as a part of the price of a cut.
    pub merge_ms: f64,
    /// Weight of a partition: `equal`, or `time` for its leaf's time.
    pub weight: Weight,
    /// Time from the start of the query to its answer.
    pub deadline_ms: f64,
    /// Least coverage of an answer.
    #[serde(deserialize_with = "floor")]
    pub floor: Floor,
    /// Number of the first partitions that the answer must contain.
    pub required: u32,
    /// The most attempts at a partition.
    pub attempts: u32,
    /// Time limit of one attempt.
    pub leaf_time_ms: Option<f64>,
    /// True if slow attempts are copied.
    pub copies: bool,
}

/// Weight of a partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Weight {
    /// Equal for all partitions.
    #[default]
    Equal,
    /// The time of its leaf.
    Time,
}

/// `[query.slow]`: attempts that are slow by chance.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct SlowTable {
    /// Share of the attempts.
    pub share: f64,
    /// Factor of their time.
    pub times: f64,
}

/// `[query.pieces]`: leaves that take their partition piece by piece.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct PiecesTable {
    /// Units of a partition.
    pub units: u64,
    /// Number of pieces after which a leaf keeps a partial; 0 for leaves that keep none.
    pub keep: u32,
}

/// `[cluster]`: slots of the root's own process, or workers.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct ClusterTable {
    /// Slots of the root's own process. They are not used if there are workers.
    pub slots: u32,
    /// Speeds of the first of these slots; all others have speed 1.
    pub speeds: Vec<f64>,
    /// Workers.
    pub workers: Vec<WorkerTable>,
    /// Time of a message from the root to a worker and back.
    pub round_trip_ms: f64,
}

/// One of `cluster.workers`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct WorkerTable {
    /// Its slots.
    pub slots: u32,
    /// Speed of its slots.
    pub speed: f64,
    /// Times in which all of it stands still.
    pub stops: Vec<StopTable>,
    /// Time at which it is killed.
    pub killed_ms: Option<f64>,
}

/// One of a worker's `stops`.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct StopTable {
    /// Time at which it begins.
    pub at_ms: f64,
    /// Length.
    pub for_ms: f64,
}

/// `[arrivals]`: the number of queries, and when they arrive.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct ArrivalsTable {
    /// Number of queries.
    pub queries: u64,
    /// Queries a second, at random times (Poisson). Without, each query begins when the one before
    /// it has ended.
    pub rate: Option<f64>,
    /// Number of tenants, which ask at random.
    pub tenants: u32,
    /// Share of the queries that are background work.
    pub background: f64,
    /// The most running queries, which turns admission on.
    pub most_running: Option<u32>,
}

/// `[faults]`: probabilities that an attempt fails in one of these ways, somewhere in its run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct FaultsTable {
    /// The attempt is lost.
    pub loss: f64,
    /// The leaf stands still until it is stopped.
    pub hang: f64,
    /// The leaf traps.
    pub trap: f64,
    /// The leaf fails with `unavailable`.
    pub unavailable: f64,
}

impl Default for QueryTable {
    fn default() -> Self {
        Self {
            partitions: 100,
            leaf: Distribution::Constant(10.0),
            slow: SlowTable::default(),
            pieces: None,
            overhead_ms: 0.0,
            merge_ms: 0.0,
            weight: Weight::Equal,
            deadline_ms: 10_000.0,
            floor: Floor::All,
            required: 0,
            attempts: 3,
            leaf_time_ms: None,
            copies: true,
        }
    }
}

impl Default for SlowTable {
    fn default() -> Self {
        Self { share: 0.0, times: 1.0 }
    }
}

impl Default for PiecesTable {
    fn default() -> Self {
        Self { units: 1_000_000, keep: 16 }
    }
}

impl Default for ClusterTable {
    fn default() -> Self {
        Self { slots: 2, speeds: Vec::new(), workers: Vec::new(), round_trip_ms: 0.0 }
    }
}

impl Default for WorkerTable {
    fn default() -> Self {
        Self { slots: 1, speed: 1.0, stops: Vec::new(), killed_ms: None }
    }
}

impl Default for ArrivalsTable {
    fn default() -> Self {
        Self { queries: 1, rate: None, tenants: 1, background: 0.0, most_running: None }
    }
}

/// Reads a floor: `all`, `best-effort`, `90%` or a number.
fn floor<'de, D: Deserializer<'de>>(from: D) -> Result<Floor, D::Error> {
    /// A floor as a number or a text.
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Form {
        Number(f64),
        Text(String),
    }
    let text = match Form::deserialize(from)? {
        Form::Number(share) => share.to_string(),
        Form::Text(text) => text,
    };
    text.parse().map_err(serde::de::Error::custom)
}

/// A time in milliseconds as a duration.
#[must_use]
pub(crate) fn duration(ms: f64) -> Duration {
    Duration::try_from_secs_f64(ms.max(0.0) / 1e3).unwrap_or(Duration::MAX)
}

impl World {
    /// Sets the slots of the root's process, or of each worker if there are workers.
    pub fn set_slots(&mut self, slots: u32) {
        let speeds = self.cluster.speeds.len().min(slots as usize);
        self.cluster.slots = slots;
        self.cluster.speeds.truncate(speeds);
        self.cluster.workers.iter_mut().for_each(|worker| worker.slots = slots);
    }

    /// Sets the number of workers. If there are fewer, they are repeated in turn; without any, the
    /// new ones have the slots of the root's process between them, at least one each.
    pub fn set_workers(&mut self, count: usize) {
        let each = u32::try_from(count).map_or(1, |count| self.cluster.slots.div_ceil(count.max(1)));
        let one = || WorkerTable { slots: each, ..WorkerTable::default() };
        let before = std::mem::take(&mut self.cluster.workers);
        let all = before.iter().cycle().cloned().chain(std::iter::repeat_with(one));
        self.cluster.workers = all.take(count).collect();
    }

    /// Checks all numbers.
    ///
    /// # Errors
    /// The first key whose value breaks its rule.
    pub fn check(&self) -> Result<(), Problem> {
        self.query.check()?;
        self.cluster.check()?;
        self.arrivals.check()?;
        self.faults.check()?;
        let all = self.arrivals.queries * u64::from(self.query.partitions);
        Problem::unless(
            all <= MAX_ALL,
            "arrivals.queries",
            "must be such that all partitions are at most 1,000,000,000",
        )
    }
}

fn time(key: &str, ms: f64) -> Result<(), Problem> {
    Problem::unless((0.0..=MAX_MS).contains(&ms), key, "must be a time in milliseconds, at most a day")
}

fn share(key: &str, number: f64) -> Result<(), Problem> {
    Problem::unless((0.0..=1.0).contains(&number), key, "must be a share from 0 to 1")
}

fn speed(key: &str, number: f64) -> Result<(), Problem> {
    Problem::unless((0.001..=1000.0).contains(&number), key, "must be a speed from 0.001 to 1000")
}

impl QueryTable {
    fn check(&self) -> Result<(), Problem> {
        let count = self.partitions;
        Problem::unless((1..=MAX_PARTITIONS).contains(&count), "query.partitions", "must be from 1 to 100,000")?;
        self.leaf.check("query.leaf")?;
        share("query.slow.share", self.slow.share)?;
        let factor = (0.001..=1000.0).contains(&self.slow.times);
        Problem::unless(factor, "query.slow.times", "must be a factor from 0.001 to 1000")?;
        if let Some(pieces) = &self.pieces {
            let fits = (1..=MAX_UNITS).contains(&pieces.units);
            Problem::unless(fits, "query.pieces.units", "must be from 1 to 2^44")?;
        }
        time("query.overhead-ms", self.overhead_ms)?;
        time("query.merge-ms", self.merge_ms)?;
        let has_time = (1.0..=MAX_MS).contains(&self.deadline_ms);
        Problem::unless(has_time, "query.deadline-ms", "must be from 1 millisecond to a day")?;
        Problem::unless(self.required <= count, "query.required", "must be at most `query.partitions`")?;
        Problem::unless((1..=100).contains(&self.attempts), "query.attempts", "must be from 1 to 100")?;
        self.leaf_time_ms.map_or(Ok(()), |ms| time("query.leaf-time-ms", ms))
    }
}

impl ClusterTable {
    fn check(&self) -> Result<(), Problem> {
        Problem::unless((1..=MAX_SLOTS).contains(&self.slots), "cluster.slots", "must be from 1 to 100,000")?;
        Problem::unless(self.speeds.len() <= self.slots as usize, "cluster.speeds", "must be at most one a slot")?;
        self.speeds.iter().try_for_each(|one| speed("cluster.speeds", *one))?;
        time("cluster.round-trip-ms", self.round_trip_ms)?;
        Problem::unless(self.workers.len() <= MAX_WORKERS, "cluster.workers", "must be at most 10,000")?;
        let slots: u64 = self.workers.iter().map(|worker| u64::from(worker.slots)).sum();
        Problem::unless(slots <= u64::from(MAX_SLOTS), "cluster.workers", "must have at most 100,000 slots")?;
        for (at, worker) in self.workers.iter().enumerate() {
            let key = |name: &str| format!("cluster.workers.{at}.{name}");
            Problem::unless(worker.slots >= 1, &key("slots"), "must be at least 1")?;
            speed(&key("speed"), worker.speed)?;
            Problem::unless(worker.stops.len() <= MAX_STOPS, &key("stops"), "must be at most 1,000")?;
            for stop in &worker.stops {
                time(&key("stops"), stop.at_ms)?;
                time(&key("stops"), stop.for_ms)?;
            }
            let starts: Vec<f64> = worker.stops.iter().map(|stop| stop.at_ms).collect();
            let ends = worker.stops.iter().map(|stop| stop.at_ms + stop.for_ms);
            let follows = ends.zip(starts.iter().skip(1)).all(|(end, start)| end <= *start);
            Problem::unless(follows, &key("stops"), "must follow one another")?;
            worker.killed_ms.map_or(Ok(()), |ms| time(&key("killed-ms"), ms))?;
        }
        Ok(())
    }
}

impl ArrivalsTable {
    fn check(&self) -> Result<(), Problem> {
        let count = self.queries;
        Problem::unless((1..=MAX_QUERIES).contains(&count), "arrivals.queries", "must be from 1 to 10,000,000")?;
        let rate = self.rate.is_none_or(|rate| (1e-6..=1e9).contains(&rate));
        Problem::unless(rate, "arrivals.rate", "must be above 0, in queries a second")?;
        let tenants = (1..=MAX_TENANTS).contains(&self.tenants);
        Problem::unless(tenants, "arrivals.tenants", "must be from 1 to 1,000")?;
        share("arrivals.background", self.background)?;
        let most = self.most_running.is_none_or(|most| most >= 1);
        Problem::unless(most, "arrivals.most-running", "must be at least 1")
    }
}

impl FaultsTable {
    fn check(&self) -> Result<(), Problem> {
        share("faults.loss", self.loss)?;
        share("faults.hang", self.hang)?;
        share("faults.trap", self.trap)?;
        share("faults.unavailable", self.unavailable)?;
        let sum = self.loss + self.hang + self.trap + self.unavailable;
        Problem::unless(sum <= 1.0, "faults", "must have a sum of at most 1")
    }
}
