//! Content that is a range of whole numbers: leaves that take it piece by piece count its integers.

use bytes::Bytes;
use frond_root::{Content, Failure, Grain, Units};
use serde::{Deserialize, Serialize};

/// Content of a partition of a range.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Integers {
    start: i64,
    end: i64,
}

impl Integers {
    pub(super) fn new(start: i64, end: i64) -> Self {
        Self { start, end }
    }

    /// The range that these bytes are, written just as a range writes them.
    pub(super) fn read_from(bytes: &Bytes) -> Option<Self> {
        serde_json::from_slice::<Self>(bytes).ok().filter(|integers| integers.json() == *bytes)
    }

    fn json(&self) -> Bytes {
        let Self { start, end } = self;
        Bytes::from(format!("{{\"start\":{start},\"end\":{end}}}"))
    }
}

impl Content for Integers {
    fn size(&self) -> u64 {
        self.json().len() as u64
    }

    fn units(&self) -> Units {
        let count = if self.start < self.end { self.end.abs_diff(self.start) } else { 0 };
        Units { count, grain: Grain::Integer }
    }

    fn read(&self, offset: u64, len: usize) -> Result<Bytes, Failure> {
        self.json().read(offset, len)
    }

    fn whole(&self) -> Result<Bytes, Failure> {
        Ok(self.json())
    }

    fn place(&self) -> Option<String> {
        serde_json::to_string(self).ok()
    }
}
