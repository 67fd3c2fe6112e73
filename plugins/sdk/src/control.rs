//! Interface of a running leaf to the root: its remaining time, and early partials.

use std::time::Duration;

use crate::{Encode, Failure};

/// Returns the time until the leaf is cut off. Natively (in a test) nothing cuts it off:
/// [`Duration::MAX`].
pub fn remaining() -> Duration {
    #[cfg(target_family = "wasm")]
    return Duration::from_millis(crate::bindings::leaf::frond::plugin::control::remaining_ms());
    #[cfg(not(target_family = "wasm"))]
    Duration::MAX
}

/// Hands over an early partial, for the share `done` (0 to 1) of this partition that is processed
/// so far. If the leaf is then cut off, its last early partial counts, with that share of the
/// partition's weight. Natively (in a test) the partial is dropped.
///
/// # Errors
/// Fails only if the partial cannot be encoded.
pub fn emit_partial(partial: impl Encode, done: f64) -> Result<(), Failure> {
    let bytes = crate::call::encoded("the emitted partial", partial)?;
    #[cfg(target_family = "wasm")]
    crate::bindings::leaf::frond::plugin::control::emit_partial(&bytes, done);
    #[cfg(not(target_family = "wasm"))]
    let _ = (bytes, done);
    Ok(())
}
