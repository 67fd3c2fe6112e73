//! The plan: the number of leaves, its promises and costs, and all that it was made from.

use serde::Serialize;

use crate::evaluate::Point;
use crate::limits::{Constraint, Limit};
use crate::usl::Usl;
use crate::value::InputRow;

/// Version of a plan as JSON: it increases when a field changes its meaning or is removed.
pub const VERSION: u32 = 1;

/// A plan for one query.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Plan {
    /// [`VERSION`].
    pub version: u32,
    /// Number of leaves at once.
    pub leaves: u64,
    /// Number of pieces of each slot, rounded up.
    pub pieces_per_slot: u64,
    /// Number of pieces.
    pub pieces: u64,
    /// Constraint that decided the number of leaves, or that does not hold.
    pub binding: Constraint,
    /// All limits on the number of leaves.
    pub limits: Vec<Limit>,
    /// Availability of the answer.
    pub availability: Availability,
    /// Times and costs; `None` without an app's work.
    pub prediction: Option<Prediction>,
    /// Gain of a floor below all pieces; `None` for a single piece.
    pub floor: Option<FloorWorth>,
    /// Layouts around the plan, by number of leaves; empty without an app's work.
    pub curve: Vec<Point>,
    /// Availability for numbers of leaves around the plan.
    pub availability_curve: Vec<AvailabilityPoint>,
    /// Fit of the measured throughputs, if there are enough.
    pub usl: Option<Usl>,
    /// Inputs with their sources.
    pub inputs: Vec<InputRow>,
    /// Remarks: what does not hold, and what would help.
    pub notes: Vec<String>,
}

/// Availability of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Availability {
    /// Availability of one leaf with all its attempts.
    pub leaf: f64,
    /// Probability of an answer above the floor.
    pub answer: f64,
    /// Promised probability.
    pub sla: Option<f64>,
    /// True if the promise holds.
    pub is_met: Option<bool>,
    /// Largest number of leaves that may all be needed; `None` if any number may, or without a
    /// promise.
    pub most_leaves: Option<u64>,
    /// Probability that one leaf more would leave, if all are needed.
    pub with_one_more: f64,
    /// Attempts of each leaf with which all pieces succeed often enough; `None` if no number is
    /// enough, or without a promise.
    pub attempts_needed: Option<u32>,
    /// Highest floor that can be promised, as a share of the pieces.
    pub highest_floor: Option<f64>,
}

/// Availability at a number of pieces.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct AvailabilityPoint {
    /// Number of pieces.
    pub pieces: u64,
    /// Probability of an answer above the floor.
    pub availability: f64,
}

/// Times and costs of a query. Times are in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Prediction {
    /// The chosen layout.
    pub chosen: Point,
    /// Number of leaves at which the time is least if there were no other limits: `√(W/o)`. `None`
    /// if it is infinite.
    pub flat_optimum: Option<f64>,
    /// Time on a single slot divided by the time of the plan.
    pub speedup: f64,
    /// True if 99 % of queries end before the deadline; `None` without one.
    pub meets_deadline: Option<bool>,
}

/// Gain of an answer that does not need all pieces. Times are in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct FloorWorth {
    /// Share of the pieces that the answer needs.
    pub share: f64,
    /// Number of pieces that the answer needs.
    pub needed: u64,
    /// Number of pieces.
    pub pieces: u64,
    /// True if the floor is an input, false for an example.
    pub is_asked: bool,
    /// Availability with the floor.
    pub availability: f64,
    /// Availability if all pieces are needed.
    pub availability_of_all: f64,
    /// Times with and without the floor; `None` without an app's work.
    pub times: Option<FloorTimes>,
}

/// Times with a floor and without one, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct FloorTimes {
    /// Predicted median of the query with the floor.
    pub p50: f64,
    /// Predicted median of the query that needs all pieces.
    pub p50_of_all: f64,
    /// Predicted 99th percentile of the query with the floor.
    pub p99: f64,
    /// Predicted 99th percentile of the query that needs all pieces.
    pub p99_of_all: f64,
    /// Time with all pieces divided by the time with the floor: of the means if all leaves start at
    /// once, or else of the medians.
    pub times_sooner: f64,
}
