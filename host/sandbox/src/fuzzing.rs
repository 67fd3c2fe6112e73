//! Entry point of `host/fuzz`, for any bytes, and of `tests/report.rs`, for mutated components: no
//! bytes that somebody takes for a plugin may crash their inspection.

use crate::inspect::{Role, report, surface};

/// Inspects bytes as a component.
pub fn component(bytes: &[u8]) {
    let names = surface(bytes);
    let report = report(bytes);
    let Ok(report) = report else { return };
    // Bytes with a report have a surface, and a component that fits a role by its types also fits
    // by its names.
    assert!(names.as_ref().is_ok_and(|names| report.fits().all(|role: Role| names.fits(role).is_ok())));
}
