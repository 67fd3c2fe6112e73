//! One app as the reconciler manages it: serving version, release history, refused change.

mod memory;
mod telling;

use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;

use super::candidate::{Candidate, UploadSource};
use super::check::{CheckReport, LoadedCandidate};
use super::clock::unix_ms;
use super::command::CommandKind;
use super::error::{ChangeError, Refusal, Stage, chain};
use super::folder::FolderSnapshot;
use super::load::{Commit, Load};
use super::refused::{RefusedChange, RefusedChanges};
use super::releases::{Decision, NewRelease, Release, ReleaseHistory, Uploads};
use super::shared::Shared;
use super::slot::Slot;
use super::state::{ArtifactStore, State};
use super::version::Version;
use frond_root::Digest;
use frond_root::sync::lock;

/// State of an app, which moves to the thread that loads the app.
pub(crate) struct ManagedApp {
    name: String,
    slot: Arc<Slot>,
    /// The release history, or why it cannot be read; then the app does not change.
    history: Result<ReleaseHistory, String>,
    /// True once the last served version was restored.
    is_revived: bool,
    /// Inputs of the folder's last refusal: the same inputs are not checked twice.
    refused_look: Option<(Arc<FolderSnapshot>, Uploads)>,
    refused: Option<RefusedChange>,
    /// The files changed while they were read.
    outrun: bool,
    /// Refusals that are stored, and so survive a restart.
    tried: RefusedChanges,
    /// Stored refusals are ignored once: a caller requested another check.
    recheck: bool,
    /// The stored query.
    kept_query: Option<Arc<Bytes>>,
    /// The last change passed but could not be stored: it is retried.
    unstored: bool,
    /// The app's folder.
    dir: PathBuf,
    /// Open files of the uploads in force, so that they survive a removed state folder.
    held: Vec<(Digest, File)>,
    /// The ids of versions by number, so that each manifest is read once.
    ids: BTreeMap<u64, String>,
    /// The store of versions.
    artifacts: ArtifactStore,
}

impl ManagedApp {
    /// Opens an app whose folder has appeared.
    pub(crate) fn open(name: &str, slot: Arc<Slot>, artifacts: &ArtifactStore) -> Self {
        let history = artifacts.history(name).map(|history| history.unwrap_or_else(|| ReleaseHistory::new(name)));
        let tried = artifacts.tried(name).unwrap_or_else(|error| {
            tracing::warn!(
                app = name,
                "the stored refusals cannot be read, and refused changes are checked again: {}",
                chain(&error)
            );
            RefusedChanges::default()
        });
        let kept_query = artifacts.query(name).map(Arc::new);
        slot.remembered.store(kept_query.clone());
        Self {
            name: name.to_owned(),
            slot,
            history: history.map_err(|error| chain(&error)),
            is_revived: false,
            refused_look: None,
            refused: None,
            outrun: false,
            tried,
            recheck: false,
            kept_query,
            unstored: false,
            dir: PathBuf::new(),
            held: Vec::new(),
            ids: BTreeMap::new(),
            artifacts: artifacts.clone(),
        }
    }

    /// Has refused changes checked again.
    pub(crate) fn forget_refusal(&mut self) {
        self.refused_look = None;
        self.recheck = true;
    }

    /// True if the files changed while they were read: they must be read again.
    pub(crate) fn is_outrun(&self) -> bool {
        self.outrun
    }

    /// Applies a snapshot of the app's folder. True if another version serves now.
    pub(crate) fn follow(
        &mut self,
        snapshot: &Arc<FolderSnapshot>,
        shared: &Shared,
        state: &Mutex<State>,
        load: &Load,
    ) -> bool {
        self.outrun = false;
        self.unstored = false;
        let recheck = std::mem::take(&mut self.recheck);
        if let Err(wrong) = &self.history {
            let refusal = Refusal::told(Stage::Validating, wrong.clone());
            self.refuse(RefusedChange::now(&refusal), shared);
            return false;
        }
        self.restore_serving(snapshot, shared, load);
        let Ok(history) = &mut self.history else { return false };
        let uploads = history.uploads();
        let serves = self.slot.current.load().is_some();
        match snapshot.identity(&uploads).map(|wanted| history.decide(&wanted)) {
            Some(Decision::Serves) if serves => {
                history.settle();
                let history = history.clone();
                self.keep(&history, state, load);
                self.accept(shared);
                return false;
            }
            Some(Decision::RolledBack) if serves => {
                self.accept(shared);
                return false;
            }
            _ => {}
        }
        if self.refused_look.as_ref().is_some_and(|(seen, with)| seen == snapshot && *with == uploads) {
            return false;
        }
        if !recheck && self.is_still_refused(snapshot, &uploads, shared) {
            return false;
        }
        match self.change(snapshot, uploads, None, shared, state, load) {
            Ok(_) => true,
            Err(_) if load.is_over() => false,
            Err(refusal) => {
                if !self.outrun {
                    self.unstored = refusal.stage == Stage::Storing;
                    self.refused_look = (!self.unstored).then(|| (snapshot.clone(), uploads));
                    let refused = RefusedChange::now(&refusal);
                    self.keep_refusal(snapshot, &uploads, &refused, state);
                    self.refuse(refused, shared);
                }
                false
            }
        }
    }

