//! Snapshots of a package's sources: they tell a changed content from a file that is written with
//! the same content.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::hash::Hasher;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Folders that builds write: a change in them follows from a change elsewhere.
const GENERATED: [&str; 7] = ["target", ".tools", "node_modules", "__pycache__", ".venv", ".git", ".frond"];

/// Limit on the size of a file whose content is hashed. For a larger file, size and modification
/// time count.
const MAX_READ: u64 = 16 << 20;

/// Files that snapshots leave out, because builds write them.
#[derive(Clone, Debug, Default)]
pub(super) struct Ignored {
    /// Whole files and folders.
    pub(super) paths: BTreeSet<PathBuf>,
}

impl Ignored {
    /// Returns true for a path of the folder `root` that a build writes. Only the part below `root`
    /// counts: `root` itself may be below a folder called `target`.
    pub(super) fn has(&self, root: &Path, path: &Path) -> bool {
        let below = path.strip_prefix(root).unwrap_or(path);
        let generated = below.components().any(|part| GENERATED.iter().any(|one| part.as_os_str() == *one));
        generated || path.ancestors().any(|one| self.paths.contains(one))
    }
}

/// Digests of the files below a folder.
#[derive(Debug, Default)]
pub(super) struct Snapshot {
    files: BTreeMap<PathBuf, FileStamp>,
}

/// Stamp and content hash of one file.
#[derive(Clone, Copy, Debug)]
struct FileStamp {
    /// Size and modification time: a file with the same ones is not read again.
    stamp: (u64, Option<SystemTime>),
    digest: u64,
}

impl Snapshot {
    /// Reads the files that have changed since `earlier`. A link to a file counts as the file, and
    /// a link to a folder is skipped. An unreadable file counts as empty, and as changed once it
    /// can be read.
    pub(super) fn take(root: &Path, ignored: &Ignored, earlier: &Self) -> Self {
        let mut files = BTreeMap::new();
        let mut folders = vec![root.to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                let path = entry.path();
                if ignored.has(root, &path) {
                    continue;
                }
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    folders.push(path);
                } else if let Some(seen) = FileStamp::read(&path, earlier.files.get(&path)) {
                    files.insert(path, seen);
                }
            }
        }
        Self { files }
    }

    /// Returns the files that only one of the two has, or that differ in content.
    pub(super) fn differing(&self, other: &Self) -> BTreeSet<PathBuf> {
        let digest = |snapshot: &Self, path: &PathBuf| snapshot.files.get(path).map(|seen| seen.digest);
        let paths = self.files.keys().chain(other.files.keys());
        paths.filter(|path| digest(self, path) != digest(other, path)).cloned().collect()
    }
}

impl FileStamp {
    /// Returns the stamp of a regular file, and `None` for anything else, such as a named pipe.
    fn read(path: &Path, earlier: Option<&Self>) -> Option<Self> {
        let found = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
        let stamp = (found.len(), found.modified().ok());
        let known = earlier.filter(|earlier| earlier.stamp == stamp && is_old(stamp.1));
        Some(known.copied().unwrap_or_else(|| Self { stamp, digest: digest(path, stamp) }))
    }
}

/// Returns false for a file that may have been written again within the resolution of its
/// modification time.
fn is_old(modified: Option<SystemTime>) -> bool {
    modified.and_then(|time| time.elapsed().ok()).is_some_and(|age| age.as_secs() >= 2)
}

fn digest(path: &Path, (size, modified): (u64, Option<SystemTime>)) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write_u64(size);
    if size > MAX_READ {
        let since = modified.and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok());
        hasher.write_u128(since.map_or(0, |since| since.as_nanos()));
        return hasher.finish();
    }
    if let Ok(bytes) = frond_files::read(path, MAX_READ) {
        hasher.write(&bytes);
    }
    hasher.finish()
}
