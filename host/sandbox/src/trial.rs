//! Calls made alone, on the caller's thread, through the very code that production calls go through, with everything
//! that is to be known of each.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use frond_root::runner::Covered;
use frond_root::scatter::Window;
use frond_root::{Emission, Error, Failure, FailureKind, Limit, Outcome, Partition, Plan, Scatter, Scope, Usage};

use crate::call::{CallResult, Running};
use crate::classify::classify;
use crate::clock::Clock;
use crate::component::Plugin;
use crate::host::CallOrigin;
use crate::leaf::Leaf;
use crate::merger::{Guests, finish, merge, split};
use crate::park::{self, CallContext};
use crate::permits::PoolPermit;
use crate::profile::{Probe, Profile, ProfileError, Sampling, Ticker};

/// What one call came to.
#[derive(Debug)]
pub struct Trial<T = Bytes> {
    /// The result, or how the call failed.
    pub result: Result<T, Box<Failure>>,
    /// What it used. `output` is the result's size in bytes.
    pub usage: Usage,
    /// The last lines that it wrote to stdout and stderr.
    pub log: Vec<String>,
    /// From before the instance was made until the result was copied out.
    pub took: Duration,
    /// What a leaf last handed over with `emit-partial`.
    pub emitted: Option<Emission>,
}

/// Makes calls one at a time. Host calls that wait need a tokio runtime entered on this thread.
#[derive(Clone)]
pub struct Trials {
    clock: Clock,
    /// What takes samples of the calls that are made now.
    probe: Arc<Mutex<Option<Arc<Probe>>>>,
}

impl Trials {
    /// Calls that `clock` interrupts.
    #[must_use]
    pub fn new(clock: &Clock) -> Self {
        Self { clock: clock.clone(), probe: Arc::default() }
    }

    /// What `calls` gives, and a profile of the calls that it makes with these trials, which must all be of one
    /// component; several of them make one profile of many samples. `name` is what the profile is called.
    pub fn profiled<T>(
        &self,
        name: &str,
        sampling: Sampling,
        calls: impl FnOnce() -> T,
    ) -> (T, Result<Profile, ProfileError>) {
        let probe = Arc::new(Probe::new(&self.clock, name, sampling));
        let ticker = Ticker::start(&probe);
        *self.probe.lock().unwrap_or_else(PoisonError::into_inner) = Some(probe.clone());
        let came = calls();
        *self.probe.lock().unwrap_or_else(PoisonError::into_inner) = None;
        let profile = match ticker {
            Ok(_) => probe.finish(),
            Err(error) => Err(ProfileError::Engine(error.to_string())),
        };
        (came, profile)
    }

    fn probe(&self) -> Option<Arc<Probe>> {
        self.probe.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A leaf's call on one partition, of which it is told that it is number `index`.
    ///
    /// # Errors
    /// A plan that cannot be: see [`Plan::new`].
    pub fn leaf(
        &self,
        leaf: &Leaf,
        query: &Bytes,
        (index, partition): (u32, Partition),
        time: Duration,
    ) -> Result<Trial, Error> {
        let plan = Arc::new(Plan::new(vec![partition])?);
        let place = match wait_for_place(&leaf.plugin, time) {
            Ok(place) => place,
            Err(failure) => return Ok(Trial::failed(failure)),
        };
        let start = Instant::now();
        let window = Window {
            slots: 1,
            leaf_deadline: (start + time).into(),
            limit: Limit::time(Scope::Query, time),
            leaf_time: None,
            unread: u64::MAX,
            heaviest_first: false,
            background: None,
            tenant: Arc::default(),
        };
        let scatter = Scatter::new(plan, query.clone(), window);
        let Some(attempt) = scatter.claim(0, start.into()) else {
            let message = "the time limit is too short for a leaf to start";
            return Ok(Trial::failed(Failure::new(FailureKind::OutOfTime, message)));
        };
        let context =
            CallContext { watch: self.clock.watch().sampled(self.probe()), waker: Some(park::waker()), slot: None };
        let mut called = leaf.call_at((leaf.plugin.shared(), &place), attempt, index, &context);
        let caller = std::mem::replace(&mut called.caller, CallOrigin::Other(Arc::default()));
        if let CallOrigin::Leaf(attempt) = caller {
            attempt.end(Outcome::failed(FailureKind::Cancelled, "the trial is over"), Instant::now().into());
        }
        let size = |partial: &Bytes| partial.len() as u64;
        Ok(Trial { emitted: scatter.take_emission(0), ..Trial::of(called, start, size) })
    }

    /// A call of `merge`.
    pub fn merge(&self, guests: &Guests, query: &[u8], partials: &[Bytes], time: Duration) -> Trial {
        let plugin = guests.plugin();
        let call = async |running: Running<'_>| merge(running, plugin, query, partials).await;
        self.call(Scope::Merge, guests, time, call, |merged| merged.len() as u64)
    }

    /// A call of `finish`.
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

    /// A call of `split`: keys and contents.
    pub fn split(&self, guests: &Guests, query: &[u8], wanted: u32, time: Duration) -> Trial<Vec<(String, Bytes)>> {
        let plugin = guests.plugin();
        let call = async |running: Running<'_>| split(running, plugin, query, wanted).await;
        let size =
            |pieces: &Vec<(String, Bytes)>| pieces.iter().map(|(key, data)| (key.len() + data.len()) as u64).sum();
        self.call(Scope::Split, guests, time, call, size)
    }

    /// Runs `work` on this thread; its time begins once there is a place for it.
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
        Trial::of(guests.call_here(scope, start + time, &place, Arc::default(), self.probe(), work), start, size)
    }
}

/// Takes a place beside the leaves; gives up after `time`.
fn wait_for_place(plugin: &Plugin, time: Duration) -> Result<PoolPermit, Failure> {
    let until = Instant::now() + time;
    plugin.merge_permits().wait(Some(&park::waker()), until, || None).map_err(|stop| classify(&stop.into()))
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
