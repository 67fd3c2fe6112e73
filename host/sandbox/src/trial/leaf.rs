//! Trial calls of leaves: alone, or one after another in a warm instance.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use frond_root::share::{Part, PieceSizes, Stretch};
use frond_root::sync::lock;
use frond_root::work::{Done, MIN_TIME};
use frond_root::{
    Attempt, AttemptId, Emission, Error, Failure, FailureKind, Limit, Outcome, Partition, Plan, Scope, Share,
    StopReason, Tenant, Ticket, Work,
};

use super::{Trial, Trials, wait_for_place};
use crate::host::CallOrigin;
use crate::instance::LeafInstance;
use crate::leaf::{CallContext, Leaf};
use crate::park::Driver;

/// Way in which a leaf gets its partition piece by piece.
#[derive(Clone, Debug)]
pub struct Piecewise {
    /// Units of the partition that are left to the call.
    pub range: Range<u64>,
    /// Units before which a piece ends, sorted; the last piece ends with the range.
    pub ends: Vec<u64>,
    /// The emission of the trial is the last kept partial that has no unit from here on, as if the
    /// leaf had been killed when it asked for more. `None`: the last one.
    pub until: Option<u64>,
}

impl Trials {
    /// Calls a leaf on one partition, in a fresh instance; the guest sees `index` as the
    /// partition's number.
    ///
    /// # Errors
    /// If the plan is invalid: see [`Plan::new`].
    pub fn leaf(
        &self,
        leaf: &Leaf,
        query: &Bytes,
        partition: (u32, Partition),
        time: Duration,
    ) -> Result<Trial, Error> {
        self.leaf_calls(leaf, query, time).call(partition, None)
    }

    /// Calls a leaf on partitions one after another, as one slot does.
    ///
    /// # Errors
    /// If the plan is invalid: see [`Plan::new`].
    pub fn leaf_sequence(
        &self,
        leaf: &Leaf,
        query: &Bytes,
        partitions: &[(u32, Partition)],
        time: Duration,
    ) -> Result<Vec<Trial>, Error> {
        let mut calls = self.leaf_calls(leaf, query, time);
        partitions.iter().map(|partition| calls.call(partition.clone(), None)).collect()
    }

    /// Calls of a leaf one after another, as one slot makes them. `time` is that of each call.
    #[must_use]
    pub fn leaf_calls<'a>(&'a self, leaf: &'a Leaf, query: &'a Bytes, time: Duration) -> LeafCalls<'a> {
        LeafCalls { trials: self, leaf, query, time, warm: None }
    }
}

/// Calls of a leaf: of a warm leaf in one instance, and in the next one after an instance has been
/// dropped.
pub struct LeafCalls<'a> {
    trials: &'a Trials,
    leaf: &'a Leaf,
    query: &'a Bytes,
    time: Duration,
    warm: Option<LeafInstance>,
}

impl LeafCalls<'_> {
    /// Calls the leaf on one partition; the guest sees `index` as the partition's number. `None`:
    /// all of the partition, in pieces of the usual sizes.
    ///
    /// # Errors
    /// If the plan is invalid: see [`Plan::new`].
    pub fn call(&mut self, (index, partition): (u32, Partition), piecewise: Option<Piecewise>) -> Result<Trial, Error> {
        // Checked as in a query.
        let plan = Plan::new(vec![partition])?;
        let Some(partition) = plan.get(0).cloned() else { return Ok(Trial::failed(too_short())) };
        let &mut Self { trials, leaf, query, time, .. } = self;
        let instance = match self.warm.take() {
            Some(instance) => instance,
            None => match wait_for_place(&trials.clock, &leaf.plugin, time) {
                Ok(place) => LeafInstance::new(place),
                Err(failure) => return Ok(Trial::failed(failure)),
            },
        };
        let start = Instant::now();
        if time <= MIN_TIME {
            return Ok(Trial::failed(too_short()));
        }
        let work = Arc::new(SingleLeaf::new(query.clone(), piecewise));
        let attempt = begun(&work, leaf, partition, (start, time));
        let context = CallContext { probe: trials.probe(), ..CallContext::default() };
        let driver = Driver::new(trials.clock.watch());
        let call = leaf.call_in((leaf.plugin.shared(), instance), attempt, index, &context);
        let mut ended = driver.run(call, start + time);
        if let CallOrigin::Leaf(attempt) = std::mem::replace(&mut ended.called.caller, CallOrigin::Ended) {
            let over = Outcome::failed(FailureKind::Cancelled, start.elapsed(), "the trial is over");
            attempt.end(over, Instant::now().into());
        }
        let emitted = lock(&work.emitted).take();
        let part = lock(&work.part).take();
        let trial = Trial::of(ended.called, start, |partial: &Bytes| partial.len() as u64);
        self.warm = ended.instance;
        Ok(Trial { emitted, earlier: ended.earlier, part, ..trial })
    }
}

