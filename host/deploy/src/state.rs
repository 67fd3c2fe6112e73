//! The state folder: components and `frond.toml`s in a content-addressed store, and a release
//! history for each app.
//! Files are replaced by atomic rename.

use std::collections::HashMap;
use std::fs::{self, DirBuilder, File, Metadata, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use bytes::Bytes;
use frond_run::MAX_SIZE;
use serde::{Deserialize, Serialize};

use super::error::StateError;
use super::refused::RefusedChanges;
use super::releases::ReleaseHistory;
use frond_root::Digest;

/// Format version of the histories. Other formats are refused.
const FORMAT: u32 = 1;
/// Number of removed apps whose history is kept, in case their folders come back.
const MAX_GONE: usize = 32;
/// The largest history, refusals or query file that is read, in bytes.
const MAX_FILE: u64 = 4 << 20;
/// The largest stored `frond.toml` that is read, in bytes: earlier versions of Frond took so large
/// ones.
const MAX_STORED_MANIFEST: u64 = 16 << 20;
/// The lock file of the server.
const LOCK: &str = "lock";
/// Folder of refusals and queries.
const TRIED: &str = "tried";
/// Suffix of query files.
const QUERY: &str = ".query";
/// The subfolders.
const FOLDERS: [&str; 4] = ["components", "manifests", "apps", TRIED];
/// Prefix of temporary files, before they are renamed.
const UNFINISHED: &str = ".new-";

/// Read access to the state folder. Only [`State`], the lock holder, writes.
#[derive(Clone)]
pub(crate) struct ArtifactStore {
    dir: PathBuf,
}

/// The state folder, locked by this server.
pub(crate) struct State {
    pub(crate) artifacts: ArtifactStore,
    made: u64,
    /// The files that each app's history needs, by history file; `None` if it cannot be read.
    needed: HashMap<String, Option<Vec<Digest>>>,
    lock: File,
}

/// File with the releases of an app.
#[derive(Serialize, Deserialize)]
struct HistoryFile {
    format: u32,
    #[serde(rename = "ledger")]
    history: ReleaseHistory,
}

impl ArtifactStore {
    pub(crate) fn at(dir: &Path) -> Self {
        Self { dir: dir.to_path_buf() }
    }

    /// Reads an app's history; `None` if there is none.
    ///
    /// # Errors
    /// If the file cannot be read or parsed.
    pub(crate) fn history(&self, app: &str) -> Result<Option<ReleaseHistory>, StateError> {
        let path = self.dir.join("apps").join(file_of(app));
        match read_history(&path) {
            Ok(history) if history.app == app => Ok(Some(history)),
            Ok(history) => Err(StateError::Strange { path, why: format!("it belongs to the app `{}`", history.app) }),
            Err(StateError::Io { cause, .. }) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Opens a component's file. The open file can be read even after its name is removed.
    pub(crate) fn open(&self, digest: &Digest) -> Option<File> {
        let path = self.dir.join(Kind::Component.folder()).join(Kind::Component.name(digest));
        frond_files::open(&path).ok().map(|(file, _)| file)
    }

    /// Reads the bytes stored under a digest.
    ///
    /// # Errors
    /// If the file is missing, or its contents do not match the digest.
    pub(crate) fn load(&self, kind: Kind, digest: &Digest) -> Result<Bytes, StateError> {
        let path = self.dir.join(kind.folder()).join(kind.name(digest));
        let bytes = frond_files::read(&path, kind.most()).map_err(io_error("read", &path))?;
        if Digest::of(&bytes) != *digest {
            let why = "its content does not match the digest in its name".to_owned();
            return Err(StateError::Strange { path, why });
        }
        Ok(bytes.into())
    }
}

impl ArtifactStore {
    /// Reads the stored refusals of an app.
    ///
    /// # Errors
    /// If the file cannot be read or parsed.
    pub(crate) fn tried(&self, app: &str) -> Result<RefusedChanges, StateError> {
        let path = self.dir.join(TRIED).join(file_of(app));
        match read_text(&path) {
            Ok(text) => {
                toml::from_str(&text).map_err(|error| StateError::Strange { path, why: error.message().to_owned() })
            }
            Err(StateError::Io { cause, .. }) if cause.kind() == io::ErrorKind::NotFound => {
                Ok(RefusedChanges::default())
            }
            Err(error) => Err(error),
        }
    }

    /// The stored canary query of an app, if there is one.
    pub(crate) fn query(&self, app: &str) -> Option<Bytes> {
        frond_files::read(&self.dir.join(TRIED).join(query_of(app)), MAX_FILE).ok().map(Bytes::from)
    }
}

/// The format version alone, which is read before the rest.
#[derive(Deserialize)]
struct Format {
    format: u32,
}

impl State {
    /// Opens or creates the folder.
    ///
    /// # Errors
    /// If the folder cannot be used, or another server uses it.
    pub(crate) fn open(dir: &Path) -> Result<Self, StateError> {
        let lock = claim(dir)?;
        let mut state = Self { artifacts: ArtifactStore::at(dir), made: 0, needed: HashMap::new(), lock };
        state.furnish()?;
        for folder in FOLDERS {
            remove(&state.artifacts.dir.join(folder), |name| name.starts_with(UNFINISHED))?;
        }
        state.take_stock()?;
        Ok(state)
    }

    /// True if the folder is no longer the one that was opened: it was removed.
    pub(crate) fn is_lost(&self) -> bool {
        let id = |found: Metadata| (found.dev(), found.ino());
        let ours = self.lock.metadata().map(id).ok();
        fs::metadata(self.artifacts.dir.join(LOCK)).map(id).ok() != ours
    }

    /// Recreates the folder, empty except for files that are already there.
    ///
    /// # Errors
    /// See [`State::open`].
    pub(crate) fn make_again(&mut self) -> Result<(), StateError> {
        self.lock = claim(&self.artifacts.dir)?;
        self.furnish()
    }

    /// Creates the missing subfolders.
    fn furnish(&self) -> Result<(), StateError> {
        FOLDERS.iter().try_for_each(|folder| make(&self.artifacts.dir.join(folder)))
    }

    /// Writes an app's history.
    ///
    /// # Errors
    /// If it cannot be written; the previous file is then still there.
    pub(crate) fn keep(&mut self, history: &ReleaseHistory) -> Result<(), StateError> {
        let folder = self.artifacts.dir.join("apps");
        let name = file_of(&history.app);
        let written = HistoryFile { format: FORMAT, history: history.clone() };
        let path = folder.join(&name);
        let text = toml::to_string(&written)
            .map_err(|error| StateError::Strange { path: path.clone(), why: error.to_string() })?;
        self.write(&folder, &name, text.as_bytes())?;
        self.needed.insert(name, Some(history.needs().collect()));
        Ok(())
    }

    /// Writes an app's refusals.
    ///
    /// # Errors
    /// If they cannot be written; the previous file is then still there.
    pub(crate) fn keep_tried(&mut self, app: &str, tried: &RefusedChanges) -> Result<(), StateError> {
        let folder = self.artifacts.dir.join(TRIED);
        let name = file_of(app);
        let text = toml::to_string(tried)
            .map_err(|error| StateError::Strange { path: folder.join(&name), why: error.to_string() })?;
        self.write(&folder, &name, text.as_bytes())
    }

    /// Writes the canary query of an app.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(crate) fn keep_query(&mut self, app: &str, query: &[u8]) -> Result<(), StateError> {
        self.write(&self.artifacts.dir.join(TRIED), &query_of(app), query)
    }

    /// Stores a component or a `frond.toml` under its digest.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(crate) fn store(&mut self, kind: Kind, digest: &Digest, bytes: &[u8]) -> Result<(), StateError> {
        if self.artifacts.load(kind, digest).is_ok() {
            return Ok(());
        }
        self.write(&self.artifacts.dir.join(kind.folder()), &kind.name(digest), bytes)
    }

    /// Removes files that no app needs, and the histories of the apps that have been gone longest.
    /// `present` are the names of the existing apps. If a history cannot be read, nothing is
    /// removed: it may need any file.
    ///
    /// # Errors
    /// If a file cannot be removed.
    pub(crate) fn collect<'a>(&mut self, present: impl Iterator<Item = &'a str>) -> Result<(), StateError> {
        if self.needed.values().any(Option::is_none) {
            return Ok(());
        }
        self.forget_gone(&present.map(file_of).collect::<Vec<_>>())?;
        let needed: Vec<&Digest> = self.needed.values().flatten().flatten().collect();
        for kind in [Kind::Component, Kind::Manifest] {
            remove(&self.artifacts.dir.join(kind.folder()), |name| {
                let digest = name.strip_suffix(kind.ending()).and_then(|stem| stem.parse::<Digest>().ok());
                digest.is_some_and(|digest| !needed.contains(&&digest))
            })?;
        }
        Ok(())
    }

    fn forget_gone(&mut self, present: &[String]) -> Result<(), StateError> {
        let folder = self.artifacts.dir.join("apps");
        let age = |name: &String| fs::metadata(folder.join(name)).and_then(|found| found.modified()).ok();
        let mut gone: Vec<(Option<SystemTime>, String)> =
            self.needed.keys().filter(|name| !present.contains(name)).map(|name| (age(name), name.clone())).collect();
        gone.sort_unstable_by(|a, b| b.cmp(a));
        for (_, name) in gone.into_iter().skip(MAX_GONE) {
            let path = folder.join(&name);
            fs::remove_file(&path).map_err(io_error("remove", &path))?;
            self.needed.remove(&name);
            let tried = self.artifacts.dir.join(TRIED);
            let stem = name.strip_suffix(".toml").unwrap_or(&name);
            remove(&tried, |file| file == name || file.strip_suffix(QUERY) == Some(stem))?;
        }
        Ok(())
    }

    /// Reads every history once, to learn which files it needs.
    fn take_stock(&mut self) -> Result<(), StateError> {
        let folder = self.artifacts.dir.join("apps");
        for entry in fs::read_dir(&folder).map_err(io_error("list", &folder))? {
            let path = entry.map_err(io_error("list", &folder))?.path();
            let name = path.file_name().and_then(|name| name.to_str()).filter(|name| name.ends_with(".toml"));
            if let Some(name) = name {
                let needs = read_history(&path).ok().map(|history| history.needs().collect());
                self.needed.insert(name.to_owned(), needs);
            }
        }
        Ok(())
    }

    fn write(&mut self, folder: &Path, name: &str, bytes: &[u8]) -> Result<(), StateError> {
        self.made += 1;
        let unfinished = folder.join(format!("{UNFINISHED}{}", self.made));
        let path = folder.join(name);
        let written = || {
            let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&unfinished)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&unfinished, &path)?;
            // The new name is on disk only after the folder is synced as well.
            frond_files::open_any(folder)?.sync_all()
        };
        written().map_err(io_error("write", &path))
    }
}

