//! Compiled components on disk, keyed by the component's digest and by wasmtime's hash of compiler
//! version and engine settings.
//!
//! wasmtime trusts the code that it deserialises. So the cache uses only a folder that nobody else
//! can write to, and a file gets there only by an atomic rename of code that this process compiled.
//! Files of a user's or from a network are never loaded.
//!
//! A file is read, not mapped into memory: if somebody truncates a mapped file, the process ends
//! with SIGBUS when a guest next runs that code. The whole file is read for its checksum in any
//! case.
//!
//! LRU eviction keeps the cache within its bound, and processes need no lock for it: a process that
//! misses an evicted file compiles the component again, and loaded code stays usable.

use std::fs::{self, File};
use std::hash::{BuildHasher, DefaultHasher, Hash, Hasher};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use frond_root::Digest;
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::private::{is_private, private_folder};

mod refused;

/// Size of the chunks that are hashed, in bytes.
const CHUNK: usize = 256 << 10;
/// Size of the trailer behind the compiled code, in bytes: magic number, code size, checksum.
const TRAILER: usize = 24;
/// Default size of the cache in bytes: room for fifty builds of a Python plugin, each of which is
/// another component.
pub const CACHE_SIZE: u64 = 2 << 30;
/// Prefix of the name of a file that is being written.
const UNFINISHED: &str = ".new-";
/// Age at which an unfinished file counts as abandoned: no write takes so long, so its process was
/// killed.
const ABANDONED: Duration = Duration::from_secs(3600);

/// Folder of compiled components.
#[derive(Clone, Debug)]
pub(crate) struct Cache {
    dir: PathBuf,
    /// Most bytes in the folder.
    size: u64,
}

/// Compiled component in the folder.
struct CacheFile {
    used: SystemTime,
    size: u64,
    path: PathBuf,
}

impl Cache {
    /// Opens or makes the folder, or one inside it: see [`private_folder`].
    ///
    /// # Errors
    /// If neither folder can be made, or neither can be made private to this user.
    pub(crate) fn open(dir: &Path) -> io::Result<Self> {
        Ok(Self { dir: private_folder(dir)?, size: CACHE_SIZE })
    }

    /// Replaces the bound, in bytes.
    pub(crate) fn bounded(self, size: u64) -> Self {
        Self { size, ..self }
    }

    fn path(&self, engine: &Engine, digest: Digest) -> PathBuf {
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        self.dir.join(format!("{digest}-{:016x}.cwasm", hasher.finish()))
    }

