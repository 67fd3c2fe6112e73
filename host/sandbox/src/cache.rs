//! Compiled components on disk, by what they were compiled from, by what, and for what.
//!
//! wasmtime trusts what it deserialises, so only a folder that nobody else can write to is used, and a file in it is
//! only ever made by renaming what this process compiled. Nothing of a user's or from a network is ever loaded.
//!
//! What was used longest ago goes when there is more than may be kept. Processes need no lock for that: a file that goes
//! while another one looks at it is compiled anew there, and what is mapped into memory stays usable.

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
struct Kept {
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
        if !found.is_file() || !is_private(&found) || !is_whole(&path, found.len()).unwrap_or(false) {
            return None;
        }
        #[expect(
            unsafe_code,
            reason = "the file is this user's own, in a folder that nobody else can write to, and is as `store` made it"
        )]
        let loaded = unsafe { Component::deserialize_file(engine, &path) };
        // That it was used decides what is evicted; where that cannot be noted, it was made when it was made.
        let _ = File::open(&path).and_then(|file| file.set_modified(SystemTime::now()));
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
    fn kept(&self) -> io::Result<Vec<Kept>> {
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
                all.push(Kept { used, size: found.len(), path });
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

/// True when the file ends with the checksum of the rest. wasmtime looks no further than at the headers: a file that a
/// full disk or a crash has damaged would be run.
fn is_whole(path: &Path, size: u64) -> io::Result<bool> {
    let Some(mut left) = size.checked_sub(TRAILER as u64) else {
        return Ok(false);
    };
    let (mut file, mut sum, mut chunk) = (File::open(path)?, Checksum::default(), vec![0; CHUNK]);
    while left > 0 {
        let length = chunk.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let part = chunk.get_mut(..length).unwrap_or_default();
        file.read_exact(part)?;
        sum.add(part);
        left -= length as u64;
    }
    let mut trailer = [0; TRAILER];
    file.read_exact(&mut trailer)?;
    Ok(trailer == sum.trailer())
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