/// The state folder, shared with the threads that load apps. It is locked only while something is
/// written, never during checks.
pub(crate) type SharedState = Arc<Mutex<State>>;

/// Kinds of content-addressed files.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Component,
    Manifest,
}

impl Kind {
    fn folder(self) -> &'static str {
        match self {
            Self::Component => "components",
            Self::Manifest => "manifests",
        }
    }

    /// The size limit of one file, in bytes.
    fn most(self) -> u64 {
        match self {
            Self::Component => MAX_SIZE,
            Self::Manifest => MAX_STORED_MANIFEST,
        }
    }

    fn ending(self) -> &'static str {
        match self {
            Self::Component => ".wasm",
            Self::Manifest => ".toml",
        }
    }

    fn name(self, digest: &Digest) -> String {
        format!("{digest}{}", self.ending())
    }
}

/// Creates the folder if it is missing, and locks it for this server.
fn claim(dir: &Path) -> Result<File, StateError> {
    make(dir)?;
    let path = dir.join(LOCK);
    let lock = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path);
    let lock = lock.map_err(io_error("open", &path))?;
    let found = fs::metadata(dir).map_err(io_error("look at", dir))?;
    let own = lock.metadata().map_err(io_error("look at", &path))?.uid();
    if found.mode() & 0o022 != 0 || found.uid() != own {
        return Err(StateError::Open { path: dir.to_path_buf() });
    }
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(StateError::Taken { path: dir.to_path_buf() }),
        Err(TryLockError::Error(cause)) => Err(io_error("lock", &path)(cause)),
    }
}

