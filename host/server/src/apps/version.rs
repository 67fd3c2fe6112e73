//! A version of an app: what queries are asked of, until the next one takes its place.

use frond_app::App;
use frond_run::{Role, Wired};
use serde::Serialize;
use utoipa::ToSchema;

use super::check::LoadedCandidate;
use super::digest::DigestWriter;
use super::releases::{Identity, Release, VersionComponent};

/// A version that serves, or served when a query took it. It goes when the last query on it ends.
pub struct Version {
    /// Its number, from 1: each change of the app counts.
    pub number: u64,
    /// What queries are asked of.
    pub wired: Wired,
    /// What is known of it beside.
    pub view: VersionView,
    /// What works less well than it should.
    pub warnings: Vec<String>,
    /// The queries of cases that ask the whole app.
    pub examples: Vec<Example>,
    pub(crate) identity: Identity,
    id: String,
}

/// The id of a version: a digest of all that changes answers, wherever the app is served.
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
    /// A version that has been loaded.
    pub(crate) fn new(loaded: LoadedCandidate, entry: &Release) -> Self {
        let LoadedCandidate { wired, warnings, examples, .. } = loaded;
        let identity = entry.identity();
        let number = entry.number;
        let view = VersionView::from(entry);
        let id = id_of(&wired.app, &identity);
        Self { number, wired, view, warnings, examples, identity, id }
    }

    /// The same components and the same manifest under another entry.
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

    /// The same by an id that another server has given it.
    pub(crate) fn called(self, id: &str) -> Self {
        Self { id: id.to_owned(), ..self }
    }

    /// Its id among all versions of its app, wherever that is served: the same for the same components and the same
    /// settings, whatever else the `frond.toml` says.
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

/// A version as clients see it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub struct VersionView {
    /// Its number, from 1.
    pub number: u64,
    /// When it began to serve, in Unix milliseconds.
    pub since_unix_ms: u64,
    /// What runs on partitions.
    pub leaf: Part,
    /// What folds partials.
    pub merge: Part,
    /// What cuts queries, if anything does.
    pub split: Option<Part>,
    /// How it did before it served.
    pub checks: Checks,
}

/// One component of a version.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub struct Part {
    /// Its SHA-256, in hexadecimal.
    pub digest: String,
    /// Its size.
    pub bytes: u64,
    /// Where it came from.
    pub origin: Origin,
}

/// Where a component came from.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// The app's folder names it.
    File,
    /// It was uploaded.
    Upload,
}

/// How a version did before it served.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub struct Checks {
    /// The app's cases: `12 passed`, or `none`.
    pub cases: String,
    /// One partition: `passed`, or why it was not asked, or what else came.
    pub canary: String,
}

/// A query that the app's cases ask.
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
