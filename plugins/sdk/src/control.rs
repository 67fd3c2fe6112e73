//! What a running leaf may ask of the root, and tell it early.

use std::time::Duration;

use crate::{Encode, Failure};

/// How long the leaf has before it is cut off. Natively (in a test) nothing cuts it off: [`Duration::MAX`].
pub fn remaining() -> Duration {
    #[cfg(target_family = "wasm")]
    return Duration::from_millis(crate::bindings::leaf::frond::plugin::control::remaining_ms());
    #[cfg(not(target_family = "wasm"))]
    Duration::MAX
}

/// Hands over a partial for the share `done`, from 0 to 1, of this partition that is processed so far. The last one
/// counts, with that share of the partition's weight, if the leaf is then cut off. Natively it goes nowhere.
///
/// Fails only when the partial cannot be encoded.
pub fn emit_partial(partial: impl Encode, done: f64) -> Result<(), Failure> {
    let bytes = crate::call::encoded("the emitted partial", partial)?;
    #[cfg(target_family = "wasm")]
    crate::bindings::leaf::frond::plugin::control::emit_partial(&bytes, done);
    #[cfg(not(target_family = "wasm"))]
    let _ = (bytes, done);
    Ok(())
}
