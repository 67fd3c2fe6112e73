//! Reads app folders: which apps there are, their `frond.toml`s, and the digests of their
//! components.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use frond_app::load::MAX_MANIFEST;
use frond_app::source::ListedContent;
use frond_app::{AppError, Component, Package, Source};
use frond_run::{MAX_SIZE, Role};

use super::error::chain;
use super::links;
use super::releases::{Identity, Uploads};
use frond_root::{Digest, DigestWriter};

/// The most apps of one server.
const MAX_APPS: usize = 1000;
/// The longest name of an app, in bytes; the name is part of URLs and metrics.
const MAX_NAME: usize = 100;
/// The most files beside an app's components that are checked for changes.
const MAX_BESIDE: usize = 10_000;
/// Age below which a file's times cannot be trusted: it may change again within one clock tick.
const RACY: Duration = Duration::from_secs(2);
/// Approximate memory for parsing a byte of a `frond.toml`, in bytes.
const PARSED: u64 = 100;
/// Bytes per read.
const CHUNK: usize = 64 << 10;

/// Location of the served apps: the folder of one, or a folder of app folders.
#[derive(Clone, Debug)]
pub(crate) enum Root {
    /// The folder of a single app.
    One(String, PathBuf),
    /// A folder of app folders.
    Many(PathBuf),
}

impl Root {
    /// Classifies `dir`: with a `frond.toml` it is one app, otherwise it holds apps.
    /// The kind of `dir` does not change while the server lives.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub(crate) fn at(dir: &Path) -> io::Result<Self> {
        // Removes a trailing slash, which would hide that the path is a link.
        let dir: &Path = &dir.components().collect::<PathBuf>();
        if dir.join("frond.toml").is_file() {
            // A link that is switched between releases keeps its name.
            let folder = if dir.is_symlink() { dir.to_path_buf() } else { dir.canonicalize()? };
            let name = folder.file_name().and_then(|name| name.to_str()).filter(|name| name.len() <= MAX_NAME);
            return Ok(Self::One(name.unwrap_or("app").to_owned(), dir.to_path_buf()));
        }
        fs::read_dir(dir)?;
        Ok(Self::Many(dir.to_path_buf()))
    }

    pub(crate) fn dir(&self) -> &Path {
        match self {
            Self::One(_, dir) | Self::Many(dir) => dir,
        }
    }

    /// Lists the apps that are there now.
    ///
    /// # Errors
    /// If the folder cannot be listed: then nothing is known, not even which apps are gone.
    pub(crate) fn list(&self) -> io::Result<Listing> {
        let mut listing = Listing::default();
        let found = &mut listing.apps;
        let dir = match self {
            Self::One(name, dir) => {
                if has_manifest(dir)? {
                    found.insert(name.clone(), dir.clone());
                }
                return Ok(listing);
            }
            Self::Many(dir) => dir,
        };
        for entry in fs::read_dir(dir)? {
            let path = entry?.path();
            let Some(name) = path.file_name() else { continue };
            if name.as_encoded_bytes().starts_with(b".") || !path.is_dir() {
                continue;
            }
            if !has_manifest(&path).unwrap_or(true) {
                // Another folder may become an app: a folder appears before its files.
                if listing.others.len() < MAX_APPS {
                    listing.others.push(path);
                }
                continue;
            }
            let fits = |name: &&str| name.len() <= MAX_NAME && !name.contains(char::is_control);
            let wrong = match name.to_str().filter(fits) {
                Some(name) if found.len() < MAX_APPS => {
                    found.insert(name.to_owned(), path);
                    continue;
                }
                Some(_) => format!("there are more than {MAX_APPS} apps"),
                None => format!("an app's name is UTF-8 without control characters, of at most {MAX_NAME} bytes"),
            };
            listing.left_out.push(format!("`{}`: {wrong}", path.display()));
        }
        listing.others.sort();
        Ok(listing)
    }
}

/// Contents of a folder of apps.
#[derive(Default)]
pub(crate) struct Listing {
    /// App folders, by name.
    pub(crate) apps: BTreeMap<String, PathBuf>,
    /// Watched folders that are no apps (yet).
    pub(crate) others: Vec<PathBuf>,
    /// Errors of the apps that are left out.
    pub(crate) left_out: Vec<String>,
}

/// Checks for a `frond.toml`. Only its certain absence counts as missing.
fn has_manifest(dir: &Path) -> io::Result<bool> {
    match fs::metadata(dir.join("frond.toml")) {
        Ok(found) => Ok(found.is_file()),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(false),
        Err(error) => Err(error),
    }
}

