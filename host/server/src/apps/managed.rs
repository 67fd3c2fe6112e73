//! One app, as the keeper has it: what it serves, what is remembered of it, and what was refused.

mod memory;
mod telling;

use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;

use super::candidate::{Candidate, UploadSource};
use super::check::{CheckReport, LoadedCandidate};
use super::commands::CommandKind;
use super::digest::Digest;
use super::error::{ChangeError, Refusal, Stage, chain};
use super::folder::FolderSnapshot;
use super::load::{Commit, Load};
use super::reconciler::lock;
use super::refused::RefusedChanges;
use super::releases::{Decision, NewRelease, Release, ReleaseHistory, Uploads};
use super::state::{ArtifactStore, State};
use super::version::Version;
use super::view::{RefusedChange, unix_ms};
use super::{Shared, Slot};

/// An app.
pub(crate) struct ManagedApp {
    name: String,
    slot: Arc<Slot>,
    /// What is remembered; or why that cannot be read, and then nothing of the app is changed.
    ledger: Result<ReleaseHistory, String>,
    /// Whether what served last was taken up again.
    is_revived: bool,
    /// What was looked at when the folder was last refused: the same is not checked twice.
    refused_look: Option<(Arc<FolderSnapshot>, Uploads)>,
    refused: Option<RefusedChange>,
    /// The files changed while they were read.
    outrun: bool,
    /// The refusals that outlive the server.
    tried: RefusedChanges,
    /// A refusal that is remembered does not count: somebody asks for another check.
    recheck: bool,
    /// The query on the disk.
    kept_query: Option<Arc<Bytes>>,
    /// The state folder refused the last change: it is worth another try.
    unstored: bool,
    /// The app's folder.
    dir: PathBuf,
    /// The uploads in force, open: what is nowhere else is not lost with the state folder.
    held: Vec<(Digest, File)>,
    /// The ids of versions, by their numbers: reading a manifest for each is done once.
    ids: BTreeMap<u64, String>,
    /// Where versions are kept.
    shelf: ArtifactStore,
}

impl ManagedApp {
    /// An app whose folder has come.
    pub(crate) fn open(name: &str, slot: Arc<Slot>, shelf: &ArtifactStore) -> Self {
        let ledger = shelf.ledger(name).map(|ledger| ledger.unwrap_or_else(|| ReleaseHistory::new(name)));
        let tried = shelf.tried(name).unwrap_or_else(|error| {
            tracing::warn!(app = name, "refused changes are checked again: {}", chain(&error));
            RefusedChanges::default()
        });
        let kept_query = shelf.query(name).map(Arc::new);
        slot.remembered.store(kept_query.clone());
        Self {
            name: name.to_owned(),
            slot,
            ledger: ledger.map_err(|error| chain(&error)),
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
            shelf: shelf.clone(),
        }
    }

    /// What was refused is to be checked again.
    pub(crate) fn forget_refusal(&mut self) {
        self.refused_look = None;
        self.recheck = true;
    }

    /// Whether the files have changed since they were seen: they are to be looked at again.
    pub(crate) fn is_outrun(&self) -> bool {
        self.outrun
    }

    /// Takes up what was seen of its folder. True when another version serves.
    pub(crate) fn follow(
        &mut self,
        look: &Arc<FolderSnapshot>,
        shared: &Shared,
        state: &Mutex<State>,
        load: &Load,
    ) -> bool {
        self.outrun = false;
        self.unstored = false;
        let recheck = std::mem::take(&mut self.recheck);
        if let Err(wrong) = &self.ledger {
            let refusal = Refusal::told(Stage::Validating, wrong.clone());
            self.refuse(RefusedChange::now(&refusal), shared);
            return false;
        }
        self.revive(look, shared, load);
        let Ok(ledger) = &mut self.ledger else { return false };
        let uploads = ledger.uploads();
        let serves = self.slot.current.load().is_some();
        match look.identity(&uploads).map(|wanted| ledger.decide(&wanted)) {
            Some(Decision::Serves) if serves => {
                ledger.settle();
                let ledger = ledger.clone();
                self.keep(&ledger, state, load);
                self.accept(shared);
                return false;
            }
            Some(Decision::RolledBack) if serves => {
                self.accept(shared);
                return false;
            }
            _ => {}
        }
        if self.refused_look.as_ref().is_some_and(|(seen, with)| seen == look && *with == uploads) {
            return false;
        }
        if !recheck && self.is_still_refused(look, &uploads, shared) {
            return false;
        }
        match self.change(look, uploads, None, shared, state, load) {
            Ok(_) => true,
            Err(_) if load.is_over() => false,
            Err(refusal) => {
                if !self.outrun {
                    self.unstored = refusal.stage == Stage::Storing;
                    self.refused_look = (!self.unstored).then(|| (look.clone(), uploads));
                    let refused = RefusedChange::now(&refusal);
                    self.keep_refusal(look, &uploads, &refused, state);
                    self.refuse(refused, shared);
                }
                false
            }
        }
    }

