//! One guest call: its parameters, its result, and its running guest. `drive.rs` runs it.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use frond_root::call::Limits;
use frond_root::{Failure, Limit, Scope, Usage};
use wasmtime::Store;
use wasmtime::component::{ComponentExportIndex, ComponentNamedList, Instance, Lift, Lower};

use crate::bindings::BytesOut;
use crate::classify::Stop;
use crate::component::Plugin;
use crate::grants::CallGrants;
use crate::host::{CallOrigin, Host, Seed};
use crate::log::Log;
use crate::profile::Probe;
use crate::ready::Ready;

/// Parameters of one call.
pub(crate) struct Call<'a> {
    pub(crate) plugin: &'a Plugin,
    /// The plugin's code on the engine that runs the call.
    pub(crate) ready: &'a Ready,
    pub(crate) limits: &'a Limits,
    /// Scope in which the limits are set.
    pub(crate) scope: Scope,
    pub(crate) deadline: Instant,
    /// Limit behind the deadline, unless the caller's caller knows a closer one.
    pub(crate) time: Option<Limit>,
    /// Instant at which the call is given up, if that is before its deadline.
    pub(crate) until: Instant,
    /// False for a call on a thread that must not sleep.
    pub(crate) waits: bool,
    pub(crate) seed: Option<Seed>,
    pub(crate) granted: CallGrants,
    /// Probe that takes samples of the call.
    pub(crate) probe: Option<&'a Arc<Probe>>,
}

/// Result of one call, with its usage and log.
pub(crate) struct CallResult<T> {
    pub(crate) result: Result<T, Box<Failure>>,
    /// True if the guest returned, also with a failure; false if it was stopped.
    pub(crate) returned: bool,
    pub(crate) usage: Usage,
    pub(crate) caller: CallOrigin,
    /// Log of the guest, if it wrote any.
    pub(crate) log: Option<Log>,
}

/// Outcome of a call's future: the guest's result, or the error that ended the call.
pub(crate) type Ended<T> = wasmtime::Result<Result<T, Failure>>;

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
    pub(crate) async fn call_for_bytes<P>(&mut self, export: &ComponentExportIndex, params: P) -> Ended<Bytes>
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
