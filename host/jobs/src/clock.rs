//! The wall clock, which stores are told.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::job::UnixMs;

/// Now.
#[must_use]
pub fn unix_ms() -> UnixMs {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMs(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
