//! The planner: how many leaves a query should have, what they cost, and what they promise.
//!
//! [`plan`](plan()) makes a [`Plan`] from [`Inputs`]. Everything is a pure function: no clock, no
//! files, and simulations with a seed. The formulas stand alone, each with its source:
//!
//! - [`availability`]: how likely enough leaves succeed;
//! - [`leaf_time`], [`tail`], [`order_statistics`]: how slow the slowest of many leaves is;
//! - [`redundancy`], [`split_merge`], [`list_scheduling`]: how slots are used;
//! - [`usl`], [`cost`]: how throughput and time change with the number of leaves;
//! - [`prediction`]: quantiles of a query with more pieces than slots.

pub mod availability;
mod binomial;
pub mod cost;
mod evaluate;
pub mod inputs;
pub mod leaf_time;
mod limits;
pub mod list_scheduling;
mod notes;
pub mod order_statistics;
mod plan;
pub mod prediction;
mod random;
pub mod redundancy;
mod report;
mod rows;
pub mod special;
pub mod split_merge;
pub mod tail;
pub mod usl;
mod value;

pub use evaluate::{MAX_PIECES_PER_SLOT, Point};
pub use inputs::{Confidence, Division, Input, Inputs, Source, Workload};
pub use leaf_time::{Distribution, LeafTime, Sample};
pub use limits::{Constraint, Limit, MAX_LEAVES};
pub use plan::plan;
pub use report::{Availability, AvailabilityPoint, FloorTimes, FloorWorth, Plan, Prediction, VERSION};
pub use rows::{Row, reason, rows};
pub use usl::{Throughput, Usl, UslError};
pub use value::{InputRow, Value, probability};
