//! Inputs of a plan: values with their source and their confidence.

use serde::Serialize;

use crate::leaf_time::Distribution;
use crate::usl::Throughput;

/// Number of samples from which a measured value is of medium confidence.
const MEDIUM: u64 = 20;
/// Number of samples from which a measured value is of high confidence.
const HIGH: u64 = 200;

/// Origin of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// Measured in recorded queries.
    Recording,
    /// Measured now, in queries that were run for the plan.
    Calibration,
    /// Given by the caller.
    Given,
    /// Settings of the app.
    App,
    /// Properties of this machine.
    Machine,
    /// Default, which nobody has checked.
    Default,
}

/// Trust in a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Confidence {
    /// A default, or fewer than 20 samples.
    Low,
    /// Fewer than 200 samples.
    Medium,
    /// Given, or at least 200 samples.
    High,
}

/// A value with its source.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Input<T> {
    /// The value.
    pub value: T,
    /// Origin of the value.
    pub source: Source,
    /// Trust in the value.
    pub confidence: Confidence,
    /// Number of samples behind it; 0 for a value that was not measured.
    pub samples: u64,
}

impl<T> Input<T> {
    /// Makes a value that was given.
    #[must_use]
    pub fn given(value: T) -> Self {
        Self::certain(value, Source::Given)
    }

    /// Makes a default value.
    #[must_use]
    pub fn assumed(value: T) -> Self {
        Self { value, source: Source::Default, confidence: Confidence::Low, samples: 0 }
    }

    /// Makes a value that its source knows without measuring.
    #[must_use]
    pub fn certain(value: T, source: Source) -> Self {
        Self { value, source, confidence: Confidence::High, samples: 0 }
    }

    /// Makes a measured value. Its confidence follows from the number of samples.
    #[must_use]
    pub fn measured(value: T, source: Source, samples: u64) -> Self {
        let confidence = match samples {
            HIGH.. => Confidence::High,
            MEDIUM.. => Confidence::Medium,
            _ => Confidence::Low,
        };
        Self { value, source, confidence, samples }
    }
}

/// Everything that a plan depends on.
#[derive(Clone, Debug, PartialEq)]
pub struct Inputs {
    /// Probability that one attempt of a leaf succeeds.
    pub leaf_availability: Input<f64>,
    /// Number of attempts of each leaf.
    pub attempts: Input<u32>,
    /// Probability with which an answer is promised.
    pub sla: Option<Input<f64>>,
    /// Share of the pieces that an answer needs: 1 for all, 0 for an answer from any of them.
    pub floor: Input<f64>,
    /// Time from the request to the answer, in seconds.
    pub deadline: Option<Input<f64>>,
    /// Number of leaves to plan for, instead of the best one.
    pub leaves: Option<Input<u64>>,
    /// Number of slots.
    pub slots: Option<Input<u64>>,
    /// Least efficiency at which a further leaf is worth its slot.
    pub efficiency: Input<f64>,
    /// Use of the slots that the number of pieces aims at.
    pub slot_use: Input<f64>,
    /// The app's work, as measured.
    pub workload: Option<Workload>,
    /// Throughputs at several numbers of slots, for a fit of the Universal Scalability Law.
    pub throughputs: Vec<Throughput>,
    /// Seed of simulations.
    pub seed: u64,
}

impl Default for Inputs {
    fn default() -> Self {
        Self {
            leaf_availability: Input::assumed(0.999),
            attempts: Input::assumed(1),
            sla: None,
            floor: Input::assumed(1.0),
            deadline: None,
            leaves: None,
            slots: None,
            efficiency: Input::assumed(0.5),
            slot_use: Input::assumed(0.97),
            workload: None,
            throughputs: Vec::new(),
            seed: 1,
        }
    }
}

/// Work of one query of an app. Times are in seconds.
#[derive(Clone, Debug, PartialEq)]
pub struct Workload {
    /// Time of one leaf.
    pub leaf: Input<Distribution>,
    /// Number of pieces at which that time was measured.
    pub pieces: Input<u64>,
    /// How the work divides into pieces.
    pub division: Input<Division>,
    /// Time that a query takes beside its leaves, however many there are.
    pub fixed: Input<f64>,
    /// Time that each piece costs the root.
    pub overhead: Input<f64>,
    /// Time of one merge.
    pub fold: Input<f64>,
    /// Number of partials that one merge takes.
    pub fan_in: Input<u64>,
    /// Memory of one leaf, in bytes.
    pub leaf_memory: Option<Input<u64>>,
    /// Memory for all leaves, in bytes.
    pub memory: Option<Input<u64>>,
}

/// Divisibility of the work of a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Division {
    /// Fixed pieces, such as the items of a list.
    Fixed,
    /// Any number of pieces, such as ranges of a file.
    Divisible,
    /// Any number of pieces, whose rest idle slots take while they run.
    Cut,
}
