//! Guest instances. Most serve one call. A warm instance serves further partitions of its query in
//! its slot: its memory and tables stay, and everything else is counted anew for each call.

use std::sync::atomic::{Ordering, fence};
use std::time::Instant;

use frond_root::Usage;
use wasmtime::component::Instance;
use wasmtime::{CallHook, Store, UpdateDeadline, WasmBacktrace};

use crate::call::{Call, Running};
use crate::classify::Stop;
use crate::host::{CallOrigin, Host, MAX_RESOURCES};
use crate::park;
use crate::permits::PoolPermit;
use crate::ready::Ready;

/// Most calls of one instance.
const MAX_CALLS: u32 = 4096;
/// Divisor of the memory limit and of the resources: an instance that holds more than this part is
/// not used again, so that every call finds room.
const ROOM: u64 = 2;

/// Guest instance in its store.
pub(crate) struct Guest {
    store: Store<Host>,
    /// `None` until the first call has made it.
    instance: Option<Instance>,
    /// Number of calls so far.
    calls: u32,
}

impl Guest {
    /// Makes a store for calls like this one, without an instance yet. The permit is a proof: while
    /// it is held, the pool has room.
    pub(crate) fn new(call: &Call<'_>, _place: &PoolPermit) -> Self {
        let host = Host::new(*call.limits, call.granted.clone());
        let mut store = Store::new(call.ready.engine(), host);
        store.limiter(|host| &mut host.meter);
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
        // A host call must not make the host allocate more than the guest itself may hold.
        store.set_hostcall_fuel(usize::try_from(call.limits.memory).unwrap_or(usize::MAX));
        store.set_max_component_handles(MAX_RESOURCES);
        Self { store, instance: None, calls: 0 }
    }

    /// Begins the next call: sets its limits, and checks that it need not stop already.
    pub(crate) fn begin(&mut self, call: &Call<'_>, caller: CallOrigin) -> wasmtime::Result<()> {
        self.calls += 1;
        let store = &mut self.store;
        store.data_mut().begin(caller, (call.deadline, call.until), call.seed);
        if call.limits.fuel > 0 {
            store.set_fuel(call.limits.fuel)?;
        }
        store.set_epoch_deadline(1);
        if let Some(probe) = call.probe.filter(|_| self.instance.is_none()) {
            store.data_mut().probe = Some(probe.clone());
            probe.begin(call.ready.pre.component(), call.plugin.digest(), store);
        }
        // The epoch may have been bumped for this call just before, and is not bumped again for it.
        fence(Ordering::SeqCst);
        match store.data().caller.stopped(call.deadline) {
            Some(stop) => Err(stop.into()),
            None => Ok(()),
        }
    }

    /// Returns the instance, made if this is its first call.
    pub(crate) async fn running(&mut self, ready: &Ready) -> wasmtime::Result<Running<'_>> {
        let instance = match self.instance {
            Some(instance) => instance,
            None => *self.instance.insert(ready.pre.instantiate_async(&mut self.store).await?),
        };
        Ok(Running { store: &mut self.store, instance })
    }

    pub(crate) fn store(&mut self) -> &mut Store<Host> {
        &mut self.store
    }

    pub(crate) fn host(&self) -> &Host {
        self.store.data()
    }

    /// Takes the caller of the call that has ended.
    pub(crate) fn take_caller(&mut self) -> CallOrigin {
        std::mem::replace(&mut self.store.data_mut().caller, CallOrigin::Ended)
    }

    /// Returns the number of calls before the latest one.
    pub(crate) fn earlier(&self) -> u32 {
        self.calls.saturating_sub(1)
    }

    /// Returns true if the instance, whose last call returned, may serve another one.
    pub(crate) fn is_reusable(&mut self) -> bool {
        self.instance.is_some() && self.calls < MAX_CALLS && self.store.data_mut().has_room(ROOM)
    }

    /// Returns the usage of the last call; the memory is that of the instance. Compiled code keeps
    /// the fuel in a register between calls and returns of functions, so for a loop that was
    /// interrupted only the fuel before the loop is known.
    pub(crate) fn usage(&self) -> Usage {
        let host = self.store.data();
        let fuel = match host.limits.fuel {
            0 => 0,
            given => given.saturating_sub(self.store.get_fuel().unwrap_or(given)),
        };
        Usage { fuel, memory: host.meter.memory(), output: 0, log: host.log().map_or(0, |log| log.written()) }
    }
}

fn count(host: &mut Host) -> wasmtime::Result<()> {
    host.host_calls += 1;
    if host.host_calls > host.limits.host_calls {
        return Err(Stop::HostCalls.into());
    }
    Ok(())
}