/// State of a component's file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct ComponentFile {
    pub(crate) path: PathBuf,
    /// `None` for a file that is not there or cannot be read.
    pub(crate) digest: Option<Digest>,
}

/// State of an app's folder.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct FolderSnapshot {
    pub(crate) dir: PathBuf,
    /// The text of its `frond.toml`, or why there is none.
    pub(crate) manifest: Text,
    /// Why the text is no valid app, as the command line reports it; `None` if it is.
    pub(crate) wrong: Option<String>,
    /// The components that `frond.toml` names.
    pub(crate) leaf: Option<ComponentFile>,
    pub(crate) merge: Option<ComponentFile>,
    pub(crate) split: Option<ComponentFile>,
    /// Digest of the other inputs of the checks: cases and files of listed partitions, by size and
    /// time.
    pub(crate) beside: Digest,
    /// Approximate memory that a load takes for its files, in bytes.
    pub(crate) bytes: u64,
    /// Folders in which a change would be noticed.
    pub(crate) places: Vec<PathBuf>,
}

impl FolderSnapshot {
    /// Reads an app's folder.
    pub(crate) fn at(dir: &Path, seen: &mut FileCache) -> Self {
        let file = dir.join("frond.toml");
        let (manifest, package) = seen.manifest(&file);
        let mut snapshot = Self {
            dir: dir.to_path_buf(),
            manifest,
            wrong: None,
            leaf: None,
            merge: None,
            split: None,
            beside: DigestWriter::default().finish(),
            bytes: 0,
            places: vec![dir.to_path_buf()],
        };
        links::folders(&file, &mut snapshot.places);
        links::folders(&dir.join("cases"), &mut snapshot.places);
        let mut beside = DigestWriter::default();
        let cases = dir.join("cases");
        stamps(&cases, &mut beside, &mut snapshot.places, &mut 0);
        match package.as_deref() {
            Some(Ok(package)) => snapshot.take(package, &mut beside, seen),
            Some(Err(wrong)) => snapshot.wrong = Some(wrong.clone()),
            None => {}
        }
        snapshot.beside = beside.finish();
        snapshot.places.sort();
        snapshot.places.dedup();
        snapshot
    }

    fn take(&mut self, package: &Package, beside: &mut DigestWriter, seen: &mut FileCache) {
        self.bytes = self.manifest.as_ref().map_or(0, |(_, text)| text.len() as u64) * PARSED;
        let mut found = |component: &Option<Component>| {
            let path = &component.as_ref()?.path;
            watch(path, &mut self.places);
            self.bytes += fs::metadata(path).map_or(0, |found| found.len().min(MAX_SIZE));
            Some(ComponentFile { path: path.clone(), digest: seen.digest(path).ok() })
        };
        self.leaf = found(&package.leaf);
        self.merge = found(&package.merge);
        self.split = found(&package.split);
        if let Some(Source::List(listed)) = &package.source {
            for one in listed.iter().take(MAX_BESIDE) {
                if let ListedContent::File(path) = &one.content {
                    watch(path, &mut self.places);
                    stamp(path, beside);
                }
            }
        }
        self.wrong = package.clone().app().err().map(|error: AppError| chain(&error));
    }

    pub(crate) fn component(&self, role: Role) -> Option<&ComponentFile> {
        match role {
            Role::Leaf => self.leaf.as_ref(),
            Role::Merge => self.merge.as_ref(),
            Role::Split => self.split.as_ref(),
        }
    }

    /// The identity of the version that the folder and `uploads` make; `None` if something is
    /// missing.
    pub(crate) fn identity(&self, uploads: &Uploads) -> Option<Identity> {
        let digest = |role| uploads.get(role).or_else(|| self.component(role)?.digest);
        if self.wrong.is_some() {
            return None;
        }
        let manifest = self.manifest.as_ref().ok()?.0;
        let split = match &self.split {
            Some(_) => Some(digest(Role::Split)?),
            None => None,
        };
        Some(Identity { manifest, leaf: digest(Role::Leaf)?, merge: digest(Role::Merge)?, split })
    }
}

/// The text of a `frond.toml`, or why it cannot be read.
type Text = Result<(Digest, Bytes), String>;
/// The package in the text, or why it is invalid.
type Parsed = Arc<Result<Package, String>>;

fn read_manifest(file: &Path) -> Text {
    let text = frond_files::read(file, MAX_MANIFEST)
        .map_err(|error| format!("`{}` cannot be read\n  because: {error}", file.display()))?;
    Ok((Digest::of(&text), text.into()))
}

