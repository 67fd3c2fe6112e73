//! Runs a guest call under its limits until it ends or is interrupted.

use bytes::Bytes;
use frond_root::{Attempt, Bound, Failure, FailureKind, Limit};
use wasmtime::Store;

use crate::bindings::PartitionIn;
use crate::call::{Call, CallResult, Ended, Running};
use crate::classify::{Stop, classify_at};
use crate::diagnostics;
use crate::guest::Guest;
use crate::host::{CallOrigin, Host};
use crate::log::{Log, Text};
use crate::park::{self, Bounds, Driver};
use crate::permits::PoolPermit;

impl Call<'_> {
    /// Runs `work` in a fresh instance on this thread.
    pub(crate) fn run<T>(
        &self,
        (driver, place): (&Driver, &PoolPermit),
        caller: CallOrigin,
        work: impl AsyncFnOnce(Running<'_>) -> Ended<T>,
    ) -> CallResult<T> {
        self.run_with((driver, place), caller, |_| Ok(()), work)
    }

    /// Runs `work` in a fresh instance on this thread, after `prepare` has seen the store.
    pub(crate) fn run_with<T>(
        &self,
        (driver, place): (&Driver, &PoolPermit),
        caller: CallOrigin,
        prepare: impl FnOnce(&mut Store<Host>) -> wasmtime::Result<()>,
        work: impl AsyncFnOnce(Running<'_>) -> Ended<T>,
    ) -> CallResult<T> {
        let mut guest = Guest::new(self, place);
        let begun = guest.begin(self, caller).and_then(|()| prepare(guest.store()));
        let ended = begun.and_then(|()| {
            let bounds = self.bounds(&guest);
            let call = async { work(guest.running(self.ready).await?).await };
            driver.run(park::bounded(call, bounds), self.until)?
        });
        self.end(&mut guest, ended)
    }

    /// Calls a leaf in `guest`.
    pub(crate) async fn run_leaf(
        &self,
        guest: &mut Guest,
        attempt: Attempt,
        params: (&[u8], PartitionIn<'_>),
    ) -> CallResult<Bytes> {
        let ended = match guest.begin(self, CallOrigin::Leaf(attempt)) {
            Err(error) => Err(error),
            Ok(()) => {
                let bounds = self.bounds(guest);
                let call = async {
                    let export = self.ready.process().map_err(wasmtime::Error::from)?;
                    guest.running(self.ready).await?.call_for_bytes(export, params).await
                };
                park::bounded(call, bounds).await.unwrap_or_else(|stop| Err(stop.into()))
            }
        };
        self.end(guest, ended)
    }

    /// Returns the bounds of the call's waits.
    pub(crate) fn bounds(&self, guest: &Guest) -> Bounds<impl Fn() -> Option<Stop> + use<>> {
        // The future borrows the guest's state while it runs, so `stopped` holds what it checks.
        let stopped = guest.host().caller.stopper(self.deadline);
        Bounds { until: self.until, waits: self.waits, stopped }
    }

    /// Makes the result of a call that has ended in `guest`.
    pub(crate) fn end<T>(&self, guest: &mut Guest, ended: Ended<T>) -> CallResult<T> {
        let usage = guest.usage();
        let returned = ended.is_ok();
        let host = guest.host();
        let log = host.log().cloned();
        let result = match ended {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(failure)) => Err(Box::new(host.explain(Failure { log: read(log.as_ref()).shown(), ..failure }))),
            Err(error) => {
                let (failure, bound) = classify_at(&error, host.cut_off_at.as_ref());
                let text = read(log.as_ref());
                Err(Box::new(match (failure.kind, bound.and_then(|bound| self.limit(bound))) {
                    // A panic may be a consequence of a denied host call. No other kind of stop is.
                    (FailureKind::Trap, _) => host.explain(diagnostics::tell(failure, &text)),
                    (_, Some(limit)) => Failure { log: text.shown(), ..failure }.ended_by(limit),
                    (_, None) => Failure { log: text.shown(), ..failure },
                }))
            }
        };
        CallResult { result, returned, usage, log, caller: guest.take_caller() }
    }

    fn limit(&self, bound: Bound) -> Option<Limit> {
        match bound {
            Bound::Time => self.time,
            bound => self.limits.value(bound).map(|value| Limit::new(self.scope, bound, value)),
        }
    }
}

fn read(log: Option<&Log>) -> Text {
    log.map(Log::read).unwrap_or_default()
}
