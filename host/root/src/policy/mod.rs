//! The formulas, as pure functions and small counters with names. Nothing here reads a clock.

pub mod admission;
pub mod budget;
pub mod retry;
pub mod wait;