    /// Loads a component that was compiled earlier; `None` if there is none that this engine can
    /// load.
    pub(crate) fn load(&self, engine: &Engine, digest: Digest) -> Option<Component> {
        let path = self.path(engine, digest);
        let found = fs::symlink_metadata(&path).ok()?;
        if !found.is_file() || !is_private(&found) {
            return None;
        }
        let (mut file, _) = frond_files::open(&path).ok()?;
        let code = whole(&mut file, found.len()).ok().flatten()?;
        #[expect(
            unsafe_code,
            reason = "the file is this user's own, in a folder that nobody else can write to, and these bytes of it are as \
                      `store` made them"
        )]
        let loaded = unsafe { Component::deserialize(engine, &code) };
        // The modification time is the last use, for eviction. If it cannot be set, the older time
        // stays.
        let _ = file.set_modified(SystemTime::now());
        loaded.ok()
    }

    /// Returns true if there is compiled code for a component. Its checksum is only verified by
    /// [`Cache::load`].
    pub(crate) fn has(&self, engine: &Engine, digest: Digest) -> bool {
        self.path(engine, digest).is_file()
    }

    /// Removes all but the `keep` most recently used components.
    pub(crate) fn prune(&self, keep: usize) -> io::Result<()> {
        self.files()?.iter().skip(keep).try_for_each(|file| remove(&file.path))
    }

    /// Removes the least recently used components until the rest is within the bound. The component
    /// with this digest stays whatever its size, as it is in use now.
    pub(crate) fn evict(&self, engine: &Engine, digest: Digest) -> io::Result<()> {
        let newest = self.path(engine, digest);
        let mut files = self.files()?;
        // Even if the clock was set back, that component must not count as the oldest.
        files.sort_by_key(|one| one.path != newest);
        let mut total = 0_u64;
        for one in &files {
            total = total.saturating_add(one.size);
            if total > self.size && one.path != newest {
                remove(&one.path)?;
            }
        }
        Ok(())
    }

    /// Lists the components, the most recently used first. Removes abandoned unfinished files.
    fn files(&self) -> io::Result<Vec<CacheFile>> {
        let mut all = Vec::new();
        let entries = match fs::read_dir(&self.dir) {
            // Without the folder there is nothing to evict.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(all),
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            // Another process may have removed the file since.
            let Ok(found) = entry.metadata() else { continue };
            let (Ok(used), path) = (found.modified(), entry.path()) else { continue };
            if path.extension().is_some_and(|end| end == "cwasm") {
                all.push(CacheFile { used, size: found.len(), path });
            } else if entry.file_name().to_string_lossy().starts_with(UNFINISHED)
                && used.elapsed().is_ok_and(|age| age > ABANDONED)
            {
                remove(&path)?;
            }
        }
        all.sort_unstable_by_key(|one| std::cmp::Reverse(one.used));
        Ok(all)
    }

    /// Stores a compiled component by atomic rename.
    pub(crate) fn store(&self, engine: &Engine, digest: Digest, compiled: &[u8]) -> io::Result<()> {
        let path = self.path(engine, digest);
        let mut temporary = tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(&self.dir)?;
        let mut sum = Checksum::default();
        compiled.chunks(CHUNK).for_each(|chunk| sum.add(chunk));
        temporary.write_all(compiled)?;
        temporary.write_all(&sum.trailer())?;
        temporary.persist(path)?;
        Ok(())
    }
}

/// Removes a file. A file that another process has already removed is no error.
fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Reads the compiled code of a file; `None` unless the file ends with the code's checksum.
/// wasmtime checks only the headers: it would run code that a full disk or a crash has damaged.
fn whole(file: &mut File, size: u64) -> io::Result<Option<Vec<u8>>> {
    let mut code = Vec::with_capacity(usize::try_from(size).unwrap_or_default());
    file.take(size.saturating_add(1)).read_to_end(&mut code)?;
    let Some((rest, trailer)) = code.split_last_chunk::<TRAILER>() else { return Ok(None) };
    let mut sum = Checksum::default();
    rest.chunks(CHUNK).for_each(|chunk| sum.add(chunk));
    let is_whole = *trailer == sum.trailer();
    code.truncate(code.len() - TRAILER);
    Ok(is_whole.then_some(code))
}

/// Checksum against accidents, not attacks: a process that can write to the folder can write a
/// valid checksum. It is fast, as every component is checked at every start.
struct Checksum(foldhash::quality::FoldHasher<'static>, u64);

impl Default for Checksum {
    fn default() -> Self {
        Self(foldhash::quality::FixedState::with_seed(0).build_hasher(), 0)
    }
}

impl Checksum {
    /// Adds a chunk. Each chunk but the last must be [`CHUNK`] bytes long.
    fn add(&mut self, chunk: &[u8]) {
        self.0.write(chunk);
        self.1 += chunk.len() as u64;
    }

    /// Returns the trailer. wasmtime ignores bytes behind its format, whose header has the offset
    /// of everything.
    fn trailer(&self) -> [u8; TRAILER] {
        let mut trailer = *b"frond\x01\0\0________________";
        let (_, counts) = trailer.split_at_mut(8);
        let (size, sum) = counts.split_at_mut(8);
        size.copy_from_slice(&self.1.to_le_bytes());
        sum.copy_from_slice(&self.0.finish().to_le_bytes());
        trailer
    }
}
