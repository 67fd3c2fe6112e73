//! Packs versions for other servers, which read them from a shared store.

use std::sync::Arc;

use bytes::Bytes;
use frond_app::load::MAX_MANIFEST;
use frond_jobs::store::Artifact;
use serde::{Deserialize, Serialize};

use super::candidate::Candidate;
use super::clock::unix_ms;
use super::error::{RecallError, Refusal};
use super::recall::load;
use super::releases::{Release, VersionComponents};
use super::shared::Shared;
use super::state::{ArtifactStore, Kind};
use super::version::Version;
use frond_root::Digest;

/// Format version of packs. Other formats are refused.
const FORMAT: u32 = 1;

/// Description of a packed version.
#[derive(Serialize, Deserialize)]
struct About {
    format: u32,
    number: u64,
    manifest: Digest,
    parts: VersionComponents,
}

/// Packs a version from the store.
pub(crate) fn pack(shared: &Shared, version: &Version) -> Result<Artifact, RecallError> {
    let app = &version.wired.app.name;
    let artifacts = ArtifactStore::at(&shared.settings.state);
    let history = artifacts.history(app).map_err(RecallError::Unread)?;
    let is_it = |entry: &&Release| entry.identity() == version.identity;
    let entry = history.as_ref().and_then(|history| history.versions().find(is_it));
    let entry = entry.ok_or_else(|| RecallError::NotKept { app: app.clone(), history: shared.settings.history })?;
    let VersionComponents { leaf, merge, split } = entry.parts;
    let components = [Some(leaf), Some(merge), split].into_iter().flatten().map(|held| (Kind::Component, held.digest));
    let mut blobs: Vec<(String, Bytes)> = Vec::new();
    for (kind, digest) in components.chain([(Kind::Manifest, entry.manifest)]) {
        let name = digest.to_string();
        if !blobs.iter().any(|(known, _)| *known == name) {
            blobs.push((name, artifacts.load(kind, &digest).map_err(RecallError::Unread)?));
        }
    }
    let about = About { format: FORMAT, number: entry.number, manifest: entry.manifest, parts: entry.parts };
    let about = serde_json::to_string(&about).map_err(|error| strange(&error.to_string()))?;
    Ok(Artifact { about, blobs })
}

/// Loads a version that another server has packed.
pub(crate) fn unpack(
    shared: &Shared,
    app: &str,
    current: &Version,
    id: &str,
    pack: &Artifact,
) -> Result<Arc<Version>, RecallError> {
    shared.recalled.get(app, id, || {
        let about: About = serde_json::from_str(&pack.about).map_err(|error| strange(&error.to_string()))?;
        if about.format != FORMAT {
            return Err(strange(&format!("it has the format {}, this Frond reads {FORMAT}", about.format)));
        }
        let find = |digest: &Digest| {
            let name = digest.to_string();
            let found = pack.blobs.iter().find(|(known, _)| *known == name).map(|(_, bytes)| bytes.clone());
            found
                .filter(|bytes| Digest::of(bytes) == *digest)
                .ok_or_else(|| strange("a file of it is missing or damaged"))
        };
        let manifest = (about.manifest, find(&about.manifest)?);
        if manifest.1.len() as u64 > MAX_MANIFEST {
            return Err(strange("its frond.toml is too large"));
        }
        let refused = |why: Refusal| RecallError::Refused { number: about.number, why: why.text };
        let dir = &current.wired.app.dir;
        let candidate = Candidate::packed(app, dir, manifest, about.parts, &find).map_err(refused)?;
        // The store is shared, but grants are local: the local folder decides about them.
        if !current.wired.app.grants.cover(&candidate.package.grants) {
            return Err(RecallError::Granted { number: about.number });
        }
        let entry = Release {
            number: about.number,
            since_unix_ms: unix_ms(),
            before: None,
            manifest: about.manifest,
            cases: "passed on another server".to_owned(),
            canary: "passed on another server".to_owned(),
            parts: about.parts,
        };
        Ok(load(shared, &candidate, &entry)?.called(id))
    })
}

fn strange(why: &str) -> RecallError {
    RecallError::Strange { why: why.to_owned() }
}
