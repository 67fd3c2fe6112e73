//! Split-merge: how well slots are used that wait for the last piece of a query.

use crate::special::harmonic;

/// Returns the use of `slots` that pull `pieces_per_slot` exponential pieces each: `κ / (κ − 1 +
/// H_l)` (Fidler, Walker and Bora 2020). It is 0 without slots or pieces.
#[must_use]
pub fn slot_use(slots: u64, pieces_per_slot: u64) -> f64 {
    if slots == 0 || pieces_per_slot == 0 {
        return 0.0;
    }
    1.0 / stretch(slots, pieces_per_slot, 1.0)
}

/// Returns the time of a query divided by the time it would take if all slots worked to the end:
/// `1 + cv·(H_l − 1)/κ`. With `cv` 1 it is the inverse of [`slot_use`].
#[must_use]
pub fn stretch(slots: u64, pieces_per_slot: u64, cv: f64) -> f64 {
    let waiting = (harmonic(slots) - 1.0).max(0.0);
    if waiting == 0.0 || cv == 0.0 { 1.0 } else { 1.0 + cv * waiting / pieces_per_slot.max(1) as f64 }
}

/// Returns the number of pieces per slot at which `slots` are used to `wanted`, for pieces whose
/// times have the coefficient of variation `cv`: `⌈e/(1 − e)·(H_l − 1)·cv⌉`, at least 1.
#[must_use]
pub fn pieces_per_slot(slots: u64, wanted: f64, cv: f64) -> u64 {
    let waiting = (harmonic(slots) - 1.0).max(0.0) * cv.max(0.0);
    if wanted >= 1.0 && waiting > 0.0 {
        return u64::MAX;
    }
    let wanted = wanted.clamp(0.0, 1.0 - f64::EPSILON);
    let exact = wanted / (1.0 - wanted) * waiting;
    // The factor takes back what the quotient has gained by rounding.
    ((exact * (1.0 - 1e-12)).ceil() as u64).max(1)
}
