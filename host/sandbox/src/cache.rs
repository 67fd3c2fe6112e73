//! Compiled components on disk, by what they were compiled from, by what, and for what.
//!
//! wasmtime trusts what it deserialises, so only a folder that nobody else can write to is used, and a file in it is
//! only ever made by renaming what this process compiled. Nothing of a user's or from a network is ever loaded.
//!
//! A file is read, and not mapped into memory: of a file that somebody truncates, a mapping ends the process with SIGBUS when
//! a guest next runs that code. The whole file is read for its checksum in any case.
//!
//! What was used longest ago goes when there is more than may be kept. Processes need no lock for that: a file that goes
//! while another one looks at it is compiled again there, and code that was loaded stays usable.

use std::fs::{self, File};
use std::hash::{BuildHasher, DefaultHasher, Hash, Hasher};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use wasmtime::Engine;
use wasmtime::component::Component;

use crate::private::{is_private, private_folder};

mod refused;

/// What is hashed at once.
const CHUNK: usize = 256 << 10;
/// What follows the compiled code: a mark, its size, and its checksum.
const TRAILER: usize = 24;
/// How much is kept when nobody says: fifty builds of a Python plugin, each of which is another component.
pub const CACHE_SIZE: u64 = 2 << 30;
/// What a file that is being written is called at first.
const UNFINISHED: &str = ".new-";
/// Nobody writes a file for so long: whoever began to was killed.
const ABANDONED: Duration = Duration::from_secs(3600);

/// A folder of compiled components.
#[derive(Clone, Debug)]
pub(crate) struct Cache {
    dir: PathBuf,
    /// The most bytes that are kept.
    size: u64,
}

/// A compiled component in the folder.
struct CacheFile {
    used: SystemTime,
    size: u64,
    path: PathBuf,
}

impl Cache {
    /// Opens or makes the folder, or one inside it: see [`private_folder`].
    ///
    /// # Errors
    /// When neither can be made, or be this user's alone.
    pub(crate) fn open(dir: &Path) -> io::Result<Self> {
        Ok(Self { dir: private_folder(dir)?, size: CACHE_SIZE })
    }

    /// The same folder with another bound.
    pub(crate) fn bounded(self, size: u64) -> Self {
        Self { size, ..self }
    }

    fn path(&self, engine: &Engine, digest: &str) -> PathBuf {
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        self.dir.join(format!("{digest}-{:016x}.cwasm", hasher.finish()))
    }

    /// The component compiled earlier; `None` when there is none that this engine can load.
    pub(crate) fn load(&self, engine: &Engine, digest: &str) -> Option<Component> {
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
        // That it was used decides what is evicted; where that cannot be noted, it was made when it was made.
        let _ = file.set_modified(SystemTime::now());
        loaded.ok()
    }

    /// True when there is compiled code for a component; whether it is whole is seen when it is loaded.
    pub(crate) fn has(&self, engine: &Engine, digest: &str) -> bool {
        self.path(engine, digest).is_file()
    }

    /// Removes all but the `keep` components that were used last.
    pub(crate) fn prune(&self, keep: usize) -> io::Result<()> {
        self.kept()?.iter().skip(keep).try_for_each(|kept| remove(&kept.path))
    }

    /// Removes what was used longest ago until the rest is within the bound. The component with this digest stays,
    /// whatever its size: it is wanted now.
    pub(crate) fn evict(&self, engine: &Engine, digest: &str) -> io::Result<()> {
        let newest = self.path(engine, digest);
        let mut kept = self.kept()?;
        // A clock that was set back must not make it the oldest.
        kept.sort_by_key(|one| one.path != newest);
        let mut total = 0_u64;
        for one in &kept {
            total = total.saturating_add(one.size);
            if total > self.size && one.path != newest {
                remove(&one.path)?;
            }
        }
        Ok(())
    }

    /// What there is, the last used first. Removes what was begun and never finished.
    fn kept(&self) -> io::Result<Vec<CacheFile>> {
        let mut all = Vec::new();
        let entries = match fs::read_dir(&self.dir) {
            // The whole folder is gone, and with it what could be too much.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(all),
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            // Another process may have removed it since.
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

    /// Keeps a compiled component. It appears whole or not at all.
    pub(crate) fn store(&self, engine: &Engine, digest: &str, compiled: &[u8]) -> io::Result<()> {
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

/// Removes a file. That another process was faster is no error.
fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The compiled code in a file, if it ends with the code's checksum. wasmtime looks no further than at the headers: a file
/// that a full disk or a crash has damaged would be run.
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

/// Against accidents only: whoever can write to the folder could as well write a right one. Fast, as it is taken of
/// every component at every start.
struct Checksum(foldhash::quality::FoldHasher<'static>, u64);

impl Default for Checksum {
    fn default() -> Self {
        Self(foldhash::quality::FixedState::with_seed(0).build_hasher(), 0)
    }
}

impl Checksum {
    /// All chunks but the last are [`CHUNK`] bytes long.
    fn add(&mut self, chunk: &[u8]) {
        self.0.write(chunk);
        self.1 += chunk.len() as u64;
    }

    /// wasmtime does not mind it behind its own format, whose header says where everything is.
    fn trailer(&self) -> [u8; TRAILER] {
        let mut trailer = *b"frond\x01\0\0________________";
        let (_, counts) = trailer.split_at_mut(8);
        let (size, sum) = counts.split_at_mut(8);
        size.copy_from_slice(&self.1.to_le_bytes());
        sum.copy_from_slice(&self.0.finish().to_le_bytes());
        trailer
    }
}
