//! Messages between the root and its workers.

/// Message between the root and a worker about an attempt.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) worker: usize,
    /// Its place among the attempts.
    pub(crate) leaf: u32,
    /// Number of the attempt among all: another one may have its place by now.
    pub(crate) serial: u64,
    pub(crate) said: Said,
}

/// Content of a message.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Said {
    /// To the worker: run the attempt, with the units up to `leased`.
    Run { leased: u64, end: u64 },
    /// To the worker: units up to `leased`; nothing at or after `end` is left.
    Lease { leased: u64, end: u64 },
    /// To the worker: nobody needs the attempt.
    Stop,
    /// To the root: the leaf began.
    Started,
    /// To the root: the leaf kept a partial of the units up to here.
    Kept { until: u64 },
    /// To the root: the leaf, which takes so many units a second, needs further ones.
    More { rate: Option<f64> },
    /// To the root: the leaf ended, having taken the units up to here.
    Ended { taken: u64, asked: bool },
    /// To the root: the attempt was not begun.
    GivenBack,
}

impl Said {
    /// True for a message from the root.
    pub(crate) fn is_for_worker(self) -> bool {
        matches!(self, Self::Run { .. } | Self::Lease { .. } | Self::Stop)
    }
}
