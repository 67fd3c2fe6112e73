//! A version of an app: the target of queries, until the next version replaces it.

use frond_app::App;
use frond_run::{Role, Wired};

use super::releases::{Identity, Release};
use super::version_view::{Example, VersionView};
use frond_root::DigestWriter;

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
    /// A version of the loaded app, under its history entry.
    pub(crate) fn new(wired: Wired, warnings: Vec<String>, examples: Vec<Example>, entry: &Release) -> Self {
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
