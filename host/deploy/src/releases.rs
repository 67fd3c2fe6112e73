//! Release history of an app: pure decisions, without I/O.

use frond_run::Role;
use serde::{Deserialize, Serialize};

use frond_root::{Digest, DigestWriter};

#[cfg(test)]
mod tests;

/// Identity of a version: the text of `frond.toml`, and the components.
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

    /// The identity's name, of 64 characters.
    pub(crate) fn id(&self) -> String {
        let mut digest = DigestWriter::default();
        for part in [Some(&self.manifest), Some(&self.leaf), Some(&self.merge), self.split.as_ref()] {
            digest.add_whole(part.map(ToString::to_string).unwrap_or_default().as_bytes());
        }
        digest.finish().to_string()
    }
}

/// Uploaded components, which override those of the folder.
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

    /// Sets or clears the upload in `role`.
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

    /// The uploaded components among them.
    pub(crate) fn uploads(&self) -> Uploads {
        let uploaded = |held: VersionComponent| held.uploaded.then_some(held.digest);
        Uploads { leaf: uploaded(self.leaf), merge: uploaded(self.merge), split: self.split.and_then(uploaded) }
    }
}

/// A version that was served: it once passed every check.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Release {
    pub(crate) number: u64,
    pub(crate) since_unix_ms: u64,
    /// The version that it replaced.
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

/// A version that has passed every check, and is about to serve.
#[derive(Clone, Debug)]
pub(crate) struct NewRelease {
    pub(crate) manifest: Digest,
    pub(crate) parts: VersionComponents,
    pub(crate) cases: String,
    pub(crate) canary: String,
}

/// Decision on the version that the folder and the uploads make together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Decision {
    /// The wanted version serves already.
    Serves,
    /// The wanted version was rolled back, and nothing has changed since.
    RolledBack,
    /// The wanted version is new and must be checked.
    Check,
}

/// Stored history of one app.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct ReleaseHistory {
    /// The full name of the app; the file's name contains only a part of it.
    pub(crate) app: String,
    next: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    current: Option<u64>,
    #[serde(default)]
    uploads: Uploads,
    /// The version of folder and uploads at the rollback: not served again until one of them
    /// changes.
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

    /// The components that override those of the folder.
    pub(crate) fn uploads(&self) -> Uploads {
        self.uploads
    }

    /// All stored versions, newest first.
    pub(crate) fn versions(&self) -> impl Iterator<Item = &Release> {
        self.versions.iter().rev()
    }

    /// The version that a rollback would serve.
    pub(crate) fn before(&self) -> Option<&Release> {
        self.find(self.current()?.before?)
    }

    /// Decides on `wanted`, the version that folder and uploads make now.
    pub(crate) fn decide(&self, wanted: &Identity) -> Decision {
        match self.current() {
            Some(current) if current.identity() == *wanted => Decision::Serves,
            _ if self.rolled_back.as_ref() == Some(wanted) => Decision::RolledBack,
            _ => Decision::Check,
        }
    }

    /// Makes `fresh` the serving version, with `uploads` in force, and drops all but `history`
    /// versions.
    /// A version that equals the current one keeps its number.
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

    /// Clears the rollback: folder and uploads make the serving version again.
    pub(crate) fn settle(&mut self) {
        self.rolled_back = None;
    }

    /// Rolls back to the previous version and its uploads.
    /// `wanted` is the version that the folder makes with those uploads; it stays unserved until it
    /// changes.
    pub(crate) fn roll_back(&mut self, wanted: Option<Identity>, now: u64) {
        let Some(before) = self.before() else { return };
        let number = before.number;
        let identity = before.identity();
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

    /// Drops the oldest versions, but never the serving one.
    fn forget(&mut self, history: usize) {
        while self.versions.len() > history.max(1) {
            let Some(oldest) = self.versions.iter().position(|one| Some(one.number) != self.current) else { return };
            self.versions.remove(oldest);
        }
    }
}
