//! Checks of partitions before they become a plan.

use std::collections::HashSet;

use bytes::Bytes;
use frond_root::plan::{MAX_PARTITIONS, light_enough};
use frond_root::quote::clipped;
use frond_root::{Error, Partition, PartitionKey};

use super::memory::of_bytes;
use crate::error::Complaint;
use crate::size::show_size;

/// Checks partitions made by a caller or a split: each a key, a content and an optional weight.
pub(super) fn checked(
    pieces: impl Iterator<Item = (String, Bytes, Option<u64>)>,
    limit: u64,
) -> Result<Vec<Partition>, Complaint> {
    let mut partitions = Vec::new();
    let mut keys = HashSet::new();
    for (at, (key, data, weight)) in pieces.enumerate() {
        let key = PartitionKey::from(key);
        let size = data.len();
        if key.as_str().is_empty() {
            return Err(Complaint::new(format!("the partition at index {at} has an empty key"), ""));
        }
        if key.has_nul() {
            return Err(split_hint(&Error::NulInKey(key)));
        }
        if size as u64 > limit {
            let quoted = clipped(key.as_str());
            let text = format!("the partition `{quoted}` has {size} bytes, more than the {} allowed", show_size(limit));
            return Err(Complaint::new(text, "make it smaller, or raise limits.leaf.partition"));
        }
        if weight == Some(0) {
            let text = format!("the partition `{}` weighs 0, and could be missing unnoticed", clipped(key.as_str()));
            return Err(Complaint::new(
                text,
                "write a weight of 1 or more, or leave the weight out to weigh the partition by its bytes",
            ));
        }
        light_enough(&key, weight.unwrap_or(1)).map_err(|error| split_hint(&error))?;
        if !keys.insert(key.clone()) {
            return Err(split_hint(&Error::DuplicateKey(key)));
        }
        let partition = Partition::new(key, data.clone());
        let partition = Partition { content: of_bytes(data), ..partition };
        partitions.push(match weight {
            Some(weight) => partition.weighing(weight),
            None => partition,
        });
        few_enough(partitions.len(), MAX_PARTITIONS).map_err(|error| split_hint(&error))?;
    }
    Ok(partitions)
}

/// Refuses early a plan that the root would refuse.
///
/// # Errors
/// The root's error for too many partitions.
pub(super) fn few_enough(count: usize, most: usize) -> Result<(), Error> {
    if count > most {
        return Err(Error::TooManyPartitions { count, limit: most });
    }
    Ok(())
}

/// Converts the root's error to a complaint, with the hint separate.
pub(super) fn split_hint(error: &Error) -> Complaint {
    let text = error.to_string();
    match text.split_once("\n(") {
        Some((text, hint)) => Complaint::new(text, hint.strip_suffix(')').unwrap_or(hint)),
        None => Complaint::new(text, ""),
    }
}