fn make(folder: &Path) -> Result<(), StateError> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(io_error("make", folder))
}

fn read_text(path: &Path) -> Result<String, StateError> {
    frond_files::read_text(path, MAX_FILE).map_err(io_error("read", path))
}

fn read_history(path: &Path) -> Result<ReleaseHistory, StateError> {
    let strange = |why: String| StateError::Strange { path: path.to_path_buf(), why };
    let text = read_text(path)?;
    let format: Format = toml::from_str(&text).map_err(|error| strange(error.message().to_owned()))?;
    if format.format != FORMAT {
        return Err(strange(format!("it has the format {}, this Frond reads {FORMAT}", format.format)));
    }
    let written: HistoryFile = toml::from_str(&text).map_err(|error| strange(error.message().to_owned()))?;
    Ok(written.history)
}

/// The file name of an app's history.
/// The digest distinguishes names with unwritable characters, and names that some file systems
/// consider equal.
fn file_of(app: &str) -> String {
    let readable = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c.to_ascii_lowercase() } else { '_' };
    let stem: String = app.chars().take(40).map(readable).collect();
    let digest = Digest::of(app.as_bytes()).to_string();
    format!("{stem}.{}.toml", digest.get(..16).unwrap_or_default())
}

/// The file name of the app's canary query.
fn query_of(app: &str) -> String {
    let history = file_of(app);
    format!("{}{QUERY}", history.strip_suffix(".toml").unwrap_or(&history))
}

fn remove(folder: &Path, is_old: impl Fn(&str) -> bool) -> Result<(), StateError> {
    for entry in fs::read_dir(folder).map_err(io_error("list", folder))? {
        let path = entry.map_err(io_error("list", folder))?.path();
        if path.file_name().and_then(|name| name.to_str()).is_some_and(&is_old) {
            fs::remove_file(&path).map_err(io_error("remove", &path))?;
        }
    }
    Ok(())
}

fn io_error(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StateError {
    let path = path.to_path_buf();
    move |cause| StateError::Io { what, path, cause }
}
