//! Values that all queries of a world share.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use frond_root::dispatch::{ClaimSource, Share};
use frond_root::ledger::PartialRange;
use frond_root::plan::{MAX_WEIGHT, StoredPartials};
use frond_root::policy::budget::Budget;
use frond_root::policy::credits;
use frond_root::policy::retry::Retry;
use frond_root::scatter::Window;
use frond_root::sync::lock;
use frond_root::{Content, CopySettings, Failure, Grain, Partition, PieceSizes, Plan, Scatter, Tenant, Units, Work};
use tokio::time::Instant;

use crate::random::Random;
use crate::world::{Weight, World, duration};

/// Streams of random numbers that do not belong to an attempt.
const LEAF: u64 = u64::MAX;
const QUERY: u64 = u64::MAX - 1;

/// Content that has units, and no bytes.
#[derive(Debug)]
struct Nothing(Units);

impl Content for Nothing {
    fn size(&self) -> u64 {
        self.0.count
    }

    fn units(&self) -> Units {
        self.0
    }

    fn read(&self, _offset: u64, _len: usize) -> Result<Bytes, Failure> {
        Ok(Bytes::new())
    }

    fn whole(&self) -> Result<Bytes, Failure> {
        Ok(Bytes::new())
    }
}

/// Query that slots and workers claim from.
#[derive(Debug)]
pub struct Asker {
    /// Number of the query, from 0.
    pub query: u64,
    /// Its leaves.
    pub work: Arc<Scatter>,
    /// Time at which its leaves are cut off.
    pub leaf_deadline: Instant,
    /// Use of the slots, for background work.
    share: Share,
    /// Average time of a leaf on a worker.
    mean: Mutex<Option<Duration>>,
}

impl Asker {
    pub(crate) fn new(query: u64, work: Arc<Scatter>, leaf_deadline: Instant) -> Self {
        Self { query, work, leaf_deadline, share: Share::default(), mean: Mutex::new(None) }
    }

    /// Average time of a leaf on a worker; `None` before the first has ended.
    pub(crate) fn mean(&self) -> Option<Duration> {
        *lock(&self.mean)
    }

    /// Adds a leaf of a worker to the average.
    pub(crate) fn learn(&self, ran: Duration) {
        let mut mean = lock(&self.mean);
        *mean = Some(credits::mean(*mean, ran));
    }
}

impl ClaimSource for Asker {
    fn tenant(&self) -> &Tenant {
        self.work.tenant()
    }

    fn background(&self) -> Option<u32> {
        self.work.background()
    }

    fn share(&self) -> &Share {
        &self.share
    }

    fn running(&self) -> usize {
        self.work.running()
    }
}

/// Values that all queries of a world share.
pub(crate) struct Setup<'a> {
    pub(crate) world: &'a World,
    partitions: Vec<Partition>,
    /// The plan, unless it differs from query to query.
    plan: Option<Arc<Plan>>,
    tenants: Vec<Tenant>,
    pub(crate) retry: Retry,
    /// Whether slow attempts are copied, and what the queries of the world have learned.
    pub(crate) copies: CopySettings,
    pub(crate) overhead: Duration,
    pub(crate) merge: Duration,
    pub(crate) deadline: Duration,
    leaf_time: Option<Duration>,
    /// Partials that the journal has of the first query.
    pub(crate) stored: &'a [(u32, Option<PartialRange>)],
}

impl<'a> Setup<'a> {
    pub(crate) fn new(world: &'a World, stored: &'a [(u32, Option<PartialRange>)]) -> Self {
        let units = match &world.query.pieces {
            Some(pieces) => Units { count: pieces.units, grain: Grain::Integer },
            None => Units { count: 1, grain: Grain::Whole },
        };
        let content: Arc<dyn Content> = Arc::new(Nothing(units));
        let partition =
            |index: u32| Partition { key: format!("p{index}").as_str().into(), weight: 1, content: content.clone() };
        let partitions: Vec<_> = (0..world.query.partitions).map(partition).collect();
        // The keys are unique, and the weights small.
        let is_equal = world.query.weight == Weight::Equal;
        let plan = is_equal.then(|| Plan::new(partitions.clone()).ok().map(Arc::new)).flatten();
        let name = |number: u32| Tenant::of_app(&format!("tenant-{number}"));
        Self {
            partitions,
            plan,
            tenants: (0..world.arrivals.tenants).map(name).collect(),
            copies: CopySettings { is_on: world.query.copies, history: Some(Arc::default()) },
            retry: Retry { attempts: world.query.attempts, ..Retry::QUERY },
            overhead: duration(world.query.overhead_ms),
            merge: duration(world.query.merge_ms),
            deadline: duration(world.query.deadline_ms),
            leaf_time: world.query.leaf_time_ms.map(duration),
            world,
            stored,
        }
    }

