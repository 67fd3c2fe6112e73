//! The merge: folds partials into one, and makes the answer of the last one.

use frond_plugin::{Coverage, Failure};

use crate::{Lines, Query};

frond_plugin::merger!(merge, finish);

/// Adds counts up. Partials arrive in any order, and what is merged may be merged again.
pub fn merge(_: Query, partials: Vec<Lines>) -> Result<Lines, Failure> {
    Ok(Lines { count: partials.iter().map(|one| one.count).sum() })
}

/// The answer is the sum; without any partial, none.
pub fn finish(_: Query, merged: Option<Lines>, _: Coverage) -> Result<Lines, Failure> {
    Ok(merged.unwrap_or_default())
}
