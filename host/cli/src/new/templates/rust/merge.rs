//! The merge: folds partials into one, and turns the last one into the answer.

use frond_plugin::{Coverage, Failure};

use crate::{Lines, Query};

frond_plugin::merger!(merge, finish);

/// Adds counts. Partials arrive in any order, and a merged partial may be merged again.
pub fn merge(_: Query, partials: Vec<Lines>) -> Result<Lines, Failure> {
    Ok(Lines { count: partials.iter().map(|one| one.count).sum() })
}

/// Returns the sum as the answer; without any partial it is 0.
pub fn finish(_: Query, merged: Option<Lines>, _: Coverage) -> Result<Lines, Failure> {
    Ok(merged.unwrap_or_default())
}
