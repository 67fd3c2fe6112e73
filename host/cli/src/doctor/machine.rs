//! Conditions for fast runs: cores, a cache for compiled components, address space for the pool of
//! instances.

use std::path::{Path, PathBuf};

use anyhow::Context;
use frond_app::size::show_size;
use frond_root::call::Limits;
use frond_run::cache::{self, cache_dir, cache_size};
use frond_sandbox::{CACHE_SIZE, Settings, WAITING};
use serde::Serialize;

use super::check::Check;
use crate::exit;
use crate::show::text::bytes;

/// Machine facts that affect runs.
#[derive(Debug, Serialize)]
pub(super) struct Machine {
    cores: usize,
    /// Number of leaves that may wait without a slot, beside those that run.
    waiting: usize,
    cache: Cache,
    /// Warnings of the sandbox about slower modes.
    pub(super) warnings: Vec<String>,
}

/// Cache of compiled components: its folder, content and size limit.
#[derive(Debug, Serialize)]
struct Cache {
    path: Option<PathBuf>,
    components: usize,
    bytes: u64,
    /// Size limit of the cache, in bytes.
    limit: u64,
}

/// Examines the machine with a sandbox of one slot a core.
///
/// # Errors
/// When the sandbox cannot be started, for example because no thread can.
pub(super) fn examine() -> anyhow::Result<Machine> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let waiting = cores * WAITING;
    let path = cache_dir();
    let settings = Settings {
        slots: cores,
        waiting,
        limits: vec![Limits::default()],
        cache: path.clone(),
        compiler: frond_run::compiler(),
    };
    let sandbox = cache::sandbox(settings).context(exit::MachineFault::new("the sandbox could not be started"))?;
    sandbox.prepare().context(exit::MachineFault::new("the sandbox could not be started"))?;
    let (components, bytes) = path.as_deref().map_or((0, 0), cached);
    Ok(Machine {
        cores,
        waiting,
        cache: Cache { path, components, bytes, limit: cache_size().unwrap_or(CACHE_SIZE) },
        warnings: sandbox.take_warnings(),
    })
}

/// Returns the number of compiled components and their total size in bytes.
fn cached(dir: &Path) -> (usize, u64) {
    let entries = dir.read_dir().into_iter().flatten().flatten();
    let compiled = entries.filter(|entry| entry.path().extension().is_some_and(|ending| ending == "cwasm"));
    let sizes: Vec<u64> = compiled.filter_map(|entry| entry.metadata().ok()).map(|found| found.len()).collect();
    (sizes.len(), sizes.iter().sum())
}

impl Machine {
    /// Returns the lines of the report.
    pub(super) fn checks(&self) -> Vec<Check> {
        let Cache { path, components, bytes: size, limit } = &self.cache;
        let place = path.as_ref().map(|path| path.display().to_string());
        let found = place.map(|place| {
            format!("{place}: {components} components, {} of at most {}", bytes(*size), show_size(*limit))
        });
        let no_place = "set FROND_CACHE: without it components are compiled at each start";
        let mut checks = vec![
            Check::new("cores", true, self.cores.to_string(), ""),
            Check::new("cache", found.is_some(), found.unwrap_or_default(), no_place),
        ];
        if self.warnings.is_empty() {
            let room = format!("there is room for it, with {} waiting leaves", self.waiting);
            checks.push(Check::new("instance pool", true, room, ""));
        }
        checks
    }
}
