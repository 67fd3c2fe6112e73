//! Newtypes for ids and keys.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// Id of one query: sortable by start time, unique across hosts.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct QueryId(u128);

impl QueryId {
    /// A fresh id: 48 bits of Unix milliseconds, then 80 random bits.
    #[must_use]
    pub fn new() -> Self {
        let millis = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
        let random = RandomState::new();
        let bits = (u128::from(random.hash_one(0_u8)) << 64) | u128::from(random.hash_one(1_u8));
        Self((millis << 80) | (bits >> 48))
    }
}

impl Default for QueryId {
    fn default() -> Self {
        Self::new()
    }
}

/// Makes an id from its bits, for an id from elsewhere or a fixed one in tests.
impl From<u128> for QueryId {
    fn from(bits: u128) -> Self {
        Self(bits)
    }
}

impl fmt::Display for QueryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for QueryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for QueryId {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for QueryId {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        u128::from_str_radix(&text, 16).map(Self).map_err(serde::de::Error::custom)
    }
}

/// Stable name of a partition, unique within its query: a region, a file, a byte range of a file.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PartitionKey(Arc<str>);

impl PartitionKey {
    /// The key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// True for a key that contains a NUL character, which PostgreSQL does not keep.
    #[must_use]
    pub fn has_nul(&self) -> bool {
        self.0.contains('\0')
    }
}

impl<T: Into<Arc<str>>> From<T> for PartitionKey {
    fn from(text: T) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for PartitionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for PartitionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}
