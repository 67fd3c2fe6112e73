//! What an app served, serves and may go back to: decisions only, nothing is read, run or written here.

use frond_run::Role;
use serde::{Deserialize, Serialize};

use super::digest::{Digest, DigestWriter};

#[cfg(test)]
mod tests;

/// What makes two versions the same: the text of `frond.toml`, and the components.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Identity {
    pub(crate) manifest: Digest,
    pub(crate) leaf: Digest,
    pub(crate) merge: Digest,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) split: Option<Digest>,
}

impl Identity {
    /// The component in a role.
    pub(crate) fn component(&self, role: Role) -> Option<Digest> {
        match role {
            Role::Leaf => Some(self.leaf),
            Role::Merge => Some(self.merge),
            Role::Split => self.split,
        }
    }

    /// A name for it, of 64 characters.
    pub(crate) fn id(&self) -> String {
        let mut digest = DigestWriter::default();
        for part in [Some(&self.manifest), Some(&self.leaf), Some(&self.merge), self.split.as_ref()] {
            digest.add_whole(part.map(ToString::to_string).unwrap_or_default().as_bytes());
        }
        digest.finish().to_string()
    }
}

/// Components that were uploaded, and take the place of those that the folder names.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Uploads {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) leaf: Option<Digest>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) merge: Option<Digest>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) split: Option<Digest>,
}

impl Uploads {
    pub(crate) fn get(&self, role: Role) -> Option<Digest> {
        match role {
            Role::Leaf => self.leaf,
            Role::Merge => self.merge,
            Role::Split => self.split,
        }
    }

    /// The same with another component, or none, in `role`.
    pub(crate) fn with(mut self, role: Role, digest: Option<Digest>) -> Self {
        *match role {
            Role::Leaf => &mut self.leaf,
            Role::Merge => &mut self.merge,
            Role::Split => &mut self.split,
        } = digest;
        self
    }
}

/// One component of a version.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct VersionComponent {
    pub(crate) digest: Digest,
    pub(crate) bytes: u64,
    pub(crate) uploaded: bool,
}

/// The components of a version.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct VersionComponents {
    pub(crate) leaf: VersionComponent,
    pub(crate) merge: VersionComponent,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) split: Option<VersionComponent>,
}

impl VersionComponents {
    pub(crate) fn get(&self, role: Role) -> Option<VersionComponent> {
        match role {
            Role::Leaf => Some(self.leaf),
            Role::Merge => Some(self.merge),
            Role::Split => self.split,
        }
    }

    /// Those of them that were uploaded.
    pub(crate) fn uploads(&self) -> Uploads {
        let uploaded = |held: VersionComponent| held.uploaded.then_some(held.digest);
        Uploads { leaf: uploaded(self.leaf), merge: uploaded(self.merge), split: self.split.and_then(uploaded) }
    }
}

/// A version that was served: it passed every check once.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Release {
    pub(crate) number: u64,
    pub(crate) since_unix_ms: u64,
    /// The version that it took the place of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) before: Option<u64>,
    pub(crate) manifest: Digest,
    pub(crate) cases: String,
    pub(crate) canary: String,
    pub(crate) parts: VersionComponents,
}

impl Release {
    pub(crate) fn identity(&self) -> Identity {
        let VersionComponents { leaf, merge, split } = self.parts;
        Identity {
            manifest: self.manifest,
            leaf: leaf.digest,
            merge: merge.digest,
            split: split.map(|held| held.digest),
        }
    }
}

/// A version that has passed every check, and is to be served.
#[derive(Clone, Debug)]
pub(crate) struct NewRelease {
    pub(crate) manifest: Digest,
    pub(crate) parts: VersionComponents,
    pub(crate) cases: String,
    pub(crate) canary: String,
}

/// What is to become of what a folder and the uploads make together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Decision {
    /// It serves already.
    Serves,
    /// It was rolled back, and nothing has changed since.
    RolledBack,
    /// It is new: check it.
    Check,
}