    /// Does what somebody asks for.
    pub(crate) fn obey(
        &mut self,
        wish: CommandKind,
        look: &Arc<FolderSnapshot>,
        shared: &Shared,
        state: &Mutex<State>,
        load: &Load,
    ) -> Result<Arc<Version>, ChangeError> {
        let ledger = match &self.ledger {
            Ok(ledger) => ledger.clone(),
            Err(wrong) => return Err(Refusal::told(Stage::Validating, wrong.clone()).into()),
        };
        self.revive(look, shared, load);
        let done = match wish {
            CommandKind::Put(role, bytes) => {
                let digest = Digest::of(&bytes);
                let uploads = ledger.uploads().with(role, Some(digest));
                self.change(look, uploads, Some((digest, &bytes)), shared, state, load)
            }
            CommandKind::Delete(role) if ledger.uploads().get(role).is_none() => {
                return self.slot.current.load_full().ok_or(ChangeError::NotFound);
            }
            CommandKind::Delete(role) => {
                self.change(look, ledger.uploads().with(role, None), None, shared, state, load)
            }
            CommandKind::Rollback => {
                let Some(before) = ledger.before().cloned() else {
                    return Err(ChangeError::NoVersion { app: self.name.clone() });
                };
                self.roll_back(&before, ledger, look, shared, state, load)
            }
        };
        done.map_err(|refusal| {
            if !load.is_over() {
                self.refuse(RefusedChange::now(&refusal), shared);
            }
            refusal.into()
        })
    }

    /// What served when the server last ended serves again, whatever the folder has come to be.
    fn revive(&mut self, look: &FolderSnapshot, shared: &Shared, load: &Load) {
        self.dir.clone_from(&look.dir);
        if std::mem::replace(&mut self.is_revived, true) {
            return;
        }
        let Some(entry) = self.ledger.as_ref().ok().and_then(ReleaseHistory::current).cloned() else { return };
        self.name_versions();
        if let Err(refusal) = self.load_kept(&entry, look, shared, load) {
            tracing::warn!(
                app = self.name,
                version = entry.number,
                "what served last cannot be served again: {refusal}"
            );
        }
    }

    fn load_kept(
        &self,
        entry: &Release,
        look: &FolderSnapshot,
        shared: &Shared,
        load: &Load,
    ) -> Result<Arc<Version>, Refusal> {
        let candidate = Candidate::kept(&self.name, &look.dir, entry, &self.shelf)?;
        let loaded = self.checked(shared, load, |checker| checker.load(&candidate))?;
        let _commit = load.commit().ok_or_else(given_up)?;
        Ok(self.install(loaded, entry, shared))
    }

    fn roll_back(
        &mut self,
        before: &Release,
        mut ledger: ReleaseHistory,
        look: &FolderSnapshot,
        shared: &Shared,
        state: &Mutex<State>,
        load: &Load,
    ) -> Result<Arc<Version>, Refusal> {
        let candidate = Candidate::kept(&self.name, &look.dir, before, &self.shelf)?;
        // It has passed its checks: going back must not hang on what may be the matter now.
        let loaded = self.checked(shared, load, |checker| checker.load(&candidate))?;
        let (mut state, _commit) = wanted(state, load)?;
        ledger.roll_back(look.identity(&candidate.uploads()), unix_ms());
        self.record(ledger, &mut state)?;
        self.enter(loaded, shared)
    }

