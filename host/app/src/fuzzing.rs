//! Entry points for the fuzz targets in `host/fuzz` and for the tests here with almost valid bytes:
//! no `frond.toml` and no query may crash a process.

use std::path::Path;

use frond_root::Plan;

use crate::package::Package;
use crate::source::caller;

/// Largest partition, in bytes.
const LIMIT: u64 = 1 << 16;

/// Reads arbitrary bytes as a `frond.toml`.
pub fn manifest(bytes: &[u8]) {
    let package = Package::read(Path::new("app/frond.toml"), bytes.to_vec());
    if let Err(error) = package.and_then(Package::app) {
        assert!(!error.is_query(), "an app that is wrong is not the query's fault");
        assert!(!error.to_string().is_empty());
    }
}

/// Reads arbitrary bytes as a query that contains its partitions.
pub fn partitions(bytes: &[u8]) {
    match caller::partitions(bytes, LIMIT) {
        Ok((query, partitions)) => {
            assert!(std::str::from_utf8(&query).is_ok());
            assert!(partitions.iter().all(|one| one.content.size() <= LIMIT), "above the limit");
            // The plan refuses duplicate keys.
            let _ = Plan::new(partitions);
        }
        Err(error) => assert!(error.is_query(), "{error}"),
    }
}

#[cfg(test)]
mod tests;