/// Starts the only attempt of a trial.
fn begun(work: &Arc<SingleLeaf>, leaf: &Leaf, partition: Partition, (start, time): (Instant, Duration)) -> Attempt {
    let units = partition.content.units();
    let whole = Stretch::whole(units.count);
    let stretch = work.piecewise.as_ref().map_or(whole, |Piecewise { range, .. }| Stretch {
        begin: range.start,
        end: range.end,
        ..whole
    });
    let share = leaf.plugin.takes_pieces().then(|| Arc::new(Share::new(units, stretch, PieceSizes::Fixed)));
    let ticket = Ticket {
        id: AttemptId { partition: 0, number: 1 },
        slot: 0,
        claimed: start.into(),
        deadline: (start + time).into(),
        limit: Limit::time(Scope::Query, time),
        partition,
        share,
        cut_from: None,
        copy_of: None,
        worker: None,
        began: None,
    };
    Attempt::start(work.clone(), ticket, start.into())
}

fn too_short() -> Failure {
    Failure::new(FailureKind::OutOfTime, "the time limit is too short for a leaf to start")
}

/// The leaf of a trial. Nothing stops it but its time, and nobody reads its end.
#[derive(Debug)]
struct SingleLeaf {
    query: Bytes,
    tenant: Tenant,
    piecewise: Option<Piecewise>,
    /// Unit after the last one that was handed out.
    cursor: AtomicU64,
    emitted: Mutex<Option<Emission>>,
    part: Mutex<Option<Part>>,
}

impl SingleLeaf {
    fn new(query: Bytes, piecewise: Option<Piecewise>) -> Self {
        Self {
            query,
            tenant: Tenant::default(),
            cursor: AtomicU64::new(piecewise.as_ref().map_or(0, |piecewise| piecewise.range.start)),
            piecewise,
            emitted: Mutex::default(),
            part: Mutex::default(),
        }
    }

    /// Size of the next piece, if it is given.
    fn size(&self) -> Option<u64> {
        let ends = &self.piecewise.as_ref()?.ends;
        let cursor = self.cursor.load(Ordering::Relaxed);
        let next = ends.get(ends.partition_point(|end| *end <= cursor));
        Some(next.map_or(u64::MAX, |end| end - cursor))
    }
}

impl Work for SingleLeaf {
    fn query(&self) -> &Bytes {
        &self.query
    }

    fn tenant(&self) -> &Tenant {
        &self.tenant
    }

    fn background(&self) -> Option<u32> {
        None
    }

    fn only(&self) -> Option<&Partition> {
        None
    }

    fn claim(&self, _slot: u32, _now: tokio::time::Instant) -> Option<Ticket> {
        None
    }

    fn is_claimable(&self) -> bool {
        false
    }

    fn running(&self) -> usize {
        1
    }

    fn cut(&self, _slot: u32, _now: tokio::time::Instant) -> Option<Ticket> {
        None
    }

    fn is_cuttable(&self, _now: tokio::time::Instant) -> bool {
        false
    }

    fn on_cuttable(&self, _hook: Box<dyn Fn() + Send + Sync>) {}

    fn poll_piece(
        &self,
        ticket: &Ticket,
        _now: tokio::time::Instant,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Range<u64>>> {
        let piece = ticket.share.as_ref().and_then(|share| match self.size() {
            Some(size) => share.next_of(size, ticket.claimed),
            None => share.next(ticket.claimed),
        });
        if let Some(piece) = &piece {
            self.cursor.store(piece.end, Ordering::Relaxed);
        }
        Poll::Ready(piece)
    }

    fn is_closed(&self) -> bool {
        false
    }

    fn stop(&self, _id: AttemptId) -> Option<StopReason> {
        None
    }

    fn on_stop(&self, _hook: Box<dyn Fn() + Send + Sync>) {}

    fn start(&self, _ticket: &Ticket, _now: tokio::time::Instant) {}

    fn wait(&self, _id: AttemptId) {}

    fn resume(&self, _id: AttemptId) {}

    fn may_resume(&self) -> bool {
        true
    }

    fn retract(&self, _id: AttemptId) {
        *lock(&self.emitted) = None;
    }

    fn emit(&self, _id: AttemptId, emission: Emission) {
        let until = self.piecewise.as_ref().and_then(|piecewise| piecewise.until);
        let is_late = match emission.done {
            Done::Units { end, .. } => until.is_some_and(|until| end > until),
            Done::Share(_) => false,
        };
        if !is_late {
            *lock(&self.emitted) = Some(emission);
        }
    }

    fn end(&self, ticket: Ticket, _outcome: Outcome, _now: tokio::time::Instant) {
        *lock(&self.part) = ticket.share.filter(|share| share.is_begun()).map(|share| share.end());
    }

    fn give_back(&self, _ticket: Ticket) {}
}
