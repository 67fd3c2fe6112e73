//! Jobs and versions that servers share: filters of runnable jobs, and artifacts of apps.

use bytes::Bytes;

/// Filter of the jobs that an owner can run: jobs without a plan; jobs planned with a version that
/// the owner has or the store has an artifact of; and jobs whose timeout is over, so that the owner
/// can end them.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RunnableJobs {
    /// Names of the owner's apps.
    pub apps: Vec<String>,
    /// Versions that the owner has, of all its apps.
    pub versions: Vec<String>,
    /// Versions that the owner cannot run although the store has their artifacts.
    pub unable: Vec<String>,
}

/// A version of an app, for servers that lack it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Artifact {
    /// Description of the version; opaque to the store.
    pub about: String,
    /// Files of the version, by digest.
    pub blobs: Vec<(String, Bytes)>,
}
