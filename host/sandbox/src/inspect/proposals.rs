//! Proposals: extensions of WebAssembly that a component needs although the host has turned them
//! off.

use wasmparser::{Validator, WasmFeatures};

use super::Misfit;

/// Extensions that the engine offers: WebAssembly 3 without threads, exceptions and garbage
/// collection, and the component model without asynchronous functions.
pub(super) const OFFERED: WasmFeatures = WasmFeatures::WASM3
    .difference(WasmFeatures::THREADS)
    .difference(WasmFeatures::EXCEPTIONS)
    .difference(WasmFeatures::GC)
    .difference(WasmFeatures::GC_TYPES)
    .union(WasmFeatures::COMPONENT_MODEL);

/// Most bytes of a component whose proposals are determined: each proposal takes a validation.
const MAX_SIZE: usize = 8 << 20;

/// Returns the misfit of a component that is valid but uses proposals that are turned off; `None`
/// for any other.
pub(crate) fn misfit(bytes: &[u8]) -> Option<Misfit> {
    let valid = |features| Validator::new_with_features(features).validate_all(bytes).is_ok();
    let all = WasmFeatures::all();
    if valid(OFFERED) || !valid(all) {
        return None;
    }
    let needed = |(_, feature): &(&str, WasmFeatures)| bytes.len() <= MAX_SIZE && !valid(all.difference(*feature));
    let off: Vec<String> = all.difference(OFFERED).iter_names().filter(needed).map(|(name, _)| shown(name)).collect();
    // If one of several proposals would do, the component is valid without each single one.
    let off = if off.is_empty() { vec!["a proposal outside WebAssembly 3".to_owned()] } else { off };
    Some(Misfit::Proposals(off.join(", ")))
}

/// Returns the proposal's usual name.
fn shown(name: &str) -> String {
    match name {
        "GC_TYPES" => "gc (of which externref is a part)".to_owned(),
        name => name.to_lowercase().replace("cm_", "component-model-").replace('_', "-"),
    }
}
