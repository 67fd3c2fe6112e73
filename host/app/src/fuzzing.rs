//! What `host/fuzz` does with any bytes, and the tests here with bytes that are almost valid: nothing that stands in an
//! app's `frond.toml` or in a query brings a process down.

use std::path::Path;

use frond_root::Plan;

use crate::package::Package;
use crate::source::caller;

/// The most bytes of a partition.
const LIMIT: u64 = 1 << 16;

/// Bytes as a `frond.toml`.
pub fn manifest(bytes: &[u8]) {
    let package = Package::read(Path::new("app/frond.toml"), bytes.to_vec());
    if let Err(error) = package.and_then(Package::app) {
        assert!(!error.is_query(), "an app that is wrong is not the query's fault");
        assert!(!error.to_string().is_empty());
    }
}

/// Bytes as a query that brings its partitions along.
pub fn partitions(bytes: &[u8]) {
    match caller::partitions(bytes, LIMIT) {
        Ok((query, partitions)) => {
            assert!(std::str::from_utf8(&query).is_ok());
            assert!(partitions.iter().all(|one| one.content.size() <= LIMIT), "above the limit");
            // Two of a name are an error of the plan.
            let _ = Plan::new(partitions);
        }
        Err(error) => assert!(error.is_query(), "{error}"),
    }
}

#[cfg(test)]
mod tests;
