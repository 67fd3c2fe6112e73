//! The contract's types as the host lowers and lifts them. `wit/world.wit` is what these must agree with; wasmtime checks
//! it at each load.
//!
//! What a guest returns is copied as it is lifted, and only then measured: wasmtime runs the guest's post-return before
//! it hands the result over, and from then on the memory that the result lay in is free, and may hold anything. A copy is
//! never larger than the guest's memory.

use bytes::Bytes;
use frond_root::{Failure, FailureKind};
use wasmtime::component::{ComponentType, Lift, Lower};

use crate::classify::clip;

/// The contract's package and version.
pub const VERSION: &str = "0.1.0";

#[derive(ComponentType, Lower, Clone, Copy)]
#[component(record)]
pub(crate) struct PartitionIn<'a> {
    pub(crate) key: &'a str,
    pub(crate) index: u32,
    pub(crate) data: &'a [u8],
}

#[derive(ComponentType, Lift)]
#[component(record)]
pub(crate) struct PartitionOut {
    key: String,
    #[expect(dead_code, reason = "the plan numbers the partitions itself")]
    index: u32,
    data: Vec<u8>,
}

impl PartitionOut {
    /// What it takes, in bytes.
    pub(crate) fn size(&self) -> u64 {
        (self.key.len() + self.data.len()) as u64
    }
}

#[derive(ComponentType, Lower, Clone, Copy)]
#[component(record)]
pub(crate) struct CoverageIn {
    pub(crate) planned: u64,
    pub(crate) covered: u64,
    pub(crate) complete: bool,
}

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

/// What `process`, `merge` and `finish` return.
pub(crate) type BytesOut = (Result<Vec<u8>, FailureOut>,);
/// What `split` returns.
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