    /// Carries out a command.
    pub(crate) fn carry_out(
        &mut self,
        kind: CommandKind,
        snapshot: &Arc<FolderSnapshot>,
        shared: &Shared,
        state: &Mutex<State>,
        load: &Load,
    ) -> Result<Arc<Version>, ChangeError> {
        let history = match &self.history {
            Ok(history) => history.clone(),
            Err(wrong) => return Err(Refusal::told(Stage::Validating, wrong.clone()).into()),
        };
        self.restore_serving(snapshot, shared, load);
        let done = match kind {
            CommandKind::Put(role, bytes) => {
                let digest = Digest::of(&bytes);
                let uploads = history.uploads().with(role, Some(digest));
                self.change(snapshot, uploads, Some((digest, &bytes)), shared, state, load)
            }
            CommandKind::Delete(role) if history.uploads().get(role).is_none() => {
                return self.slot.current.load_full().ok_or(ChangeError::NotFound);
            }
            CommandKind::Delete(role) => {
                self.change(snapshot, history.uploads().with(role, None), None, shared, state, load)
            }
            CommandKind::Rollback => {
                let Some(before) = history.before().cloned() else {
                    return Err(ChangeError::NoVersion { app: self.name.clone() });
                };
                self.roll_back(&before, history, snapshot, shared, state, load)
            }
        };
        done.map_err(|refusal| {
            if !load.is_over() {
                self.refuse(RefusedChange::now(&refusal), shared);
            }
            refusal.into()
        })
    }

    /// Restores the version that served when the server last stopped, whatever the folder contains
    /// now.
    fn restore_serving(&mut self, snapshot: &FolderSnapshot, shared: &Shared, load: &Load) {
        self.dir.clone_from(&snapshot.dir);
        if std::mem::replace(&mut self.is_revived, true) {
            return;
        }
        let Some(entry) = self.history.as_ref().ok().and_then(ReleaseHistory::current).cloned() else { return };
        self.name_versions();
        if let Err(refusal) = self.load_kept(&entry, snapshot, shared, load) {
            tracing::warn!(
                app = self.name,
                version = entry.number,
                "the version that served last cannot be served again: {refusal}"
            );
        }
    }

    fn load_kept(
        &self,
        entry: &Release,
        snapshot: &FolderSnapshot,
        shared: &Shared,
        load: &Load,
    ) -> Result<Arc<Version>, Refusal> {
        let candidate = Candidate::kept(&self.name, &snapshot.dir, entry, &self.artifacts)?;
        let loaded = self.checked(shared, load, |checker| checker.load(&candidate))?;
        let _commit = load.commit().ok_or_else(given_up)?;
        Ok(self.install(loaded, entry, shared))
    }

    fn roll_back(
        &mut self,
        before: &Release,
        mut history: ReleaseHistory,
        snapshot: &FolderSnapshot,
        shared: &Shared,
        state: &Mutex<State>,
        load: &Load,
    ) -> Result<Arc<Version>, Refusal> {
        let candidate = Candidate::kept(&self.name, &snapshot.dir, before, &self.artifacts)?;
        // The version passed its checks earlier: a rollback must not depend on today's
        // circumstances.
        let loaded = self.checked(shared, load, |checker| checker.load(&candidate))?;
        let (mut state, _commit) = wanted(state, load)?;
        history.roll_back(snapshot.identity(&candidate.uploads()), unix_ms());
        self.record(history, &mut state)?;
        self.enter(loaded, shared)
    }

