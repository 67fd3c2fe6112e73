//! What `host/fuzz` does with any bytes, and `tests/report.rs` with those of a component that was changed: nothing that
//! somebody takes for a plugin brings down who looks at it.

use crate::inspect::{Role, report, surface};

/// Bytes as a component.
pub fn component(bytes: &[u8]) {
    let (names, report) = (surface(bytes), report(bytes));
    let Ok(report) = report else { return };
    // What was looked into has names; and what fits by its types fits by them.
    assert!(names.as_ref().is_ok_and(|names| report.fits().all(|role: Role| names.fits(role).is_ok())));
}