    /// Random numbers of a query alone.
    pub(crate) fn query_random(&self, query: u64) -> Random {
        Random::of(self.world.seed, &[query, QUERY])
    }

    /// Random numbers of one attempt.
    pub(crate) fn attempt_random(&self, query: u64, partition: u32, number: u32) -> Random {
        Random::of(self.world.seed, &[query, u64::from(partition), u64::from(number)])
    }

    /// Time of a partition's leaf in nanoseconds at speed 1.
    pub(crate) fn leaf(&self, query: u64, partition: u32) -> f64 {
        let mut random = Random::of(self.world.seed, &[query, u64::from(partition), LEAF]);
        self.world.query.leaf.sample(partition, &mut random) * 1e6
    }

    /// Time of all leaves of a query in nanoseconds at speed 1.
    pub(crate) fn leaves(&self, query: u64) -> f64 {
        (0..self.world.query.partitions).map(|partition| self.leaf(query, partition)).sum()
    }

    /// The plan of a query, with what the journal has of it.
    pub(crate) fn plan(&self, query: u64) -> Arc<Plan> {
        let plan = self.fresh_plan(query);
        if self.stored_of(query).is_empty() {
            return plan;
        }
        let mut stored = StoredPartials::default();
        for (partition, units) in self.stored {
            match units {
                Some(range) => stored.add_part(*partition, *range),
                None => stored.add_whole(*partition),
            }
        }
        Arc::new(Plan::clone(&plan).keeping(stored))
    }

    /// Partials that the journal has of a query.
    pub(crate) fn stored_of(&self, query: u64) -> &'a [(u32, Option<PartialRange>)] {
        if query == 0 { self.stored } else { &[] }
    }

    fn fresh_plan(&self, query: u64) -> Arc<Plan> {
        if let Some(plan) = &self.plan {
            return plan.clone();
        }
        let weigh = |(index, one): (u32, &Partition)| {
            let weight = (self.leaf(query, index) / 1e3) as u64;
            one.clone().weighing(weight.min(MAX_WEIGHT))
        };
        Arc::new(Plan::new((0..).zip(&self.partitions).map(weigh).collect()).unwrap_or_default())
    }

    /// The tenant that asks a query, and the weight of background work.
    pub(crate) fn asked_by(&self, query: u64) -> (Tenant, Option<u32>) {
        let mut random = self.query_random(query);
        let at = random.within(0, self.tenants.len() as u64);
        let tenant = self.tenants.get(usize::try_from(at).unwrap_or_default()).cloned().unwrap_or_default();
        (tenant, random.chance(self.world.arrivals.background).then_some(1))
    }

    /// The scatter of a query.
    pub(crate) fn scatter(&self, plan: Arc<Plan>, budget: &Budget, query: u64, most: usize) -> Arc<Scatter> {
        let (tenant, background) = self.asked_by(query);
        let window = Window {
            slots: most,
            leaf_deadline: budget.leaf_deadline,
            limit: budget.limit,
            leaf_time: self.leaf_time,
            unread: u64::MAX,
            heaviest_first: true,
            background,
            tenant,
            pieces: self.world.query.pieces.map(|_| PieceSizes::Timed),
            stores: false,
            memo: None,
        };
        Scatter::new(plan, Bytes::new(), window)
    }

    /// The budget of a query.
    pub(crate) fn budget(&self, start: Instant) -> Budget {
        Budget::new(start, self.deadline, None)
    }
}
