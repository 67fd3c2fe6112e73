//! Constructors of [`Failure`] for `map_err`.

use crate::Failure;

impl Failure {
    /// Makes the failure of a query that is wrong for every partition:
    /// `.map_err(Failure::invalid_query)`.
    pub fn invalid_query(reason: impl ToString) -> Self {
        Self::InvalidQuery(reason.to_string())
    }

    /// Makes the failure of a partition with wrong content: `.map_err(Failure::invalid_partition)`.
    pub fn invalid_partition(reason: impl ToString) -> Self {
        Self::InvalidPartition(reason.to_string())
    }

    /// Makes a transient failure, after which a retry may succeed:
    /// `.map_err(Failure::unavailable)`.
    pub fn unavailable(reason: impl ToString) -> Self {
        Self::Unavailable(reason.to_string())
    }
}
