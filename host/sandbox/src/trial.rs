//! Trial calls: single calls on the caller's thread, through the code path of production calls,
//! with all details of each call in the result.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use frond_root::runner::Covered;
use frond_root::sync::lock;
use frond_root::work::MIN_TIME;
use frond_root::{
    Attempt, AttemptId, Emission, Error, Failure, FailureKind, Limit, Outcome, Partition, Plan, Scope, StopReason,
    Tenant, Ticket, Usage, Work,
};

use crate::call::{CallResult, Running};
use crate::classify::classify;
use crate::clock::Clock;
use crate::component::Plugin;
use crate::host::CallOrigin;
use crate::leaf::Leaf;
use crate::merger::{Guests, finish, merge, split};
use crate::park::{self, CallContext};
use crate::permits::{MergeOwner, PoolPermit};
use crate::profile::{Probe, Profile, ProfileError, Sampling, Ticker};

/// Result of one trial call, with its usage, log and duration.
#[derive(Debug)]
pub struct Trial<T = Bytes> {
    /// Result, or the call's failure.
    pub result: Result<T, Box<Failure>>,
    /// Usage of the call. `output` is the result's size in bytes.
    pub usage: Usage,
    /// Last lines that the guest wrote to stdout and stderr.
    pub log: Vec<String>,
    /// Duration from before the instance was made until the result was copied out.
    pub took: Duration,
    /// Last emission of a leaf by `emit-partial`.
    pub emitted: Option<Emission>,
}

/// Caller of single calls. Host calls that wait need a tokio runtime context on this thread.
#[derive(Clone)]
pub struct Trials {
    clock: Clock,
    /// Probe that samples the current calls.
    probe: Arc<Mutex<Option<Arc<Probe>>>>,
}

impl Trials {
    /// Makes a caller whose calls `clock` interrupts.
    #[must_use]
    pub fn new(clock: &Clock) -> Self {
        Self { clock: clock.clone(), probe: Arc::default() }
    }

    /// Runs `calls`, and returns its result with a profile of the calls that it makes with these
    /// trials. All of them must be of one component; several calls make one profile of many
    /// samples. `name` is the title of the profile.
    pub fn profiled<T>(
        &self,
        name: &str,
        sampling: Sampling,
        calls: impl FnOnce() -> T,
    ) -> (T, Result<Profile, ProfileError>) {
        let probe = Arc::new(Probe::new(&self.clock, name, sampling));
        let ticker = Ticker::start(&probe);
        *lock(&self.probe) = Some(probe.clone());
        let result = calls();
        *lock(&self.probe) = None;
        let profile = match ticker {
            Ok(_) => probe.finish(),
            Err(error) => Err(ProfileError::Engine(error.to_string())),
        };
        (result, profile)
    }

    fn probe(&self) -> Option<Arc<Probe>> {
        lock(&self.probe).clone()
    }

    /// Calls a leaf on one partition; the guest sees `index` as the partition's number.
    ///
    /// # Errors
    /// If the plan is invalid: see [`Plan::new`].
    pub fn leaf(
        &self,
        leaf: &Leaf,
        query: &Bytes,
        (index, partition): (u32, Partition),
        time: Duration,
    ) -> Result<Trial, Error> {
        // Checked as in a query.
        let plan = Plan::new(vec![partition])?;
        let Some(partition) = plan.get(0).cloned() else { return Ok(Trial::failed(too_short())) };
        let place = match wait_for_place(&leaf.plugin, time) {
            Ok(place) => place,
            Err(failure) => return Ok(Trial::failed(failure)),
        };
        let start = Instant::now();
        if time <= MIN_TIME {
            return Ok(Trial::failed(too_short()));
        }
        let work = Arc::new(SingleLeaf { query: query.clone(), tenant: Tenant::default(), emitted: Mutex::default() });
        let ticket = Ticket {
            id: AttemptId { partition: 0, number: 1 },
            slot: 0,
            claimed: start.into(),
            deadline: (start + time).into(),
            limit: Limit::time(Scope::Query, time),
            partition,
        };
        let attempt = Attempt::start(work.clone(), ticket, start.into());
        let context =
            CallContext { watch: self.clock.watch(), probe: self.probe(), waker: Some(park::waker()), slot: None };
        let mut called = leaf.call_at((leaf.plugin.shared(), &place), attempt, index, &context);
        let caller = std::mem::replace(&mut called.caller, CallOrigin::Other(Arc::default()));
        if let CallOrigin::Leaf(attempt) = caller {
            attempt.end(
                Outcome::failed(FailureKind::Cancelled, start.elapsed(), "the trial is over"),
                Instant::now().into(),
            );
        }
        let size = |partial: &Bytes| partial.len() as u64;
        let emitted = lock(&work.emitted).take();
        Ok(Trial { emitted, ..Trial::of(called, start, size) })
    }

