//! Refused components in the cache: a component that met a limit of the compiler is not compiled
//! again under the same limits.

use std::fs;
use std::io::Write;
use std::time::SystemTime;

use frond_root::Digest;
use wasmtime::Engine;

use super::{Cache, UNFINISHED, remove};
use crate::compiler::CompileLimits;
use crate::inspect::Misfit;
use crate::private::is_private;

/// Most refusals in the cache; the oldest are removed.
pub(crate) const MAX_REFUSALS: usize = 1000;
/// Most bytes of a refusal: two numbers and a message.
const MAX_SIZE: u64 = 16 << 10;
/// Extension of the refusals' files.
const EXTENSION: &str = "refused";

impl Cache {
    /// Returns the reason why a component was refused, if that was under limits no lower than
    /// these.
    pub(crate) fn refusal(&self, engine: &Engine, digest: Digest, limits: &CompileLimits) -> Option<String> {
        let path = self.path(engine, digest).with_extension(EXTENSION);
        let found = fs::symlink_metadata(&path).ok()?;
        if !found.is_file() || !is_private(&found) {
            return None;
        }
        let text = frond_files::read_text(&path, MAX_SIZE).ok()?;
        let (numbers, why) = text.split_once('\n')?;
        let (memory, cpu) = numbers.split_once(' ')?;
        let memory: u64 = memory.parse().ok()?;
        let cpu: u64 = cpu.parse().ok()?;
        (memory >= limits.memory && cpu >= limits.cpu.as_secs()).then(|| why.to_owned())
    }

    /// Stores the reason why a component was refused under these limits. A failed write is ignored.
    pub(crate) fn refuse(&self, engine: &Engine, digest: Digest, limits: &CompileLimits, misfit: &Misfit) {
        let Misfit::TooCostly(why) = misfit else { return };
        let path = self.path(engine, digest).with_extension(EXTENSION);
        let text = format!("{} {}\n{why}", limits.memory, limits.cpu.as_secs());
        let stored = tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(&self.dir).and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.persist(path)?;
            Ok(())
        });
        if stored.is_ok() {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&self) {
        let entries = fs::read_dir(&self.dir).into_iter().flatten().flatten();
        let refused =
            entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|end| end == EXTENSION));
        let made = |path: &std::path::PathBuf| fs::metadata(path).and_then(|found| found.modified());
        let mut all: Vec<_> = refused.map(|path| (made(&path).unwrap_or(SystemTime::UNIX_EPOCH), path)).collect();
        all.sort_unstable_by_key(|one| std::cmp::Reverse(one.0));
        for (_, path) in all.into_iter().skip(MAX_REFUSALS) {
            let _ = remove(&path);
        }
    }
}
