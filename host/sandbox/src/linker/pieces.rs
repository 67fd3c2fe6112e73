//! `pieces` of the plugin contract: the share of the partition that a leaf takes piece by piece.
//! Root owns the share; a guest only asks for its next piece.

use std::future::poll_fn;
use std::time::Instant;

use bytes::Bytes;
use frond_root::Grain;
use wasmtime::StoreContextMut;
use wasmtime::component::{LinkerInstance, WasmList};

use crate::bindings::{PieceIn, PieceUnit};
use crate::classify::Stop;
use crate::files::pull;
use crate::host::{CallOrigin, Host};

/// Links the functions of the interface.
pub(super) fn link(linker: &mut LinkerInstance<'_, Host>) -> wasmtime::Result<()> {
    linker.func_wrap("unit", |store: StoreContextMut<'_, Host>, (): ()| {
        let content = store.data().caller.content();
        Ok((PieceUnit::from(content.map_or(Grain::Byte, |content| content.units().grain)),))
    })?;
    linker.func_wrap_async("next", |store: StoreContextMut<'_, Host>, (): ()| {
        Box::new(async move {
            let host = store.data();
            let CallOrigin::Leaf(attempt) = &host.caller else {
                return Ok((None::<PieceIn>,));
            };
            // A content without bytes is read all the same, as for `source`: a partition that cannot
            // be read may report size 0.
            if let Some(content) = host.caller.content().filter(|content| content.size() == 0) {
                pull(content, |content| content.read(0, 0)).await.map_err(Stop::Content)?;
            }
            let piece = poll_fn(|context| attempt.poll_piece(Instant::now().into(), context)).await;
            Ok((piece.map(PieceIn::from),))
        })
    })?;
    linker.func_wrap("keep", |store: StoreContextMut<'_, Host>, (partial,): (WasmList<u8>,)| {
        let host = store.data();
        let size = partial.len() as u64;
        if size > host.limits.output {
            return Err(Stop::Output { what: "kept a partial", size }.into());
        }
        if let CallOrigin::Leaf(attempt) = &host.caller {
            attempt.keep(Bytes::copy_from_slice(partial.as_le_slice(&store)));
        }
        Ok(())
    })?;
    linker.func_wrap("skip-rest", |store: StoreContextMut<'_, Host>, (): ()| {
        if let CallOrigin::Leaf(attempt) = &store.data().caller {
            attempt.skip_rest(Instant::now().into());
        }
        Ok(())
    })
}
