//! One guest call: a fresh store and instance, run under limits until the call ends or is
//! interrupted, then dropped.

use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};
use std::task::Waker;
use std::time::Instant;

use bytes::Bytes;
use frond_root::call::Limits;
use frond_root::{Bound, Failure, FailureKind, Limit, Scope, Usage};
use wasmtime::component::{ComponentExportIndex, ComponentNamedList, Instance, Lift, Lower};
use wasmtime::{CallHook, Store, UpdateDeadline, WasmBacktrace};

use crate::bindings::BytesOut;
use crate::classify::{Stop, classify_at};
use crate::clock::Watch;
use crate::component::Plugin;
use crate::diagnostics;
use crate::grants::CallGrants;
use crate::host::{CallOrigin, Host, Seed};
use crate::log::{Log, Text};
use crate::park;
use crate::permits::PoolPermit;
use crate::profile::Probe;
use crate::ready::Ready;

/// Parameters of one call.
pub(crate) struct Call<'a> {
    pub(crate) plugin: &'a Plugin,
    /// The plugin's code on the engine that runs the call.
    pub(crate) ready: &'a Ready,
    /// Permit of the engine's instance pool.
    #[expect(dead_code, reason = "a proof: while it is held, the pool has room")]
    pub(crate) place: &'a PoolPermit,
    pub(crate) limits: &'a Limits,
    /// Scope in which the limits are set.
    pub(crate) scope: Scope,
    pub(crate) deadline: Instant,
    /// Limit behind the deadline, unless the caller's caller knows a closer one.
    pub(crate) time: Option<Limit>,
    /// Instant at which the call is given up, if that is before its deadline.
    pub(crate) until: Instant,
    pub(crate) seed: Option<Seed>,
    pub(crate) granted: CallGrants,
    pub(crate) watch: &'a Watch,
    /// Probe that takes samples of the call.
    pub(crate) probe: Option<&'a Arc<Probe>>,
    /// Waker of the thread. Without one the call must not wait.
    pub(crate) waker: Option<&'a Waker>,
}

/// Result of one call, with its usage and log.
pub(crate) struct CallResult<T> {
    pub(crate) result: Result<T, Box<Failure>>,
    pub(crate) usage: Usage,
    pub(crate) caller: CallOrigin,
    /// Log of the guest, if it wrote any.
    pub(crate) log: Option<Log>,
}

/// Running guest, as the work of a call sees it.
pub(crate) struct Running<'a> {
    pub(crate) store: &'a mut Store<Host>,
    pub(crate) instance: Instance,
}

impl Running<'_> {
    /// Calls an export.
    pub(crate) async fn call<P, R>(&mut self, export: &ComponentExportIndex, params: P) -> wasmtime::Result<R>
    where
        P: ComponentNamedList + Lower + Send + Sync,
        R: ComponentNamedList + Lift + Send + Sync + 'static,
    {
        let func = self.instance.get_typed_func::<P, R>(&mut *self.store, export)?;
        func.call_async(&mut *self.store, params).await
    }

    /// Calls an export that returns bytes, and refuses a result over the limit.
    pub(crate) async fn call_for_bytes<P>(
        &mut self,
        export: &ComponentExportIndex,
        params: P,
    ) -> wasmtime::Result<Result<Bytes, Failure>>
    where
        P: ComponentNamedList + Lower + Send + Sync,
    {
        let (returned,): BytesOut = self.call(export, params).await?;
        let bytes = match returned {
            Ok(bytes) => bytes,
            Err(failure) => return Ok(Err(failure.into())),
        };
        self.within_output(bytes.len() as u64)?;
        Ok(Ok(bytes.into()))
    }

    /// Refuses a result over the limit.
    pub(crate) fn within_output(&self, size: u64) -> Result<(), Stop> {
        if size <= self.store.data().limits.output {
            Ok(())
        } else {
            Err(Stop::Output { what: "returned a result", size })
        }
    }
}

