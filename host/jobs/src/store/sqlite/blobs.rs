//! Content-addressed store of large bytes: files named by their SHA-256. A file is durable before a
//! row refers to it, and is removed after the last such row.

use std::collections::HashMap;
use std::fs::{self, DirBuilder};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use frond_root::{Digest, DigestWriter};
use parking_lot::Mutex;

use crate::store::rows::damaged;
use crate::store::{StoreError, StoreResult};

use super::fault::on_disk;

/// Name of a damaged file's content in errors.
pub(super) const FILE: &str = "a file of a partial or an answer";
/// Largest size, in bytes, that is stored in a row; larger bytes go to a file.
const INLINE: usize = 1 << 20;

/// Size of bytes that belong in a file; 0 for bytes that fit in a row.
pub(super) fn large(bytes: &Bytes) -> u64 {
    if bytes.len() > INLINE { bytes.len() as u64 } else { 0 }
}

/// Files of large bytes, each named by its digest.
pub(super) struct Blobs {
    folder: PathBuf,
    /// Reference counts of files whose rows are not committed yet, by digest.
    pins: Arc<Mutex<HashMap<String, usize>>>,
    bytes: AtomicU64,
}

/// Bytes that are about to be stored in a row.
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

/// Guard that keeps a file from being swept until its row is committed or has failed.
pub(super) struct Pin {
    digest: String,
    pins: Arc<Mutex<HashMap<String, usize>>>,
}

impl Drop for Pin {
    fn drop(&mut self) {
        let mut pins = self.pins.lock();
        if let Some(count) = pins.get_mut(&self.digest) {
            *count -= 1;
            if *count == 0 {
                pins.remove(&self.digest);
            }
        }
    }
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

    /// Total size of all files, in bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Stores bytes in a file if they are large.
    pub(super) fn take(&self, bytes: Bytes) -> StoreResult<StoredBytes> {
        if bytes.len() > INLINE { self.stow(&bytes) } else { Ok(StoredBytes::Inline(bytes)) }
    }

    /// Writes `bytes` to a file durably, by an atomic rename.
    fn stow(&self, bytes: &[u8]) -> StoreResult<StoredBytes> {
        let digest = Digest::of(bytes).to_string();
        // Pinned before the check for an existing file, which a sweep could remove in between.
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
        // Also for an existing file: its writer may not have synced the folders yet.
        sync_folder(folder)?;
        sync_folder(&self.folder)?;
        Ok(StoredBytes::File(pin))
    }

    /// Verifies a file against its name, without reading it into memory.
    pub(super) fn check(&self, digest: &str) -> StoreResult<()> {
        let (mut file, _) = frond_files::open(&self.path(digest)).map_err(missing)?;
        let mut hasher = DigestWriter::default();
        std::io::copy(&mut file, &mut hasher).map_err(on_disk)?;
        if hasher.finish().to_string() == digest { Ok(()) } else { Err(damaged(FILE)) }
    }

    /// Reads bytes of a file from an offset: at most `most`, and none beyond the end.
    pub(super) fn part(&self, digest: &str, from: u64, most: u32) -> StoreResult<Bytes> {
        let (mut file, _) = frond_files::open(&self.path(digest)).map_err(missing)?;
        file.seek(SeekFrom::Start(from)).map_err(on_disk)?;
        let mut part = Vec::new();
        file.take(u64::from(most)).read_to_end(&mut part).map_err(on_disk)?;
        Ok(Bytes::from(part))
    }

    /// Reads and verifies a whole file. `None` if it is gone: a sweep removes a file that only an
    /// older snapshot has.
    pub(super) fn read(&self, digest: &str) -> StoreResult<Option<Bytes>> {
        // The size was bounded when the file was written.
        let bytes = match frond_files::read(&self.path(digest), u64::MAX) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(on_disk(error)),
        };
        if Digest::of(&bytes).to_string() == digest { Ok(Some(Bytes::from(bytes))) } else { Err(damaged(FILE)) }
    }

    /// Removes unreferenced files, and temporary files of killed writers. Returns their number.
    pub(super) fn sweep(&self, is_used: impl Fn(&str) -> StoreResult<bool>) -> StoreResult<u64> {
        let mut removed = 0;
        self.each(|path, name| {
            let (digest, is_whole) = name.split_once('.').map_or((name, true), |(digest, _)| (digest, false));
            // Locked until the file is removed, so that no writer can pin it in between.
            let pins = self.pins.lock();
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
        *self.pins.lock().entry(digest.to_owned()).or_insert(0) += 1;
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

/// Creates a folder that only its owner can access, unless it exists.
pub(super) fn make_folder(folder: &Path) -> StoreResult<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(on_disk)
}

/// Makes the entries of a folder durable.
pub(super) fn sync_folder(folder: &Path) -> StoreResult<()> {
    frond_files::open_any(folder).and_then(|folder| folder.sync_all()).map_err(on_disk)
}

/// Maps the error of opening a file: a missing file is damage, since a row refers to it.
fn missing(error: std::io::Error) -> StoreError {
    match error.kind() {
        ErrorKind::NotFound => damaged(FILE),
        _ => on_disk(error),
    }
}
