//! Versions that no longer serve, for work that began with them, as long as they are stored.

use std::path::Path;
use std::sync::Arc;

use frond_app::Package;

use super::candidate::Candidate;
use super::check::Checker;
use super::error::{RecallError, Refusal};
use super::load::Load;
use super::releases::Release;
use super::shared::Shared;
use super::state::{ArtifactStore, Kind};
use super::version::{self, Version};

/// Returns the version of `app` with this id; concurrent users share it.
/// The version is not checked again: it passed its checks when it first served. Blocks while it is
/// loaded.
pub(crate) fn recall(shared: &Shared, app: &str, dir: &Path, id: &str) -> Result<Arc<Version>, RecallError> {
    shared.recalled.get(app, id, || {
        let artifacts = ArtifactStore::at(&shared.settings.state);
        let history = artifacts.history(app).map_err(RecallError::Unread)?;
        let is_meant = |one: &&Release| {
            // Jobs of an earlier Frond name versions by the text of the manifest.
            one.identity().id() == id || id_of(app, dir, one, &artifacts).as_deref() == Some(id)
        };
        let entry = history.as_ref().and_then(|history| history.versions().find(is_meant));
        let entry =
            entry.ok_or_else(|| RecallError::NotKept { app: app.to_owned(), history: shared.settings.history })?;
        let refused = |why: Refusal| RecallError::Refused { number: entry.number, why: why.text };
        let candidate = Candidate::kept(app, dir, entry, &artifacts).map_err(refused)?;
        Ok(load(shared, &candidate, entry)?.called(id))
    })
}

/// The id of a stored version; `None` if its manifest cannot be read.
pub(crate) fn id_of(app: &str, dir: &Path, entry: &Release, artifacts: &ArtifactStore) -> Option<String> {
    let text = artifacts.load(Kind::Manifest, &entry.manifest).ok()?;
    let mut package = Package::read(&dir.join("frond.toml"), text.to_vec()).ok()?;
    app.clone_into(&mut package.name);
    Some(version::id_of(&package.app().ok()?, &entry.identity()))
}

/// Loads a candidate that passed its checks when it first served.
pub(crate) fn load(shared: &Shared, candidate: &Candidate, entry: &Release) -> Result<Version, RecallError> {
    let checker = Checker {
        host: &shared.host,
        case_time: shared.settings.case_time,
        remembered: None,
        serving: None,
        load: &Load::default(),
        tell: &|_, _| {},
    };
    let refused = |why: Refusal| RecallError::Refused { number: entry.number, why: why.text };
    Ok(checker.load(candidate).map_err(refused)?.into_version(entry))
}