/// Adds the folders in which a change of `path` would be noticed.
/// The folders are that of `path`, those of symbolic links on the path, and the folder of the
/// link's target. If a folder does not exist, its closest existing ancestor is added.
fn watch(path: &Path, places: &mut Vec<PathBuf>) {
    links::folders(path, places);
    let real = path.canonicalize().ok();
    for path in [Some(path), real.as_deref()].into_iter().flatten() {
        let mut folders = path.ancestors().skip(1);
        let here =
            |folder: &Path| if folder.as_os_str().is_empty() { PathBuf::from(".") } else { folder.to_path_buf() };
        if let Some(folder) = folders.find(|folder| here(folder).is_dir()) {
            places.push(here(folder));
        }
    }
}

/// Adds the sizes and times of all files below a folder, and the folders themselves.
fn stamps(folder: &Path, to: &mut DigestWriter, places: &mut Vec<PathBuf>, count: &mut usize) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    places.push(folder.to_path_buf());
    let mut paths: Vec<PathBuf> = entries.take(MAX_BESIDE).flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        *count += 1;
        if *count > MAX_BESIDE {
            return;
        }
        // A link to a folder could lead back here.
        if fs::symlink_metadata(&path).is_ok_and(|found| found.is_dir()) {
            stamps(&path, to, places, count);
        } else {
            stamp(&path, to);
        }
    }
}

fn stamp(path: &Path, to: &mut DigestWriter) {
    to.add_whole(path.as_os_str().as_encoded_bytes());
    if let Ok(found) = fs::metadata(path) {
        to.add_whole(format!("{:?}", Stamp::of(&found)).as_bytes());
    }
}

/// File identity, size and times, by which a file is recognized as unchanged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Stamp {
    file: (u64, u64),
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(found: &Metadata) -> Self {
        Self {
            file: (found.dev(), found.ino()),
            size: found.len(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        }
    }

    /// True if the file's times would show a change after it was read.
    fn is_settled(&self) -> bool {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let changed = u64::try_from(self.changed.0).map(Duration::from_secs).unwrap_or_default();
        now > changed + RACY
    }
}

/// Cache of files by stamp: unchanged files are not read again.
#[derive(Default)]
pub(crate) struct FileCache {
    components: HashMap<PathBuf, (Stamp, Digest)>,
    manifests: HashMap<PathBuf, (Stamp, (Digest, Bytes), Parsed)>,
}

impl FileCache {
    fn digest(&mut self, path: &Path) -> io::Result<Digest> {
        let stamp = Stamp::of(&fs::metadata(path)?);
        match self.components.get(path) {
            Some((same, digest)) if *same == stamp => Ok(*digest),
            _ => {
                let digest = digest(path)?;
                if stamp.is_settled() {
                    self.components.insert(path.to_path_buf(), (stamp, digest));
                }
                Ok(digest)
            }
        }
    }

    fn manifest(&mut self, file: &Path) -> (Text, Option<Parsed>) {
        let stamp = fs::metadata(file).ok().map(|found| Stamp::of(&found));
        if let Some((same, text, package)) = self.manifests.get(file)
            && Some(*same) == stamp
        {
            return (Ok(text.clone()), Some(package.clone()));
        }
        let text = match read_manifest(file) {
            Ok(text) => text,
            Err(why) => return (Err(why), None),
        };
        let package = Package::read(file, text.1.to_vec()).map_err(|error| chain(&error));
        let package = Arc::new(package);
        if let Some(stamp) = stamp.filter(Stamp::is_settled) {
            self.manifests.insert(file.to_path_buf(), (stamp, text.clone(), package.clone()));
        }
        (Ok(text), Some(package))
    }

    /// Evicts components that no app names, and manifests of folders that are no longer apps.
    pub(crate) fn retain(&mut self, named: impl Fn(&Path) -> bool, is_app: impl Fn(&Path) -> bool) {
        self.components.retain(|path, _| named(path));
        self.manifests.retain(|file, _| file.parent().is_some_and(&is_app));
    }
}

fn digest(path: &Path) -> io::Result<Digest> {
    let (file, _) = frond_files::open(path)?;
    let mut file = file.take(MAX_SIZE + 1);
    let mut digesting = DigestWriter::default();
    let mut chunk = vec![0; CHUNK];
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok(digesting.finish()),
            read => digesting.add(chunk.get(..read).unwrap_or_default()),
        }
    }
}
