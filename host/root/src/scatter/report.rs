//! Reports of runners to the query.

use std::sync::Arc;

use bytes::Bytes;
use tokio::time::Instant;

use crate::share::{Part, Stretch};
use crate::work::{AttemptId, Outcome};

/// Report of a runner to the query.
#[derive(Debug)]
pub enum Report {
    /// A leaf began.
    Started {
        /// The attempt.
        id: AttemptId,
        /// Slot that the leaf runs on.
        slot: u32,
        /// Start time.
        at: Instant,
        /// Units that the attempt has, unless it has all of its partition.
        stretch: Option<Stretch>,
        /// Number of the attempt whose share was cut for this one.
        cut_from: Option<u32>,
        /// Number of the attempt that it copies.
        copy_of: Option<u32>,
        /// Name of the worker that runs it; `None` for this process.
        worker: Option<Arc<str>>,
    },
    /// A leaf ended.
    Ended {
        /// The attempt.
        id: AttemptId,
        /// Slot that the leaf ran on.
        slot: u32,
        /// End time.
        at: Instant,
        /// Outcome of the attempt.
        outcome: Outcome,
        /// Part of the partition that the attempt had, if its leaf takes pieces.
        part: Option<Part>,
    },
}

impl Report {
    pub(super) fn at(&self) -> Instant {
        let (Self::Started { at, .. } | Self::Ended { at, .. }) = self;
        *at
    }

    /// Bytes of the report's partial.
    pub(super) fn bytes(&self) -> u64 {
        match self {
            Self::Ended { outcome, .. } => outcome.result.as_ref().map_or(0, Bytes::len) as u64,
            Self::Started { .. } => 0,
        }
    }
}