impl Call<'_> {
    /// Runs `work` in a fresh instance.
    pub(crate) fn run<T>(
        &self,
        caller: CallOrigin,
        work: impl AsyncFnOnce(Running<'_>) -> wasmtime::Result<Result<T, Failure>>,
    ) -> CallResult<T> {
        self.run_with(caller, |_| Ok(()), work)
    }

    /// Runs `work` in a fresh instance, after `prepare` has seen the store.
    pub(crate) fn run_with<T>(
        &self,
        caller: CallOrigin,
        prepare: impl FnOnce(&mut Store<Host>) -> wasmtime::Result<()>,
        work: impl AsyncFnOnce(Running<'_>) -> wasmtime::Result<Result<T, Failure>>,
    ) -> CallResult<T> {
        let mut store = self.store(caller);
        self.watch.set(self.until);
        let ended = self.arm(&mut store).and_then(|()| prepare(&mut store)).and_then(|()| self.drive(&mut store, work));
        self.watch.clear();
        let usage = self.usage(&store);
        let host = store.into_data();
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
        CallResult { result, usage, caller: host.caller, log }
    }

    fn limit(&self, bound: Bound) -> Option<Limit> {
        match bound {
            Bound::Time => self.time,
            bound => self.limits.value(bound).map(|value| Limit::new(self.scope, bound, value)),
        }
    }

    fn drive<T>(
        &self,
        store: &mut Store<Host>,
        work: impl AsyncFnOnce(Running<'_>) -> wasmtime::Result<Result<T, Failure>>,
    ) -> wasmtime::Result<Result<T, Failure>> {
        // The future borrows the guest's state while it runs, so `stopped` holds what it checks.
        let stopped = store.data().caller.stopper(self.deadline);
        let future = async {
            let instance = self.ready.pre.instantiate_async(&mut *store).await?;
            work(Running { store, instance }).await
        };
        park::run(future, self.waker, self.until, stopped)?
    }

    fn store(&self, caller: CallOrigin) -> Store<Host> {
        let mut host = Host::new(*self.limits, caller, self.deadline, self.seed, self.granted.clone());
        host.until = self.until;
        Store::new(self.ready.engine(), host)
    }

    fn arm(&self, store: &mut Store<Host>) -> wasmtime::Result<()> {
        if self.limits.fuel > 0 {
            store.set_fuel(self.limits.fuel)?;
        }
        store.limiter(|host| &mut host.meter);
        store.set_epoch_deadline(1);
        // The epoch may have been bumped for this call just before, and is not bumped again for it.
        fence(Ordering::SeqCst);
        if let Some(stop) = store.data().caller.stopped(self.deadline) {
            return Err(stop.into());
        }
        store.epoch_deadline_callback(|mut store| {
            let host = store.data();
            match host.caller.stopped(host.deadline) {
                Some(stop) => return Err(stop.into()),
                None if Instant::now() >= host.until => return Err(Stop::Time.into()),
                None => {}
            }
            let own = host.probe.as_ref().map_or(0, |probe| probe.look(&store));
            let host = store.data_mut();
            host.host_calls = host.host_calls.saturating_sub(own);
            Ok(UpdateDeadline::Continue(1))
        });
        store.call_hook(|mut store, hook| match hook {
            CallHook::CallingHost => {
                if let Some(probe) = store.data().probe.clone() {
                    probe.leaves_wasm(store.get_fuel().unwrap_or(u64::MAX));
                }
                count(store.data_mut())
            }
            CallHook::ReturningFromHost if park::is_unwinding() => {
                store.data_mut().cut_off_at = Some(WasmBacktrace::force_capture(&store));
                Ok(())
            }
            _ => Ok(()),
        });
        if let Some(probe) = self.probe {
            store.data_mut().probe = Some(probe.clone());
            probe.begin(self.ready.pre.component(), self.plugin.digest(), store);
        }
        // A host call must not make the host allocate more than the guest itself may hold.
        store.set_hostcall_fuel(usize::try_from(self.limits.memory).unwrap_or(usize::MAX));
        store.set_max_component_handles(crate::host::MAX_RESOURCES);
        Ok(())
    }

    /// Returns the usage of the call. Compiled code keeps the fuel in a register between calls and
    /// returns of functions, so for a loop that was interrupted only the fuel before the loop is
    /// known.
    fn usage(&self, store: &Store<Host>) -> Usage {
        let fuel = match self.limits.fuel {
            0 => 0,
            given => given.saturating_sub(store.get_fuel().unwrap_or(given)),
        };
        let host = store.data();
        Usage { fuel, memory: host.meter.memory(), output: 0, log: host.log().map_or(0, Log::written) }
    }
}

fn read(log: Option<&Log>) -> Text {
    log.map(Log::read).unwrap_or_default()
}

fn count(host: &mut Host) -> wasmtime::Result<()> {
    host.host_calls += 1;
    if host.host_calls > host.limits.host_calls {
        return Err(Stop::HostCalls.into());
    }
    Ok(())
}
