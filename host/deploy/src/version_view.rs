//! A version of an app, as clients see it.

use serde::Serialize;
use utoipa::ToSchema;

use super::releases::{Release, VersionComponent};

/// A version of an app.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub struct VersionView {
    /// The version's number, from 1.
    pub number: u64,
    /// Time when the version began to serve, in Unix milliseconds.
    pub since_unix_ms: u64,
    /// The component that runs on partitions.
    pub leaf: Part,
    /// The component that merges partials.
    pub merge: Part,
    /// The component that splits queries; null if the app has none.
    pub split: Option<Part>,
    /// Results of the checks before the version served.
    pub checks: Checks,
}

/// One component of a version.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub struct Part {
    /// SHA-256 of the component, in hexadecimal.
    pub digest: String,
    /// Size in bytes.
    pub bytes: u64,
    /// Where the component came from.
    pub origin: Origin,
}

/// Source of a component.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// The app's folder.
    File,
    /// An upload.
    Upload,
}

/// Results of the checks before a version served.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub struct Checks {
    /// The app's cases: `12 passed`, or `none`.
    pub cases: String,
    /// The canary: `passed`, or why it was skipped, or what failed without blocking the change.
    pub canary: String,
}

/// A query from the app's cases.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub struct Example {
    /// The case's name.
    pub name: String,
    /// The query.
    pub query: String,
}

impl From<&Release> for VersionView {
    fn from(entry: &Release) -> Self {
        let part = |held: VersionComponent| Part {
            digest: held.digest.to_string(),
            bytes: held.bytes,
            origin: if held.uploaded { Origin::Upload } else { Origin::File },
        };
        Self {
            number: entry.number,
            since_unix_ms: entry.since_unix_ms,
            leaf: part(entry.parts.leaf),
            merge: part(entry.parts.merge),
            split: entry.parts.split.map(part),
            checks: Checks { cases: entry.cases.clone(), canary: entry.canary.clone() },
        }
    }
}
