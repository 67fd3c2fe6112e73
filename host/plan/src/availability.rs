//! Availability of an answer: how likely enough of its leaves succeed.

pub use crate::binomial::{at_least, exactly};

/// Room for rounding when a computed availability is compared with a promised one.
const ROUNDING: f64 = 1e-12;

/// Returns the availability of a leaf with `attempts` independent tries: `1 − (1 − p)^r`.
#[must_use]
pub fn with_attempts(p: f64, attempts: u32) -> f64 {
    match attempts {
        0 => 0.0,
        1 => p.clamp(0.0, 1.0),
        _ if p >= 1.0 => 1.0,
        _ => -(f64::from(attempts) * (-p.max(0.0)).ln_1p()).exp_m1(),
    }
}

/// Returns the probability that all of `n` leaves succeed: `p^n`.
#[must_use]
pub fn all_of(n: u64, p: f64) -> f64 {
    at_least(n, n, p)
}

/// Returns the largest number of leaves that all succeed with a probability of `sla` or more.
/// `None` means that any number does.
#[must_use]
pub fn most_leaves(p: f64, sla: f64) -> Option<u64> {
    if p >= 1.0 || sla <= 0.0 {
        return None;
    }
    if sla > 1.0 || p <= 0.0 {
        return Some(0);
    }
    let estimate = (sla.ln() / p.ln()).floor() as u64;
    let holds = |n: u64| meets(all_of(n, p), sla);
    (estimate.saturating_sub(1)..=estimate.saturating_add(1)).rev().find(|n| holds(*n)).or(Some(0))
}

/// Returns the number of attempts of each leaf with which all of `n` leaves succeed with a
/// probability of `sla` or more. `None` means that no number is enough.
#[must_use]
pub fn attempts_for(n: u64, p: f64, sla: f64) -> Option<u32> {
    if n == 0 || sla <= 0.0 || p >= 1.0 {
        return (sla <= 1.0).then_some(1);
    }
    if p <= 0.0 || sla >= 1.0 {
        return None;
    }
    let failure = -(sla.ln() / n as f64).exp_m1();
    let estimate = (failure.ln() / (-p).ln_1p()).ceil().clamp(1.0, f64::from(u32::MAX - 1)) as u32;
    let holds = |attempts: &u32| meets(all_of(n, with_attempts(p, *attempts)), sla);
    (estimate.saturating_sub(1).max(1)..=estimate + 1).find(holds)
}

/// Returns the number of leaves of `n` that a floor of `share` needs. At least one.
#[must_use]
pub fn needed(n: u64, share: f64) -> u64 {
    let exact = n as f64 * share.clamp(0.0, 1.0);
    ((exact * (1.0 - ROUNDING)).ceil() as u64).clamp(1, n.max(1)).min(n)
}

/// Returns the largest `k` such that at least `k` of `n` leaves succeed with a probability of
/// `sla` or more: the highest floor that can be promised.
#[must_use]
pub fn highest_floor(n: u64, p: f64, sla: f64) -> u64 {
    let mut holds = 0;
    let mut fails = n.saturating_add(1);
    while fails - holds > 1 {
        let middle = holds + (fails - holds) / 2;
        if meets(at_least(middle, n, p), sla) {
            holds = middle;
        } else {
            fails = middle;
        }
    }
    holds
}

/// Returns true if an availability is at least the promised one, up to rounding.
#[must_use]
pub fn meets(availability: f64, sla: f64) -> bool {
    availability >= sla * (1.0 - ROUNDING)
}
