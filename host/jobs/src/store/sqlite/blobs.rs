//! Large bytes in files of their own, named by their digest. A file is on the disk before the row that refers to it, and
//! is removed after the last such row.

use std::collections::HashMap;
use std::fs::{self, DirBuilder};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::store::rows::damaged;
use crate::store::{StoreError, StoreResult};

use super::fault::on_disk;

/// What a damaged file holds.
const FILE: &str = "a file of a partial or an answer";
/// What is larger is kept in a file.
const INLINE: usize = 1 << 20;

/// The size of bytes that belong in a file; 0 for others.
pub(super) fn large(bytes: &Bytes) -> u64 {
    if bytes.len() > INLINE { bytes.len() as u64 } else { 0 }
}

pub(super) struct Blobs {
    folder: PathBuf,
    /// Digests of files that rows will refer to when their transactions are through.
    pins: Arc<Mutex<HashMap<String, usize>>>,
    bytes: AtomicU64,
}

/// Bytes on their way into a row.
pub(super) enum StoredBytes {
    Inline(Bytes),
    File(Pin),
}

impl StoredBytes {
    pub(super) fn inline(&self) -> Option<&[u8]> {
        match self {
            Self::Inline(bytes) => Some(bytes),
            Self::File(_) => None,
        }
    }

    pub(super) fn digest(&self) -> Option<&str> {
        match self {
            Self::Inline(_) => None,
            Self::File(pin) => Some(&pin.digest),
        }
    }
}

/// Keeps a file from being swept until the row that refers to it is there, or has failed to be.
pub(super) struct Pin {
    digest: String,
    pins: Arc<Mutex<HashMap<String, usize>>>,
}

impl Drop for Pin {
    fn drop(&mut self) {
        let mut pins = lock(&self.pins);
        if let Some(count) = pins.get_mut(&self.digest) {
            *count -= 1;
            if *count == 0 {
                pins.remove(&self.digest);
            }
        }
    }
}

