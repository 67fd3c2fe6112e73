//! Versions that this process cannot run although the store has their artifacts: their jobs are
//! left to other processes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Time for which a version is excluded: the app may change here, and then the version can run.
const FOR: Duration = Duration::from_secs(30);
/// Most versions that are remembered.
const MOST: usize = 1000;

/// Excluded versions, shared by a processor and its jobs.
#[derive(Clone, Default)]
pub(crate) struct ExcludedVersions(Arc<Mutex<BTreeMap<String, Instant>>>);

impl ExcludedVersions {
    /// Excludes a version for a while.
    pub(crate) fn add(&self, version: &str) {
        let mut versions = self.0.lock();
        if versions.len() < MOST {
            versions.insert(version.to_owned(), Instant::now() + FOR);
        }
    }

    /// Returns the currently excluded versions.
    pub(crate) fn versions(&self) -> Vec<String> {
        let mut versions = self.0.lock();
        let now = Instant::now();
        versions.retain(|_, until| *until > now);
        versions.keys().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_version_is_tried_again_after_a_while() {
        let excluded = ExcludedVersions::default();
        excluded.add("v1");
        assert_eq!(excluded.versions(), ["v1"]);
        tokio::time::advance(FOR).await;
        assert!(excluded.versions().is_empty());
    }
}
