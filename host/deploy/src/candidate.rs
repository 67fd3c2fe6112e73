//! A candidate for a new version: the text of `frond.toml` and the bytes of the components.
//! All are held in memory, so the checked bytes are the ones that will serve, even if the files
//! change.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use frond_app::{AppError, Component, Package};
use frond_run::Role;
use frond_run::load::from_file;

use super::error::{RecallError, Refusal, Stage, StateError};
use super::folder::FolderSnapshot;
use super::releases::{Identity, Release, Uploads, VersionComponent, VersionComponents};
use super::state::{ArtifactStore, Kind, State};
use frond_root::Digest;

/// The roles, in the order in which they are read.
pub(crate) const ROLES: [Role; 3] = [Role::Leaf, Role::Merge, Role::Split];

/// All parts of a possible version.
pub(crate) struct Candidate {
    pub(crate) package: Package,
    pub(crate) manifest: (Digest, Bytes),
    pub(crate) parts: VersionComponents,
    /// The components' bytes, by their paths in `package`.
    bytes: Vec<(PathBuf, Bytes)>,
    uploads: Uploads,
}

/// Source of an uploaded component: the upload in progress, or `None` for a stored one.
pub(crate) type UploadSource<'a> = Option<(Digest, &'a Bytes)>;

impl Candidate {
    /// Reads the candidate that the folder and `uploads` make. `given` is not stored yet.
    ///
    /// # Errors
    /// If something in the folder is missing or invalid.
    pub(crate) fn of(
        app: &str,
        snapshot: &FolderSnapshot,
        uploads: Uploads,
        given: UploadSource<'_>,
        artifacts: &ArtifactStore,
    ) -> Result<Self, Refusal> {
        let manifest = snapshot.manifest.clone().map_err(|why| Refusal::told(Stage::Validating, why))?;
        let read = |component: &Component, role| match uploads.get(role) {
            Some(digest) => uploaded(digest, given, artifacts).map(|bytes| (digest, bytes)),
            None => {
                let bytes = from_file(component).map_err(|error| invalid(&error))?;
                Ok((Digest::of(&bytes), bytes))
            }
        };
        Self::collect(app, &snapshot.dir, manifest, uploads, read)
    }

    /// Reads a version that was served before from the store.
    ///
    /// # Errors
    /// If a part of it is no longer stored.
    pub(crate) fn kept(app: &str, dir: &Path, entry: &Release, artifacts: &ArtifactStore) -> Result<Self, Refusal> {
        let lost = |error| Refusal::new(Stage::Validating, &error);
        let text = artifacts.load(Kind::Manifest, &entry.manifest).map_err(lost)?;
        let read = |_: &Component, role| {
            let held = entry.parts.get(role).ok_or_else(|| {
                Refusal::told(Stage::Validating, format!("the version {} has no {role} component", entry.number))
            })?;
            Ok((held.digest, artifacts.load(Kind::Component, &held.digest).map_err(lost)?))
        };
        Self::collect(app, dir, (entry.manifest, text), entry.parts.uploads(), read)
    }

    /// Builds a version that another server has packed; `find` returns the bytes of a digest.
    ///
    /// # Errors
    /// If bytes are missing, or the manifest is invalid.
    pub(crate) fn packed(
        app: &str,
        dir: &Path,
        manifest: (Digest, Bytes),
        parts: VersionComponents,
        find: &dyn Fn(&Digest) -> Result<Bytes, RecallError>,
    ) -> Result<Self, Refusal> {
        let read = |_: &Component, role| {
            let held = parts.get(role);
            let held = held.ok_or_else(|| Refusal::told(Stage::Validating, format!("it has no {role} component")))?;
            let bytes = find(&held.digest).map_err(|error| Refusal::new(Stage::Validating, &error))?;
            Ok((held.digest, bytes))
        };
        Self::collect(app, dir, manifest, parts.uploads(), read)
    }