/// All that is to be remembered of one app.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct ReleaseHistory {
    /// The app's name: its file is named after a part of it only.
    pub(crate) app: String,
    next: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    current: Option<u64>,
    #[serde(default)]
    uploads: Uploads,
    /// What folder and uploads made when it was rolled back: not to be served again until one of them changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    rolled_back: Option<Identity>,
    /// Oldest first.
    #[serde(default)]
    versions: Vec<Release>,
}

impl ReleaseHistory {
    pub(crate) fn new(app: &str) -> Self {
        Self {
            app: app.to_owned(),
            next: 1,
            current: None,
            uploads: Uploads::default(),
            rolled_back: None,
            versions: Vec::new(),
        }
    }

    /// The version that serves.
    pub(crate) fn current(&self) -> Option<&Release> {
        self.find(self.current?)
    }

    fn find(&self, number: u64) -> Option<&Release> {
        self.versions.iter().find(|one| one.number == number)
    }

    /// The components that take the place of the folder's.
    pub(crate) fn uploads(&self) -> Uploads {
        self.uploads
    }

    /// Every version that is kept, newest first.
    pub(crate) fn versions(&self) -> impl Iterator<Item = &Release> {
        self.versions.iter().rev()
    }

    /// The version that a rollback would serve.
    pub(crate) fn before(&self) -> Option<&Release> {
        self.find(self.current()?.before?)
    }

    /// What is to become of `wanted`, which folder and uploads make now.
    pub(crate) fn decide(&self, wanted: &Identity) -> Decision {
        match self.current() {
            Some(current) if current.identity() == *wanted => Decision::Serves,
            _ if self.rolled_back.as_ref() == Some(wanted) => Decision::RolledBack,
            _ => Decision::Check,
        }
    }

    /// Makes `fresh` the version that serves, with `uploads` in force, and forgets all but `history` versions. One that is
    /// the same as the one before keeps its number.
    pub(crate) fn serve(&mut self, fresh: NewRelease, uploads: Uploads, now: u64, history: usize) {
        self.uploads = uploads;
        self.rolled_back = None;
        let NewRelease { manifest, parts, cases, canary } = fresh;
        let mut entry = Release {
            number: self.next,
            since_unix_ms: now,
            before: self.current().map(|one| one.number),
            manifest,
            cases,
            canary,
            parts,
        };
        if let Some(same) = self.current_mut().filter(|one| one.identity() == entry.identity()) {
            entry = Release { number: same.number, since_unix_ms: same.since_unix_ms, before: same.before, ..entry };
            *same = entry;
            return;
        }
        self.current = Some(entry.number);
        self.next += 1;
        self.versions.push(entry);
        self.forget(history);
    }

    /// What serves is what folder and uploads make again: nothing is held back any more.
    pub(crate) fn settle(&mut self) {
        self.rolled_back = None;
    }

    /// Serves the version before, with the uploads that it had. `wanted` is what the folder makes with those; it is not
    /// taken up until it changes.
    pub(crate) fn roll_back(&mut self, wanted: Option<Identity>, now: u64) {
        let Some(before) = self.before() else { return };
        let (number, identity) = (before.number, before.identity());
        self.uploads = before.parts.uploads();
        self.rolled_back = wanted.filter(|wanted| *wanted != identity);
        self.current = Some(number);
        if let Some(current) = self.current_mut() {
            current.since_unix_ms = now;
        }
    }

    /// Every component and every `frond.toml` that is still needed.
    pub(crate) fn needs(&self) -> impl Iterator<Item = Digest> {
        let Uploads { leaf, merge, split } = self.uploads;
        let of_version = |one: &Release| {
            let Identity { manifest, leaf, merge, split } = one.identity();
            [Some(manifest), Some(leaf), Some(merge), split]
        };
        self.versions.iter().flat_map(of_version).chain([leaf, merge, split]).flatten()
    }

    fn current_mut(&mut self) -> Option<&mut Release> {
        let number = self.current?;
        self.versions.iter_mut().find(|one| one.number == number)
    }

    /// Forgets the oldest, never the one that serves.
    fn forget(&mut self, history: usize) {
        while self.versions.len() > history.max(1) {
            let Some(oldest) = self.versions.iter().position(|one| Some(one.number) != self.current) else { return };
            self.versions.remove(oldest);
        }
    }
}
