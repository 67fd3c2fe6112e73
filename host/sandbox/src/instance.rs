//! Instances of leaves: fresh ones, and warm ones that serve further partitions of their query.

use std::collections::VecDeque;

use bytes::Bytes;
use frond_root::Failure;
use frond_root::failure::MAX_BEFORE;

use crate::call::{Call, CallResult};
use crate::guest::Guest;
use crate::permits::PoolPermit;

/// Instance of a leaf with its place in the pool, before or between the calls of one query.
pub(crate) struct LeafInstance {
    /// `None` before the first call.
    guest: Option<Guest>,
    /// Indexes of the last partitions that it served.
    before: VecDeque<u32>,
    /// Dropped after the guest.
    place: PoolPermit,
}

impl LeafInstance {
    /// Makes an instance to come in this place.
    pub(crate) fn new(place: PoolPermit) -> Self {
        Self { guest: None, before: VecDeque::new(), place }
    }

    /// Returns the guest, made if this is its first call.
    pub(crate) fn guest(&mut self, call: &Call<'_>) -> &mut Guest {
        self.guest.get_or_insert_with(|| Guest::new(call, &self.place))
    }

    /// Returns the number of calls before the latest one.
    pub(crate) fn earlier(&self) -> u32 {
        self.guest.as_ref().map_or(0, Guest::earlier)
    }

    /// Returns the size of its place in the pool, in memories.
    pub(crate) fn size(&self) -> u32 {
        self.place.size()
    }

    /// Adds the earlier calls to a failure.
    pub(crate) fn explain(&self, called: CallResult<Bytes>) -> CallResult<Bytes> {
        let after = |failure: Failure| failure.after(&self.before.iter().copied().collect::<Vec<u32>>());
        let result = called.result.map_err(|failure| Box::new(after(*failure)));
        CallResult { result, ..called }
    }

    /// Records an ended call on this partition. Returns true if the instance may serve another one:
    /// its guest returned, even if it returned a failure, and has room.
    pub(crate) fn serve(&mut self, index: u32, called: &CallResult<Bytes>) -> bool {
        if self.before.len() == MAX_BEFORE {
            self.before.pop_front();
        }
        self.before.push_back(index);
        called.returned && self.guest.as_mut().is_some_and(Guest::is_reusable)
    }
}