    fn collect(
        app: &str,
        dir: &Path,
        manifest: (Digest, Bytes),
        uploads: Uploads,
        read: impl Fn(&Component, Role) -> Result<(Digest, Bytes), Refusal>,
    ) -> Result<Self, Refusal> {
        let mut package =
            Package::read(&dir.join("frond.toml"), manifest.1.to_vec()).map_err(|error| invalid(&error))?;
        // An app is named after its folder, which exists even while its frond.toml cannot be read.
        app.clone_into(&mut package.name);
        package.clone().app().map_err(|error| invalid(&error))?;
        let mut held = [None; 3];
        let mut all = Vec::new();
        for (role, held) in ROLES.into_iter().zip(&mut held) {
            let Some(component) = component(&mut package, role) else {
                if uploads.get(role).is_some() {
                    return Err(needless(role, &dir.join("frond.toml")));
                }
                continue;
            };
            let uploaded = uploads.get(role).is_some();
            // A file in two roles is read once: a second read could return other bytes.
            let same = all.iter().find(|(path, _): &&(PathBuf, Bytes)| !uploaded && *path == component.path);
            let (digest, bytes) = match same {
                Some((_, bytes)) => (Digest::of(bytes), bytes.clone()),
                None => read(component, role)?,
            };
            if uploaded {
                // Only a name for error messages: there is no such file.
                component.path = PathBuf::from(format!("uploaded {role}"));
            }
            *held = Some(VersionComponent { digest, bytes: bytes.len() as u64, uploaded });
            all.push((component.path.clone(), bytes));
        }
        let [Some(leaf), Some(merge), split] = held else {
            return Err(Refusal::told(Stage::Validating, "an app has at least a leaf and a merge".to_owned()));
        };
        Ok(Self { package, manifest, parts: VersionComponents { leaf, merge, split }, bytes: all, uploads })
    }

    /// The identity by which versions are compared.
    pub(crate) fn identity(&self) -> Identity {
        let VersionComponents { leaf, merge, split } = self.parts;
        let split = split.map(|held| held.digest);
        Identity { manifest: self.manifest.0, leaf: leaf.digest, merge: merge.digest, split }
    }

    /// The uploads that are part of it.
    pub(crate) fn uploads(&self) -> Uploads {
        self.uploads
    }

    /// Returns the bytes of a component of its package.
    ///
    /// # Errors
    /// If the component is of another package.
    pub(crate) fn fetch(&self, component: &Component) -> Result<Bytes, AppError> {
        let found = self.bytes.iter().find(|(path, _)| *path == component.path);
        found.map(|(_, bytes)| bytes.clone()).ok_or_else(|| component.misfit("was not read"))
    }

    /// Stores the manifest and the components.
    ///
    /// # Errors
    /// If they cannot be written.
    pub(crate) fn store(&self, state: &mut State) -> Result<(), StateError> {
        state.store(Kind::Manifest, &self.manifest.0, &self.manifest.1)?;
        for (_, bytes) in &self.bytes {
            state.store(Kind::Component, &Digest::of(bytes), bytes)?;
        }
        Ok(())
    }
}

fn component(package: &mut Package, role: Role) -> Option<&mut Component> {
    match role {
        Role::Leaf => package.leaf.as_mut(),
        Role::Merge => package.merge.as_mut(),
        Role::Split => package.split.as_mut(),
    }
}

fn uploaded(digest: Digest, given: UploadSource<'_>, artifacts: &ArtifactStore) -> Result<Bytes, Refusal> {
    match given {
        Some((same, bytes)) if same == digest => Ok(bytes.clone()),
        _ => artifacts.load(Kind::Component, &digest).map_err(|error| Refusal::new(Stage::Validating, &error)),
    }
}

fn invalid(error: &AppError) -> Refusal {
    Refusal::new(Stage::Validating, error)
}

/// Refuses an upload in a role that the app does not have.
fn needless(role: Role, file: &Path) -> Refusal {
    let text = format!(
        "{}: the app has no {role} component, so an uploaded one would never run\n\
         (set source.kind = \"split\" and add a [split] section to its frond.toml, or delete the upload)",
        file.display()
    );
    Refusal::told(Stage::Validating, text)
}
