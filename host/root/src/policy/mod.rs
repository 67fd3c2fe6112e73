//! Formulas as pure functions and small counters. Nothing here reads a clock.

pub mod admission;
pub mod admitted;
pub mod budget;
pub mod credits;
pub mod cutting;
pub mod hedge;
pub mod retry;
pub mod wait;
