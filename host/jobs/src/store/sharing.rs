//! Jobs and versions that servers share: which jobs a server can run, and the versions of apps that others lack.

use bytes::Bytes;

/// The jobs that an owner can run: those without a plan; those planned with a version that it has, or that the store has an
/// artifact of; and those whose time is over, to say so.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RunnableJobs {
    /// The apps.
    pub apps: Vec<String>,
    /// The versions that it has, of all apps.
    pub versions: Vec<String>,
    /// The versions that it cannot run although the store has their artifacts.
    pub unable: Vec<String>,
}

/// A version of an app, for servers that lack it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Artifact {
    /// What it is made of; opaque to the store.
    pub about: String,
    /// Its files, by their digests.
    pub blobs: Vec<(String, Bytes)>,
}
