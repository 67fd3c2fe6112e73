//! Times of an attempt on a worker, on the clock of its root.

use serde::{Deserialize, Serialize};

/// Times of an attempt on a worker, beside its begin and its end. In events they are in
/// microseconds since the query's start. None is before the claim, or after the root heard of the
/// end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerTimes<T = u64> {
    /// Time at which the root claimed the attempt for the worker.
    pub claimed: T,
    /// Time at which its order arrived at the worker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub received: Option<T>,
    /// Begin and end of the fetching and loading of the leaf's code, if the attempt waited for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<(T, T)>,
    /// Reads of its content from the root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pulls: Option<PullTimes<T>>,
    /// Time at which the root heard of its end.
    pub heard: T,
}

/// Reads of an attempt's content from its root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullTimes<T = u64> {
    /// Begin of the first read.
    pub from: T,
    /// End of the last read.
    pub to: T,
    /// Microseconds that all reads took.
    pub waited: u64,
    /// Number of reads.
    pub reads: u64,
    /// Bytes that were read.
    pub bytes: u64,
}

impl<T: Copy> WorkerTimes<T> {
    /// Brings the times into another form.
    #[must_use]
    pub fn map<U>(&self, form: impl Fn(T) -> U) -> WorkerTimes<U> {
        let pulls = self.pulls.map(|pulls| {
            let PullTimes { from, to, waited, reads, bytes } = pulls;
            PullTimes { from: form(from), to: form(to), waited, reads, bytes }
        });
        WorkerTimes {
            claimed: form(self.claimed),
            received: self.received.map(&form),
            code: self.code.map(|(from, to)| (form(from), form(to))),
            pulls,
            heard: form(self.heard),
        }
    }
}