fn lock(pins: &Mutex<HashMap<String, usize>>) -> MutexGuard<'_, HashMap<String, usize>> {
    pins.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Blobs {
    pub(super) fn open(folder: PathBuf) -> StoreResult<Self> {
        make_folder(&folder)?;
        let blobs = Self { folder, pins: Arc::default(), bytes: AtomicU64::new(0) };
        let mut bytes = 0;
        blobs.each(|path, _| {
            bytes += fs::metadata(path).map_or(0, |file| file.len());
            Ok(())
        })?;
        blobs.bytes.store(bytes, Ordering::Relaxed);
        Ok(blobs)
    }

    /// What all files take.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Puts large bytes into a file.
    pub(super) fn take(&self, bytes: Bytes) -> StoreResult<StoredBytes> {
        if bytes.len() > INLINE { self.stow(&bytes) } else { Ok(StoredBytes::Inline(bytes)) }
    }

    /// Writes `bytes` to a file and waits for the disk.
    fn stow(&self, bytes: &[u8]) -> StoreResult<StoredBytes> {
        let digest = hex(bytes);
        // Before looking whether the file is there: a sweep would take it away in between.
        let pin = self.pin(&digest);
        let path = self.path(&digest);
        let folder = path.parent().unwrap_or(&self.folder);
        if !path.exists() {
            make_folder(folder)?;
            let write = || -> std::io::Result<()> {
                let mut file = tempfile::Builder::new().prefix(&format!("{digest}.")).tempfile_in(folder)?;
                file.write_all(bytes)?;
                file.as_file().sync_all()?;
                file.persist(&path)?;
                Ok(())
            };
            write().map_err(on_disk)?;
            self.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        }
        // Also when the file was there: whoever wrote it may not have come to this yet.
        sync_folder(folder)?;
        sync_folder(&self.folder)?;
        Ok(StoredBytes::File(pin))
    }

    /// Checks a file against its name, without holding it whole.
    pub(super) fn check(&self, digest: &str) -> StoreResult<()> {
        let (mut file, _) = frond_files::open(&self.path(digest)).map_err(missing)?;
        let mut hasher = Hashing(Sha256::new());
        std::io::copy(&mut file, &mut hasher).map_err(on_disk)?;
        match spelled(&hasher.0.finalize()) == digest {
            true => Ok(()),
            false => Err(damaged(FILE)),
        }
    }

    /// Bytes of a file from an offset on: at most `most`, and none beyond its end.
    pub(super) fn part(&self, digest: &str, from: u64, most: u32) -> StoreResult<Bytes> {
        let (mut file, _) = frond_files::open(&self.path(digest)).map_err(missing)?;
        file.seek(SeekFrom::Start(from)).map_err(on_disk)?;
        let mut part = Vec::new();
        file.take(u64::from(most)).read_to_end(&mut part).map_err(on_disk)?;
        Ok(Bytes::from(part))
    }

    /// The bytes of a file, checked.
    pub(super) fn read(&self, digest: &str) -> StoreResult<Bytes> {
        // Its size was bounded when it was written.
        let bytes = frond_files::read(&self.path(digest), u64::MAX).map_err(missing)?;
        match hex(&bytes) == digest {
            true => Ok(Bytes::from(bytes)),
            false => Err(damaged(FILE)),
        }
    }

    /// Removes files that nothing refers to, and what writers left that were killed. Returns how many.
    pub(super) fn sweep(&self, is_used: impl Fn(&str) -> StoreResult<bool>) -> StoreResult<u64> {
        let mut removed = 0;
        self.each(|path, name| {
            let (digest, is_whole) = name.split_once('.').map_or((name, true), |(digest, _)| (digest, false));
            // Held until the file is gone, so that nobody comes to rely on it meanwhile.
            let pins = lock(&self.pins);
            if pins.contains_key(digest) || (is_whole && is_used(digest)?) {
                return Ok(());
            }
            let bytes = fs::metadata(path).map_or(0, |file| file.len());
            fs::remove_file(path).map_err(on_disk)?;
            drop(pins);
            removed += 1;
            let left = |all: u64| Some(all.saturating_sub(bytes));
            let _ = self.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, left);
            Ok(())
        })?;
        Ok(removed)
    }

    fn pin(&self, digest: &str) -> Pin {
        *lock(&self.pins).entry(digest.to_owned()).or_insert(0) += 1;
        Pin { digest: digest.to_owned(), pins: Arc::clone(&self.pins) }
    }

    fn path(&self, digest: &str) -> PathBuf {
        self.folder.join(digest.get(..2).unwrap_or("xx")).join(digest)
    }

    fn each(&self, mut visit: impl FnMut(&Path, &str) -> StoreResult<()>) -> StoreResult<()> {
        for folder in fs::read_dir(&self.folder).map_err(on_disk)? {
            let folder = folder.map_err(on_disk)?.path();
            if !folder.is_dir() {
                continue;
            }
            for file in fs::read_dir(&folder).map_err(on_disk)? {
                let file = file.map_err(on_disk)?;
                if let Some(name) = file.file_name().to_str() {
                    visit(&file.path(), name)?;
                }
            }
        }
        Ok(())
    }
}

/// Makes a folder that only its owner can look into, unless it is there.
pub(super) fn make_folder(folder: &Path) -> StoreResult<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(on_disk)
}

/// Waits until a folder's entries are on the disk.
pub(super) fn sync_folder(folder: &Path) -> StoreResult<()> {
    frond_files::open_any(folder).and_then(|folder| folder.sync_all()).map_err(on_disk)
}

/// A file that cannot be opened: one that is gone was referred to, and is damage.
fn missing(error: std::io::Error) -> StoreError {
    match error.kind() {
        ErrorKind::NotFound => damaged(FILE),
        _ => on_disk(error),
    }
}

/// A digest in the making, as something to write to.
struct Hashing(Sha256);

impl Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The SHA-256 of bytes, spelled.
fn hex(bytes: &[u8]) -> String {
    spelled(&Sha256::digest(bytes))
}

fn spelled(digest: &[u8]) -> String {
    use std::fmt::Write as _;
    digest.iter().fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