    /// Calls `merge`.
    pub fn merge(&self, guests: &Guests, query: &[u8], partials: &[Bytes], time: Duration) -> Trial {
        let plugin = guests.plugin();
        let call = async |running: Running<'_>| merge(running, plugin, query, partials).await;
        self.call(Scope::Merge, guests, time, call, |merged| merged.len() as u64)
    }

    /// Calls `finish`.
    pub fn finish(
        &self,
        guests: &Guests,
        query: &[u8],
        merged: Option<&[u8]>,
        covered: Covered,
        time: Duration,
    ) -> Trial {
        let plugin = guests.plugin();
        let call = async |running: Running<'_>| finish(running, plugin, query, merged, covered).await;
        self.call(Scope::Merge, guests, time, call, |answer| answer.len() as u64)
    }

    /// Calls `split`; the result has keys and contents.
    pub fn split(&self, guests: &Guests, query: &[u8], wanted: u32, time: Duration) -> Trial<Vec<(String, Bytes)>> {
        let plugin = guests.plugin();
        let call = async |running: Running<'_>| split(running, plugin, query, wanted).await;
        let size =
            |pieces: &Vec<(String, Bytes)>| pieces.iter().map(|(key, data)| (key.len() + data.len()) as u64).sum();
        self.call(Scope::Split, guests, time, call, size)
    }

    /// Runs `work` on this thread; its time begins once it has a permit.
    fn call<T>(
        &self,
        scope: Scope,
        guests: &Guests,
        time: Duration,
        work: impl AsyncFnOnce(Running<'_>) -> wasmtime::Result<Result<T, Failure>>,
        size: impl Fn(&T) -> u64,
    ) -> Trial<T> {
        let place = match wait_for_place(guests.plugin(), time) {
            Ok(place) => place,
            Err(failure) => return Trial::failed(failure),
        };
        let start = Instant::now();
        let probe = self.probe();
        Trial::of(guests.call_here(scope, start + time, &place, Arc::default(), probe.as_ref(), work), start, size)
    }
}

/// Takes a permit for a call that is not a slot's leaf; gives up after `time`.
fn wait_for_place(plugin: &Plugin, time: Duration) -> Result<PoolPermit, Failure> {
    let until = Instant::now() + time;
    let owner = MergeOwner::default();
    plugin.merge_permits().wait(&owner, &park::waker(), until).map_err(|stop| classify(&stop.into()))
}

/// The leaf of a trial. Nothing stops it but its time, and nobody reads its end.
#[derive(Debug)]
struct SingleLeaf {
    query: Bytes,
    tenant: Tenant,
    emitted: Mutex<Option<Emission>>,
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

    fn is_closed(&self) -> bool {
        false
    }

    fn stop(&self, _id: AttemptId) -> Option<StopReason> {
        None
    }

    fn on_stop(&self, _hook: Box<dyn Fn() + Send + Sync>) {}

    fn start(&self, _ticket: &Ticket, _now: tokio::time::Instant) {}

    fn emit(&self, _id: AttemptId, emission: Emission) {
        *lock(&self.emitted) = Some(emission);
    }

    fn end(&self, _ticket: Ticket, _outcome: Outcome, _now: tokio::time::Instant) {}

    fn give_back(&self, _ticket: Ticket) {}
}

fn too_short() -> Failure {
    Failure::new(FailureKind::OutOfTime, "the time limit is too short for a leaf to start")
}

impl<T> Trial<T> {
    fn failed(failure: Failure) -> Self {
        Self {
            result: Err(Box::new(failure)),
            usage: Usage::default(),
            log: Vec::new(),
            took: Duration::ZERO,
            emitted: None,
        }
    }

    fn of(called: CallResult<T>, start: Instant, size: impl Fn(&T) -> u64) -> Self {
        let output = called.result.as_ref().map_or(0, size);
        Self {
            usage: Usage { output, ..called.usage },
            log: called.log.as_ref().map(|log| log.read().shown()).unwrap_or_default(),
            took: start.elapsed(),
            emitted: None,
            result: called.result,
        }
    }
}
