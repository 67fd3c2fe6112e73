//! A version of an app: the target of queries, until the next version replaces it.

use frond_app::App;
use frond_run::{Role, Wired};
use serde::Serialize;
use utoipa::ToSchema;

use super::check::LoadedCandidate;
use super::digest::DigestWriter;
use super::releases::{Identity, Release, VersionComponent};

/// A version that serves, or that a running query still uses. A version is dropped with its last
/// query.
pub struct Version {
    /// The version's number, from 1; each change of the app increments it.
    pub number: u64,
    /// The loaded app, ready for queries.
    pub wired: Wired,
    /// The version as clients see it.
    pub view: VersionView,
    /// Problems that do not keep it from serving.
    pub warnings: Vec<String>,
    /// The queries of the cases that query the whole app.
    pub examples: Vec<Example>,
    pub(crate) identity: Identity,
    id: String,
}

/// The id of a version: a digest of everything that affects answers, and the same on every server.
pub(crate) fn id_of(app: &App, identity: &Identity) -> String {
    let mut digest = DigestWriter::default();
    digest.add_whole(&app.fingerprint());
    let Identity { manifest: _, leaf, merge, split } = identity;
    for part in [Some(leaf), Some(merge), split.as_ref()] {
        digest.add_whole(part.map(ToString::to_string).unwrap_or_default().as_bytes());
    }
    digest.finish().to_string()
}

impl Version {
    /// A version from a loaded candidate.
    pub(crate) fn new(loaded: LoadedCandidate, entry: &Release) -> Self {
        let LoadedCandidate { wired, warnings, examples, .. } = loaded;
        let identity = entry.identity();
        let number = entry.number;
        let view = VersionView::from(entry);
        let id = id_of(&wired.app, &identity);
        Self { number, wired, view, warnings, examples, identity, id }
    }

    /// Puts the version under another history entry.
    pub(crate) fn again(&self, entry: &Release) -> Self {
        Self {
            number: entry.number,
            wired: self.wired.clone(),
            view: VersionView::from(entry),
            warnings: self.warnings.clone(),
            examples: self.examples.clone(),
            identity: entry.identity(),
            id: self.id.clone(),
        }
    }

    /// Replaces the id by one that another server has assigned.
    pub(crate) fn called(self, id: &str) -> Self {
        Self { id: id.to_owned(), ..self }
    }

    /// The id among all versions of the app, on every server.
    /// The id depends only on the components and on the settings that affect answers.
    #[must_use]
    pub fn id(&self) -> String {
        self.id.clone()
    }

    /// The SHA-256 of the component in a role, in hexadecimal.
    #[must_use]
    pub fn digest(&self, role: Role) -> Option<String> {
        let VersionView { leaf, merge, split, .. } = &self.view;
        let part = match role {
            Role::Leaf => Some(leaf),
            Role::Merge => Some(merge),
            Role::Split => split.as_ref(),
        };
        part.map(|part| part.digest.clone())
    }
}

impl std::fmt::Debug for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Version").field("number", &self.number).field("view", &self.view).finish_non_exhaustive()
    }
}

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
