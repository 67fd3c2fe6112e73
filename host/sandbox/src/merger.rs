//! Merges and splits: single calls on separate threads, so that none waits for a slot behind a
//! leaf.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use frond_root::call::Limits;
use frond_root::runner::{Covered, MergeFuture, MergeResult};
use frond_root::{Failure, FailureKind, Limit, Merger, Scope, Usage};

use crate::bindings::{CoverageIn, PartitionOut, PartitionsOut};
use crate::call::{Call, CallResult, Ended, Running};
use crate::clock::Clock;
use crate::component::Plugin;
use crate::grants::{CallGrants, GuestGrants};
use crate::host::{CallOrigin, CancelFlag};
use crate::inline::{self, ShortCalls};
use crate::park::Driver;
use crate::permits::{MergeOwner, PoolPermit};
use crate::profile::Probe;

/// Component for merges or splits, which run outside the slot threads.
#[derive(Clone)]
pub struct Guests {
    clock: Clock,
    plugin: Arc<Plugin>,
    limits: Limits,
    time: Option<Duration>,
    granted: CallGrants,
    short_calls: Arc<ShortCalls>,
    owner: MergeOwner,
}

impl Guests {
    /// Makes calls of `plugin` under `limits`, without grants.
    #[must_use]
    pub fn new(clock: &Clock, plugin: Arc<Plugin>, limits: Limits) -> Self {
        Self {
            clock: clock.clone(),
            short_calls: Arc::new(plugin.new_short_calls()),
            plugin,
            limits,
            time: None,
            granted: CallGrants::Never,
            owner: MergeOwner::default(),
        }
    }

    /// Sets the grants of a split. A merge gets none: it has no need of outside resources.
    #[must_use]
    pub fn granting(self, grants: &Arc<GuestGrants>) -> Self {
        Self { granted: CallGrants::from(grants), ..self }
    }

    /// Sets the time limit of one call on a separate thread, from its start. It ends earlier if its
    /// caller's time is up.
    #[must_use]
    pub fn taking(self, time: Option<Duration>) -> Self {
        Self { time, ..self }
    }

    /// Sets the owner of the calls, for fair shares of the permits.
    #[must_use]
    pub fn owned_by(self, owner: MergeOwner) -> Self {
        Self { owner, ..self }
    }

    /// Runs `work` in a fresh instance on this thread, which may sleep.
    pub(crate) fn call_here<T>(
        &self,
        scope: Scope,
        until: Instant,
        place: &PoolPermit,
        flag: Arc<CancelFlag>,
        probe: Option<&Arc<Probe>>,
        work: impl AsyncFnOnce(Running<'_>) -> Ended<T>,
    ) -> CallResult<T> {
        flag.here();
        let driver = Driver::new(self.clock.watch());
        let own = self.time.and_then(|time| Some((Instant::now().checked_add(time)?, time)));
        let own = own.filter(|(end, _)| *end < until);
        let until = own.map_or(until, |(end, _)| end);
        let time = own.map(|(_, time)| Limit::time(scope, time));
        let call = self.prepared(scope, until, &self.limits);
        Call { probe, time, ..call }.run((&driver, place), CallOrigin::Other(flag), work)
    }

    fn prepared<'a>(&'a self, scope: Scope, deadline: Instant, limits: &'a Limits) -> Call<'a> {
        Call {
            plugin: &self.plugin,
            ready: self.plugin.shared(),
            limits,
            scope,
            deadline,
            time: None,
            until: deadline,
            waits: true,
            seed: None,
            granted: self.granted.clone(),
            probe: None,
        }
    }

    /// Runs `work` inline, if it is probably short, on a thread that must not sleep. Returns `None`
    /// if it was not run, or must be repeated on another thread.
    fn call_at_once<T>(
        &self,
        scope: Scope,
        until: Instant,
        place: &PoolPermit,
        flag: &Arc<CancelFlag>,
        work: impl AsyncFnOnce(Running<'_>) -> Ended<T>,
    ) -> Option<CallResult<T>> {
        if !self.short_calls.is_likely() {
            return None;
        }
        let began = Instant::now();
        let driver = Driver::sleepless(self.clock.watch());
        let limits = inline::bounded(&self.limits);
        let call = || {
            let call = self.prepared(scope, until, &limits);
            let call = Call { until: until.min(began + inline::AT_MOST), waits: false, ..call };
            call.run((&driver, place), CallOrigin::Other(flag.clone()), work)
        };
        // A bug in the host shows again on the other thread, which reports it.
        let called = catch_unwind(AssertUnwindSafe(call));
        let took = began.elapsed();
        self.short_calls.learn(took);
        let called = called.ok()?;
        let is_final = |failure: &Failure| !inline::is_given_up(failure, took, &self.limits, &self.short_calls);
        called.result.as_ref().err().is_none_or(|failure| is_final(failure)).then_some(called)
    }

    /// Returns the component.
    #[must_use]
    pub fn plugin(&self) -> &Plugin {
        &self.plugin
    }

    /// Returns the limits of one call.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Replaces the limits of one call.
    #[must_use]
    pub fn under(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// Runs `work`, with `size` bytes of input, in a fresh instance once it has a permit: inline if
    /// it is probably short, else on a separate thread. Dropping the future stops the guest.
    fn call<T, W>(
        &self,
        scope: Scope,
        until: Instant,
        size: usize,
        work: W,
    ) -> impl Future<Output = Result<(T, Usage), Box<Failure>>> + use<T, W> + Send + 'static
    where
        T: Send + 'static,
        W: AsyncFn(Running<'_>, &Plugin) -> Ended<T> + Send + 'static,
    {
        let guests = self.clone();
        let flag = Arc::new(CancelFlag::default());
        let stop = StopOnDrop { flag: flag.clone(), clock: self.clock.clone(), ended: false };
        let may_be_brief = size <= inline::SMALL && matches!(self.granted, CallGrants::Never);
        async move {
            let place = guests.plugin.merge_permits().wait_until(&guests.owner, until).await?;
            if may_be_brief {
                let at_once = async |running: Running<'_>| work(running, guests.plugin()).await;
                if let Some(CallResult { result, usage, .. }) =
                    guests.call_at_once(scope, until, &place, &flag, at_once)
                {
                    stop.disarm();
                    return result.map(|value| (value, usage));
                }
            }
            let task = tokio::task::spawn_blocking(move || {
                let began = Instant::now();
                let CallResult { result, usage, .. } =
                    guests.call_here(scope, until, &place, flag, None, async |running| {
                        work(running, guests.plugin()).await
                    });
                if may_be_brief {
                    guests.short_calls.learn(began.elapsed());
                }
                drop(place);
                result.map(|value| (value, usage))
            });
            let ended = task.await;
            stop.disarm();
            ended.unwrap_or_else(|lost| {
                let message = format!("the merge's thread was lost: {lost}");
                Err(Box::new(Failure::new(FailureKind::Lost, message)))
            })
        }
    }
}

/// Guard that stops the guest of a future dropped before its end.
struct StopOnDrop {
    flag: Arc<CancelFlag>,
    clock: Clock,
    ended: bool,
}

impl StopOnDrop {
    fn disarm(mut self) {
        self.ended = true;
    }
}

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        if !self.ended {
            self.flag.stop();
            self.clock.bump();
        }
    }
}

/// Runner of an app's merge component.
#[derive(Clone)]
pub struct MergeHost(pub Guests);

impl Merger for MergeHost {
    fn merge(&self, query: Bytes, partials: Vec<Bytes>, until: tokio::time::Instant) -> MergeFuture {
        let size = query.len() + partials.iter().map(Bytes::len).sum::<usize>();
        let call =
            self.0.call(Scope::Merge, until.into_std(), size, async move |running: Running<'_>, plugin: &Plugin| {
                merge(running, plugin, &query, &partials).await
            });
        Box::pin(async move { sized(call.await) })
    }

    fn finish(
        &self,
        query: Bytes,
        merged: Option<Bytes>,
        covered: Covered,
        until: tokio::time::Instant,
    ) -> MergeFuture {
        let size = query.len() + merged.as_ref().map_or(0, Bytes::len);
        let call =
            self.0.call(Scope::Merge, until.into_std(), size, async move |running: Running<'_>, plugin: &Plugin| {
                finish(running, plugin, &query, merged.as_deref(), covered).await
            });
        Box::pin(async move { sized(call.await) })
    }
}

