//! Compiled components on disk, by what they were compiled from, by what, and for what.
//!
//! wasmtime trusts what it deserialises, so only a folder that nobody else can write to is used, and a file in it is
//! only ever made by renaming what this process compiled. Nothing of a user's or from a network is ever loaded.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use wasmtime::Engine;
use wasmtime::component::Component;

/// A folder of compiled components.
#[derive(Clone, Debug)]
pub(crate) struct Cache {
    dir: PathBuf,
}

impl Cache {
    /// Opens or makes the folder.
    ///
    /// # Errors
    /// When it cannot be made, is not the user's own, or can be written to by others.
    pub(crate) fn open(dir: &Path) -> io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        let found = fs::symlink_metadata(dir)?;
        let own = found.uid() == rustix::process::geteuid().as_raw();
        if !found.is_dir() || !own || found.mode() & 0o022 != 0 {
            return Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                "not a folder that only this user can write to",
            ));
        }
        Ok(Self { dir: dir.to_owned() })
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
        let own = found.is_file() && found.uid() == rustix::process::geteuid().as_raw();
        if !own || found.mode() & 0o022 != 0 {
            return None;
        }
        #[expect(
            unsafe_code,
            reason = "the file is this user's own, in a folder that nobody else can write to, made by `store`"
        )]
        let loaded = unsafe { Component::deserialize_file(engine, &path) };
        loaded.ok()
    }

    /// Keeps a compiled component. It appears whole or not at all.
    pub(crate) fn store(&self, engine: &Engine, digest: &str, compiled: &[u8]) -> io::Result<()> {
        let path = self.path(engine, digest);
        let mut temporary = tempfile::Builder::new().prefix(".new-").tempfile_in(&self.dir)?;
        temporary.write_all(compiled)?;
        temporary.persist(path)?;
        Ok(())
    }
}
