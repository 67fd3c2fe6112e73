//! Linker of every guest: WASI 0.2, `wasi:http` and `wasi:config`, backed by the grants, and
//! `control`, `source` and `pieces` of the plugin contract.

use std::time::Instant;

use bytes::Bytes;
use frond_root::{Done, Emission};
use wasmtime::component::{ComponentType, Linker, Lower, WasmList};
use wasmtime::{Engine, StoreContextMut};

use crate::bindings::VERSION;
use crate::classify::Stop;
use crate::files::pull;
use crate::host::{CallOrigin, Host};

mod pieces;
mod replaced;

/// Most bytes that one `source.read` returns.
const MAX_READ: u32 = 16 << 20;

/// Makes the linker of every guest.
pub(crate) fn linker(engine: &Engine) -> wasmtime::Result<Linker<Host>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    replaced::replace(&mut linker)?;
    config(&mut linker)?;
    let mut control = linker.instance(&ours("control"))?;
    control.func_wrap("remaining-ms", |store: StoreContextMut<'_, Host>, (): ()| {
        let left = store.data().deadline.saturating_duration_since(Instant::now());
        Ok((u64::try_from(left.as_millis()).unwrap_or(u64::MAX),))
    })?;
    control.func_wrap("emit-partial", emit_partial)?;
    let mut source = linker.instance(&ours("source"))?;
    source.func_wrap("size", |store: StoreContextMut<'_, Host>, (): ()| {
        Ok((store.data().caller.content().map_or(0, |content| content.size()),))
    })?;
    source.func_wrap_async("read", |store: StoreContextMut<'_, Host>, (offset, len): (u64, u32)| {
        Box::new(async move {
            let Some(content) = store.data().caller.content() else {
                return Ok((Bytes::new(),));
            };
            let left = content.size().saturating_sub(offset);
            let len = u64::from(len.min(MAX_READ)).min(left);
            // Empty content is read all the same: a partition that cannot be read may report size
            // 0.
            if len == 0 && offset > 0 {
                return Ok((Bytes::new(),));
            }
            let len = usize::try_from(len).unwrap_or(usize::MAX);
            let read = pull(content, move |content| content.read(offset, len)).await;
            Ok((read.map_err(Stop::Content)?,))
        })
    })?;
    pieces::link(&mut linker.instance(&ours("pieces"))?)?;
    Ok(linker)
}

/// Returns the full name of an interface of the contract. wasmtime links it to imports of earlier
/// versions, too, as they differ only in the last number.
fn ours(interface: &str) -> String {
    format!("frond:plugin/{interface}@{VERSION}")
}

/// Error type of `wasi:config/store`, which the host never returns.
#[derive(ComponentType, Lower)]
#[component(variant)]
#[expect(dead_code, reason = "the type is the interface's")]
enum ConfigError {
    #[component(name = "upstream")]
    Upstream(String),
    #[component(name = "io")]
    Io(String),
}

/// Links `wasi:config/store` to the granted values. They are in the order of their keys, so that
/// calls are deterministic.
fn config(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    let mut store = linker.instance("wasi:config/store@0.2.0-rc.1")?;
    store.func_wrap("get", |store: StoreContextMut<'_, Host>, (key,): (String,)| {
        let value = store.data().granted.get().and_then(|grants| grants.app.config.get(&key));
        Ok((Ok::<_, ConfigError>(value.cloned()),))
    })?;
    store.func_wrap("get-all", |store: StoreContextMut<'_, Host>, (): ()| {
        let values = store.data().granted.get().map(|grants| grants.app.config.clone());
        Ok((Ok::<_, ConfigError>(values.into_iter().flatten().collect::<Vec<(String, String)>>()),))
    })
}

fn emit_partial(store: StoreContextMut<'_, Host>, (partial, done): (WasmList<u8>, f64)) -> wasmtime::Result<()> {
    let host = store.data();
    let size = partial.len() as u64;
    if size > host.limits.output {
        return Err(Stop::Output { what: "emitted a partial", size }.into());
    }
    if !(0.0..=1.0).contains(&done) {
        return Err(Stop::Misuse("emitted a partial whose share is not between 0 and 1").into());
    }
    if let CallOrigin::Leaf(attempt) = &host.caller {
        if attempt.takes_pieces() {
            return Err(Stop::Misuse("called `emit-partial` after `pieces.next`, which has `keep` for that").into());
        }
        let partial = Bytes::copy_from_slice(partial.as_le_slice(&store));
        attempt.emit(Emission { partial, done: Done::Share(done) });
    }
    Ok(())
}