    /// Checks what the folder and `uploads` make, and serves it.
    fn change(
        &mut self,
        look: &Arc<FolderSnapshot>,
        uploads: Uploads,
        given: UploadSource<'_>,
        shared: &Shared,
        state: &Mutex<State>,
        load: &Load,
    ) -> Result<Arc<Version>, Refusal> {
        let candidate = Candidate::of(&self.name, look, uploads, given, &self.shelf)?;
        self.outrun = look.identity(&uploads).as_ref().is_some_and(|seen| {
            // What is uploaded is as good as seen; what was read of the folder has to be what was seen there.
            *seen != candidate.identity()
        });
        if self.outrun {
            let text = "its files were changed while they were read\n(try again when they are all written)";
            return Err(Refusal::told(Stage::Validating, text.to_owned()));
        }
        let mut ledger = self.ledger.clone().map_err(|wrong| Refusal::told(Stage::Validating, wrong))?;
        let serving = self.slot.current.load_full();
        if let Some(version) = serving.filter(|version| version.identity == candidate.identity()) {
            let (mut state, _commit) = wanted(state, load)?;
            return self.stay(&version, &candidate, ledger, shared, &mut state);
        }
        self.keep_query(state);
        let (loaded, passed) = self.checked(shared, load, |checker| {
            let loaded = checker.load(&candidate)?;
            let passed = checker.pass(&candidate, &loaded)?;
            Ok((loaded, passed))
        })?;
        let CheckReport { cases, canary } = passed;
        let fresh = NewRelease { manifest: candidate.manifest.0, parts: candidate.parts, cases, canary };
        // What is stored is needed by nobody until it is recorded.
        let (mut state, _commit) = wanted(state, load)?;
        candidate.store(&mut state).map_err(|error| Refusal::new(Stage::Storing, &error))?;
        ledger.serve(fresh, uploads, unix_ms(), shared.settings.history);
        self.record(ledger, &mut state)?;
        let version = self.enter(loaded, shared)?;
        self.forget_served(&mut state);
        Ok(version)
    }

    /// The same components from elsewhere are no new version.
    fn stay(
        &mut self,
        version: &Version,
        candidate: &Candidate,
        mut ledger: ReleaseHistory,
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
        ledger.serve(fresh, candidate.uploads(), unix_ms(), shared.settings.history);
        self.record(ledger, state)?;
        let Some(entry) = self.ledger.as_ref().ok().and_then(ReleaseHistory::current) else { return Err(lost()) };
        let same = Arc::new(version.again(entry));
        self.slot.current.store(Some(same.clone()));
        self.accept(shared);
        Ok(same)
    }

    /// What is remembered is written before it is served: a server that ends between the two has lost nothing.
    fn record(&mut self, ledger: ReleaseHistory, state: &mut State) -> Result<(), Refusal> {
        state.keep(&ledger).map_err(|error| Refusal::new(Stage::Storing, &error))?;
        self.ledger = Ok(ledger);
        self.name_versions();
        Ok(())
    }

    /// Writes down what changes nothing that serves. What cannot be written will be found out again.
    fn keep(&self, ledger: &ReleaseHistory, state: &Mutex<State>, load: &Load) {
        if self.shelf.ledger(&self.name).is_ok_and(|kept| kept.as_ref() == Some(ledger)) {
            return;
        }
        let Ok((mut state, _commit)) = wanted(state, load) else { return };
        if let Err(error) = state.keep(ledger) {
            tracing::warn!(app = self.name, "{}", chain(&error));
        }
    }

    fn enter(&mut self, loaded: LoadedCandidate, shared: &Shared) -> Result<Arc<Version>, Refusal> {
        let Some(entry) = self.ledger.as_ref().ok().and_then(ReleaseHistory::current).cloned() else {
            return Err(lost());
        };
        (self.refused, self.refused_look) = (None, None);
        let version = self.install(loaded, &entry, shared);
        tracing::info!(app = self.name, version = version.number, "serves");
        Ok(version)
    }

    fn install(&self, loaded: LoadedCandidate, entry: &Release, shared: &Shared) -> Arc<Version> {
        let version = Arc::new(Version::new(loaded, entry));
        self.slot.current.store(Some(version.clone()));
        self.publish(None, shared);
        version
    }
}

/// The state folder, to write to it, unless the load was given up: nothing of it is kept then, and nothing serves.
fn wanted<'a>(state: &'a Mutex<State>, load: &'a Load) -> Result<(MutexGuard<'a, State>, Commit<'a>), Refusal> {
    let state = lock(state);
    let commit = load.commit().ok_or_else(given_up)?;
    Ok((state, commit))
}

fn given_up() -> Refusal {
    Refusal::told(Stage::Validating, "it was given up".to_owned())
}

fn lost() -> Refusal {
    Refusal::told(Stage::Validating, "the version was lost before it served: that is a bug in Frond".to_owned())
}
