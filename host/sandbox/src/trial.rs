//! Trial calls: single calls on the caller's thread, through the code path of production calls,
//! with all details of each call in the result.

mod leaf;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use frond_root::runner::Covered;
use frond_root::share::Part;
use frond_root::sync::lock;
use frond_root::{Emission, Failure, Scope, Usage};

use crate::call::{CallResult, Ended, Running};
use crate::classify::classify;
use crate::clock::Clock;
use crate::component::Plugin;
use crate::merger::{Guests, finish, merge, split};
use crate::park::Driver;
use crate::permits::{MergeOwner, PoolPermit};
use crate::profile::{Probe, Profile, ProfileError, Sampling, Ticker};

pub use leaf::{LeafCalls, Piecewise};

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
    /// Number of earlier calls of a leaf's instance.
    pub earlier: u32,
    /// Part of the partition that a leaf took piece by piece; `None` if it asked for no piece.
    pub part: Option<Part>,
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
        work: impl AsyncFnOnce(Running<'_>) -> Ended<T>,
        size: impl Fn(&T) -> u64,
    ) -> Trial<T> {
        let place = match wait_for_place(&self.clock, guests.plugin(), time) {
            Ok(place) => place,
            Err(failure) => return Trial::failed(failure),
        };
        let start = Instant::now();
        let probe = self.probe();
        Trial::of(guests.call_here(scope, start + time, &place, Arc::default(), probe.as_ref(), work), start, size)
    }
}

/// Takes a permit for a call that is not a slot's leaf; gives up after `time`.
fn wait_for_place(clock: &Clock, plugin: &Plugin, time: Duration) -> Result<PoolPermit, Failure> {
    let driver = Driver::new(clock.watch());
    let permit = plugin.merge_permits().wait(&MergeOwner::default(), &driver, Instant::now() + time);
    permit.map_err(|stop| classify(&stop.into()))
}

impl<T> Trial<T> {
    fn failed(failure: Failure) -> Self {
        Self {
            result: Err(Box::new(failure)),
            usage: Usage::default(),
            log: Vec::new(),
            took: Duration::ZERO,
            emitted: None,
            earlier: 0,
            part: None,
        }
    }

    fn of(called: CallResult<T>, start: Instant, size: impl Fn(&T) -> u64) -> Self {
        let output = called.result.as_ref().map_or(0, size);
        Self {
            usage: Usage { output, ..called.usage },
            log: called.log.as_ref().map(|log| log.read().shown()).unwrap_or_default(),
            took: start.elapsed(),
            emitted: None,
            earlier: 0,
            part: None,
            result: called.result,
        }
    }
}
