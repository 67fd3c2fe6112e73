//! Short ways to say why a guest could not do its work.

use crate::Failure;

impl Failure {
    /// The query is wrong whatever the partition: `.map_err(Failure::invalid_query)`.
    pub fn invalid_query(reason: impl ToString) -> Self {
        Self::InvalidQuery(reason.to_string())
    }

    /// This partition's content is wrong: `.map_err(Failure::invalid_partition)`.
    pub fn invalid_partition(reason: impl ToString) -> Self {
        Self::InvalidPartition(reason.to_string())
    }

    /// Something passing went wrong, and another try may do: `.map_err(Failure::unavailable)`.
    pub fn unavailable(reason: impl ToString) -> Self {
        Self::Unavailable(reason.to_string())
    }
}
