//! Memory of an app beyond its releases: refusals, the canary's query, incomplete changes.

use std::collections::BTreeMap;
use std::io::{Read, Seek};
use std::sync::{Arc, Mutex};

use frond_root::sync::lock;
use frond_run::MAX_SIZE;

use crate::candidate::ROLES;
use crate::clock::unix_ms;
use crate::error::{Stage, StateError, chain};
use crate::folder::FolderSnapshot;
use crate::recall;
use crate::refused::RefusedChange;
use crate::releases::Uploads;
use crate::shared::Shared;
use crate::state::{Kind, State};
use crate::view::Change;
use frond_root::Digest;

use super::ManagedApp;

impl ManagedApp {
    /// Refuses a change that was refused before, even before a restart.
    pub(super) fn is_still_refused(
        &mut self,
        snapshot: &Arc<FolderSnapshot>,
        uploads: &Uploads,
        shared: &Shared,
    ) -> bool {
        let refused = snapshot.identity(uploads).and_then(|wanted| self.tried.refusal(&wanted, &snapshot.beside));
        let Some(refused) = refused else { return false };
        tracing::warn!(
            app = self.name,
            stage = ?refused.stage,
            "a change stays refused, as nothing has changed since (SIGHUP checks it again): {}",
            refused.error
        );
        self.refused = Some(refused);
        self.refused_look = Some((snapshot.clone(), *uploads));
        self.publish(None, shared);
        true
    }

    /// Stores a refusal, so that it survives a restart. If the write fails, the change is checked
    /// again.
    pub(super) fn keep_refusal(
        &mut self,
        snapshot: &FolderSnapshot,
        uploads: &Uploads,
        refused: &RefusedChange,
        state: &Mutex<State>,
    ) {
        let Some(wanted) = snapshot.identity(uploads) else { return };
        if self.tried.refuse(&wanted, snapshot.beside, refused)
            && let Err(error) = lock(state).keep_tried(&self.name, &self.tried)
        {
            tracing::warn!(
                app = self.name,
                "the refusal could not be stored, and is lost when the server ends: {}",
                chain(&error)
            );
        }
    }

    /// Forgets the refusal of the version that serves now.
    pub(super) fn forget_served(&mut self, state: &mut State) {
        let Some(serving) = self.slot.current.load_full() else { return };
        if self.tried.forget(&serving.identity)
            && let Err(error) = state.keep_tried(&self.name, &self.tried)
        {
            tracing::warn!(app = self.name, "{}", chain(&error));
        }
    }

    /// Stores the canary's query, so that it survives a restart.
    pub(crate) fn keep_query(&mut self, state: &Mutex<State>) {
        let Some(query) = self.slot.remembered.load_full() else { return };
        if self.kept_query.as_ref() == Some(&query) {
            return;
        }
        match lock(state).keep_query(&self.name, &query) {
            Ok(()) => self.kept_query = Some(query),
            Err(error) => tracing::warn!(app = self.name, "the last query could not be stored: {}", chain(&error)),
        }
    }

    /// True if some component files differ from the serving version and others do not.
    /// The unchanged files may still be about to change.
    pub(crate) fn is_half(&self, snapshot: &FolderSnapshot) -> bool {
        let Some(serving) = self.slot.current.load_full() else { return false };
        let uploads = self.history.as_ref().map(|history| history.uploads()).unwrap_or_default();
        let files = ROLES.into_iter().filter(|role| uploads.get(*role).is_none());
        let files = files.filter_map(|role| {
            let found = snapshot.component(role)?;
            let same = found.digest.is_some_and(|digest| serving.identity.component(role) == Some(digest));
            Some((&found.path, same))
        });
        let (same, changed): (Vec<_>, Vec<_>) = files.partition(|(_, same)| *same);
        !changed.is_empty() && same.iter().any(|(path, _)| changed.iter().all(|(other, _)| other != path))
    }

    /// Publishes that the app waits for the rest of a change.
    pub(crate) fn wait_for_rest(&self, shared: &Shared) {
        let text = "some components have changed: waiting for the others to change, too".to_owned();
        self.publish(Some(Change { stage: Stage::Waiting, since_unix_ms: unix_ms(), text }), shared);
    }

    /// Publishes the ids of the stored versions, for jobs that began with them.
    pub(super) fn name_versions(&mut self) {
        let Ok(history) = &self.history else { return };
        let mut ids = BTreeMap::new();
        for entry in history.versions() {
            let known = self.ids.remove(&entry.number);
            if let Some(id) = known.or_else(|| recall::id_of(&self.name, &self.dir, entry, &self.artifacts)) {
                ids.insert(entry.number, id);
            }
        }
        self.ids = ids;
        // Jobs of an earlier Frond name versions by the text of the manifest.
        let of_old = history.versions().map(|entry| entry.identity().id());
        self.slot.versions.store(Arc::new(self.ids.values().cloned().chain(of_old).collect()));
        let uploads = ROLES.into_iter().filter_map(|role| history.uploads().get(role));
        self.held = uploads.filter_map(|digest| Some((digest, self.artifacts.open(&digest)?))).collect();
    }

    /// Stores everything known about the app again, after the state folder was lost.
    /// Of the serving version, the uploads and the unchanged files of its folder are saved. Past
    /// versions are lost.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(crate) fn rescue(
        &mut self,
        snapshot: Option<&FolderSnapshot>,
        shared: &Mutex<State>,
    ) -> Result<(), StateError> {
        let Ok(history) = self.history.clone() else { return Ok(()) };
        let mut state = lock(shared);
        for (digest, file) in &mut self.held {
            let mut bytes = Vec::new();
            let read = file.rewind().and_then(|()| file.read_to_end(&mut bytes));
            if read.is_ok() && Digest::of(&bytes) == *digest {
                state.store(Kind::Component, digest, &bytes)?;
            }
        }
        if let (Some(snapshot), Some(current)) = (snapshot, history.current()) {
            if let Ok((digest, text)) = &snapshot.manifest
                && *digest == current.manifest
            {
                state.store(Kind::Manifest, digest, text)?;
            }
            for found in ROLES.into_iter().filter_map(|role| snapshot.component(role)) {
                let Ok(bytes) = frond_files::read(&found.path, MAX_SIZE) else { continue };
                let digest = Digest::of(&bytes);
                if ROLES.into_iter().any(|role| current.identity().component(role) == Some(digest)) {
                    state.store(Kind::Component, &digest, &bytes)?;
                }
            }
        }
        state.keep(&history)?;
        state.keep_tried(&self.name, &self.tried)?;
        drop(state);
        self.kept_query = None;
        self.keep_query(shared);
        Ok(())
    }

    /// True if the last change passed but could not be stored.
    pub(crate) fn is_unstored(&self) -> bool {
        self.unstored
    }
}
