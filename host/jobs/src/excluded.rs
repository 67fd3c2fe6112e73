//! Versions that this process cannot run although their artifacts are in the store: their jobs are left to others.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How long a version is left to others: the app may change here, and the version can then be run.
const FOR: Duration = Duration::from_secs(30);
/// The most versions that are remembered.
const MOST: usize = 1000;

/// The versions, shared by a processor and its jobs.
#[derive(Clone, Default)]
pub(crate) struct ExcludedVersions(Arc<Mutex<BTreeMap<String, Instant>>>);

impl ExcludedVersions {
    /// Leaves a version to others for a while.
    pub(crate) fn add(&self, version: &str) {
        let mut versions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if versions.len() < MOST {
            versions.insert(version.to_owned(), Instant::now() + FOR);
        }
    }

    /// The versions that are left to others now.
    pub(crate) fn versions(&self) -> Vec<String> {
        let mut versions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
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
        let unable = ExcludedVersions::default();
        unable.add("v1");
        assert_eq!(unable.versions(), ["v1"]);
        tokio::time::advance(FOR).await;
        assert!(unable.versions().is_empty());
    }
}