    /// Checks the version that the folder and `uploads` make, and serves it.
    fn change(
        &mut self,
        snapshot: &Arc<FolderSnapshot>,
        uploads: Uploads,
        given: UploadSource<'_>,
        shared: &Shared,
        state: &Mutex<State>,
        load: &Load,
    ) -> Result<Arc<Version>, Refusal> {
        let candidate = Candidate::of(&self.name, snapshot, uploads, given, &self.artifacts)?;
        self.outrun = snapshot.identity(&uploads).as_ref().is_some_and(|seen| {
            // Uploads match by construction; the files read from the folder must match the
            // snapshot.
            *seen != candidate.identity()
        });
        if self.outrun {
            let text = "its files were changed while they were read\n(try again when they are all written)";
            return Err(Refusal::told(Stage::Validating, text.to_owned()));
        }
        let mut history = self.history.clone().map_err(|wrong| Refusal::told(Stage::Validating, wrong))?;
        let serving = self.slot.current.load_full();
        if let Some(version) = serving.filter(|version| version.identity == candidate.identity()) {
            let (mut state, _commit) = wanted(state, load)?;
            return self.stay(&version, &candidate, history, shared, &mut state);
        }
        self.keep_query(state);
        let (loaded, report) = self.checked(shared, load, |checker| {
            let loaded = checker.load(&candidate)?;
            let report = checker.pass(&candidate, &loaded)?;
            Ok((loaded, report))
        })?;
        let CheckReport { cases, canary } = report;
        let fresh = NewRelease { manifest: candidate.manifest.0, parts: candidate.parts, cases, canary };
        // Stored files are unused until the history refers to them.
        let (mut state, _commit) = wanted(state, load)?;
        candidate.store(&mut state).map_err(|error| Refusal::new(Stage::Storing, &error))?;
        history.serve(fresh, uploads, unix_ms(), shared.settings.history);
        self.record(history, &mut state)?;
        let version = self.enter(loaded, shared)?;
        self.forget_served(&mut state);
        Ok(version)
    }

    /// Serves the same version from other sources: equal components make no new version.
    fn stay(
        &mut self,
        version: &Version,
        candidate: &Candidate,
        mut history: ReleaseHistory,
        shared: &Shared,
        state: &mut State,
    ) -> Result<Arc<Version>, Refusal> {
        let checks = version.view.checks.clone();
        let fresh = NewRelease {
            manifest: candidate.manifest.0,
            parts: candidate.parts,
            cases: checks.cases,
            canary: checks.canary,
        };
        candidate.store(state).map_err(|error| Refusal::new(Stage::Storing, &error))?;
        history.serve(fresh, candidate.uploads(), unix_ms(), shared.settings.history);
        self.record(history, state)?;
        let Some(entry) = self.history.as_ref().ok().and_then(ReleaseHistory::current) else { return Err(lost()) };
        let same = Arc::new(version.again(entry));
        self.slot.current.store(Some(same.clone()));
        self.accept(shared);
        Ok(same)
    }

    /// Writes the history before the version serves (write-ahead): a crash in between loses
    /// nothing.
    fn record(&mut self, history: ReleaseHistory, state: &mut State) -> Result<(), Refusal> {
        state.keep(&history).map_err(|error| Refusal::new(Stage::Storing, &error))?;
        self.history = Ok(history);
        self.name_versions();
        Ok(())
    }

    /// Stores a history that does not affect the serving version. A failed write is only logged.
    fn keep(&self, history: &ReleaseHistory, state: &Mutex<State>, load: &Load) {
        if self.artifacts.history(&self.name).is_ok_and(|kept| kept.as_ref() == Some(history)) {
            return;
        }
        let Ok((mut state, _commit)) = wanted(state, load) else { return };
        if let Err(error) = state.keep(history) {
            tracing::warn!(app = self.name, "{}", chain(&error));
        }
    }

    fn enter(&mut self, loaded: LoadedCandidate, shared: &Shared) -> Result<Arc<Version>, Refusal> {
        let Some(entry) = self.history.as_ref().ok().and_then(ReleaseHistory::current).cloned() else {
            return Err(lost());
        };
        self.refused = None;
        self.refused_look = None;
        let version = self.install(loaded, &entry, shared);
        tracing::info!(app = self.name, version = version.number, "serves");
        Ok(version)
    }

    fn install(&self, loaded: LoadedCandidate, entry: &Release, shared: &Shared) -> Arc<Version> {
        let version = Arc::new(loaded.into_version(entry));
        self.slot.current.store(Some(version.clone()));
        self.publish(None, shared);
        version
    }
}

/// Locks the state folder for writing, unless the load was given up: then its result is dropped.
fn wanted<'a>(state: &'a Mutex<State>, load: &'a Load) -> Result<(MutexGuard<'a, State>, Commit<'a>), Refusal> {
    let state = lock(state);
    let commit = load.commit().ok_or_else(given_up)?;
    Ok((state, commit))
}

fn given_up() -> Refusal {
    Refusal::told(Stage::Validating, "the load was cancelled".to_owned())
}

fn lost() -> Refusal {
    Refusal::told(Stage::Validating, "the version was lost before it served: that is a bug in Frond".to_owned())
}
