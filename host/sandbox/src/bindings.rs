//! Types of the plugin contract as the host lowers and lifts them. They must agree with
//! `wit/world.wit`; wasmtime checks it at each load.
//!
//! A guest's result is copied as it is lifted, and measured only afterwards. wasmtime runs the
//! guest's post-return before it hands the result over; from then on the memory of the result is
//! free and may hold anything. A copy is never larger than the guest's memory.

use std::ops::Range;

use bytes::Bytes;
use frond_root::{Failure, FailureKind, Grain};
use wasmtime::component::{ComponentType, Lift, Lower};

use crate::escape::clip;

/// Version of the contract's package.
pub const VERSION: &str = "0.1.1";

/// Versions of the contract that components may be built against: each only adds to the one before.
pub(crate) const VERSIONS: [&str; 2] = [VERSION, "0.1.0"];

/// Unit of pieces as `pieces.unit` returns it.
#[derive(ComponentType, Lower, Clone, Copy)]
#[component(enum)]
#[repr(u8)]
pub(crate) enum PieceUnit {
    #[component(name = "bytes")]
    Bytes,
    #[component(name = "integers")]
    Integers,
}

impl From<Grain> for PieceUnit {
    fn from(grain: Grain) -> Self {
        match grain {
            Grain::Integer => Self::Integers,
            Grain::Byte | Grain::Whole => Self::Bytes,
        }
    }
}

/// Piece as `pieces.next` returns it.
#[derive(ComponentType, Lower, Clone, Copy)]
#[component(record)]
pub(crate) struct PieceIn {
    begin: u64,
    end: u64,
}

impl From<Range<u64>> for PieceIn {
    fn from(piece: Range<u64>) -> Self {
        Self { begin: piece.start, end: piece.end }
    }
}

/// Partition as a leaf gets it.
#[derive(ComponentType, Lower, Clone, Copy)]
#[component(record)]
pub(crate) struct PartitionIn<'a> {
    pub(crate) key: &'a str,
    pub(crate) index: u32,
    pub(crate) data: &'a [u8],
}

/// Partition as a split returns it.
#[derive(ComponentType, Lift)]
#[component(record)]
pub(crate) struct PartitionOut {
    key: String,
    #[expect(dead_code, reason = "the plan numbers the partitions itself")]
    index: u32,
    data: Vec<u8>,
}

impl PartitionOut {
    /// Returns the size of key and data in bytes.
    pub(crate) fn size(&self) -> u64 {
        (self.key.len() + self.data.len()) as u64
    }
}

/// Coverage as `finish` gets it.
#[derive(ComponentType, Lower, Clone, Copy)]
#[component(record)]
pub(crate) struct CoverageIn {
    pub(crate) planned: u64,
    pub(crate) covered: u64,
    pub(crate) complete: bool,
}

/// Failure as a guest returns it.
#[derive(ComponentType, Lift)]
#[component(variant)]
pub(crate) enum FailureOut {
    #[component(name = "invalid-query")]
    InvalidQuery(String),
    #[component(name = "invalid-partition")]
    InvalidPartition(String),
    #[component(name = "unavailable")]
    Unavailable(String),
}

/// Result of `process`, `merge` and `finish`.
pub(crate) type BytesOut = (Result<Vec<u8>, FailureOut>,);
/// Result of `split`.
pub(crate) type PartitionsOut = (Result<Vec<PartitionOut>, FailureOut>,);

impl From<PartitionOut> for (String, Bytes) {
    fn from(out: PartitionOut) -> Self {
        (clip(&out.key), Bytes::from(out.data))
    }
}

impl From<FailureOut> for Failure {
    fn from(out: FailureOut) -> Self {
        let (kind, text) = match out {
            FailureOut::InvalidQuery(text) => (FailureKind::InvalidQuery, text),
            FailureOut::InvalidPartition(text) => (FailureKind::InvalidPartition, text),
            FailureOut::Unavailable(text) => (FailureKind::Unavailable, text),
        };
        Self::new(kind, clip(&text))
    }
}