/// Calls `merge`.
pub(crate) async fn merge(mut running: Running<'_>, plugin: &Plugin, query: &[u8], partials: &[Bytes]) -> Ended<Bytes> {
    let (merge, _) = plugin.shared().merge().map_err(wasmtime::Error::from)?;
    let lists: Vec<&[u8]> = partials.iter().map(|partial| &**partial).collect();
    running.call_for_bytes(merge, (query, &*lists)).await
}

/// Calls `finish`.
pub(crate) async fn finish(
    mut running: Running<'_>,
    plugin: &Plugin,
    query: &[u8],
    merged: Option<&[u8]>,
    covered: Covered,
) -> Ended<Bytes> {
    let (_, finish) = plugin.shared().merge().map_err(wasmtime::Error::from)?;
    let coverage = CoverageIn { planned: covered.planned, covered: covered.covered, complete: covered.complete };
    running.call_for_bytes(finish, (query, merged, coverage)).await
}

/// Calls `split`; returns keys and contents.
pub(crate) async fn split(
    mut running: Running<'_>,
    plugin: &Plugin,
    query: &[u8],
    wanted: u32,
) -> Ended<Vec<(String, Bytes)>> {
    let split = plugin.shared().split().map_err(wasmtime::Error::from)?;
    let (returned,): PartitionsOut = running.call(split, (query, wanted)).await?;
    if let Ok(partitions) = &returned {
        running.within_output(partitions.iter().map(PartitionOut::size).sum())?;
    }
    Ok(returned.map(|partitions| partitions.into_iter().map(Into::into).collect()).map_err(Failure::from))
}

fn sized(merged: MergeResult) -> MergeResult {
    merged.map(|(bytes, usage)| {
        let output = bytes.len() as u64;
        (bytes, Usage { output, ..usage })
    })
}

/// Runner of an app's split component.
#[derive(Clone)]
pub struct SplitHost(pub Guests);

impl SplitHost {
    /// Splits a query's work into about `wanted` partitions, by `until`. Returns keys and contents.
    ///
    /// # Errors
    /// The guest's failure.
    pub async fn split(&self, query: Bytes, wanted: u32, until: Instant) -> Result<Vec<(String, Bytes)>, Box<Failure>> {
        let size = query.len();
        let call = self.0.call(Scope::Split, until, size, async move |running: Running<'_>, plugin: &Plugin| {
            split(running, plugin, &query, wanted).await
        });
        call.await.map(|(partitions, _)| partitions)
    }
}
