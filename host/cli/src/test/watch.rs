//! `frond test --watch`: again, whenever a file of the package changes.

mod snapshot;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use anyhow::Context;
use frond_test::tester;
use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher};

use self::snapshot::{Ignored, Snapshot};
use super::once;
use crate::args::TestArgs;
use crate::exit::{Exit, MachineFault};
use crate::signals;

/// An editor that saves makes several events: the run begins when none has come for so long.
const SETTLED: Duration = Duration::from_millis(200);
/// A file that changes during so many runs in a row is written by them, and leads to no further run.
const PATIENCE: u32 = 3;

/// Runs until interrupted, and then ends as the last run did; in the midst of a run that is no way for it to end.
pub(super) fn run(args: &TestArgs) -> anyhow::Result<Exit> {
    let folder = if args.path.is_dir() { args.path.as_path() } else { args.path.parent().unwrap_or(Path::new(".")) };
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let (_watcher, changes) = watch(folder)?;
    let last = Arc::new(AtomicU8::new(Exit::Interrupted as u8));
    let ended = last.clone();
    signals::at_each_ending(move || std::process::exit(ended.load(Ordering::SeqCst).into()))?;
    let mut sources = Sources::new(folder);
    loop {
        sources.begin(written(args));
        let exit = once(args).unwrap_or_else(|error| crate::report(&error));
        last.store(exit as u8, Ordering::SeqCst);
        if !sources.changed_meanwhile() {
            errln!("waiting for a change in {} (Ctrl-C ends it)", folder.display());
            while !sources.changed() {
                if changes.recv().is_err() {
                    return Ok(exit);
                }
                while changes.recv_timeout(SETTLED).is_ok() {}
            }
        }
        last.store(Exit::Interrupted as u8, Ordering::SeqCst);
    }
}

fn watch(folder: &Path) -> anyhow::Result<(RecommendedWatcher, Receiver<()>)> {
    let (send, receive) = mpsc::channel();
    let root = canonical(folder);
    let below = root.clone();
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
        if event.is_ok_and(|event| is_source(&event, &below)) {
            // Nobody listens any more once the process ends.
            let _ = send.send(());
        }
    })
    .context(MachineFault::new("files cannot be watched on this machine"))?;
    watcher.watch(&root, RecursiveMode::Recursive).with_context(|| format!("cannot watch `{}`", folder.display()))?;
    Ok((watcher, receive))
}

fn is_source(event: &Event, folder: &Path) -> bool {
    let ignored = Ignored::default();
    !event.kind.is_access() && event.paths.iter().any(|path| !ignored.has(folder, path))
}

fn canonical(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

/// Paths that a run with `--build` writes: components that have a build command, and the folder of the tools. A package
/// that is wrong builds nothing.
fn written(args: &TestArgs) -> BTreeSet<PathBuf> {
    if !args.build {
        return BTreeSet::new();
    }
    let package = tester::package(&args.path).ok();
    let built = package.iter().flat_map(|package| package.components()).filter(|one| one.build.is_some());
    let built = built.filter_map(|one| Some(canonical(one.path.parent()?).join(one.path.file_name()?)));
    built.chain(std::env::var_os("FROND_TOOLS").map(|tools| canonical(Path::new(&tools)))).collect()
}

/// Contents of a folder's sources: a run follows a change of content, and not a file that was written with what it had.
struct Sources {
    root: PathBuf,
    ignored: Ignored,
    seen: Snapshot,
    /// For each file that changed during the last run, during how many runs in a row it has.
    streaks: BTreeMap<PathBuf, u32>,
}

impl Sources {
    fn new(folder: &Path) -> Self {
        Self {
            root: canonical(folder),
            ignored: Ignored::default(),
            seen: Snapshot::default(),
            streaks: BTreeMap::new(),
        }
    }

    /// Notes what the run that begins will find; it writes `written`.
    fn begin(&mut self, written: BTreeSet<PathBuf>) {
        self.ignored.paths = written;
        self.seen = self.style();
    }

    /// Returns true when something changed during the run that has ended, so that it may not have seen it.
    fn changed_meanwhile(&mut self) -> bool {
        let now = self.style();
        let changed = now.differing(&self.seen);
        self.seen = now;
        self.streaks = changed
            .into_iter()
            .map(|path| {
                let streak = self.streaks.get(&path).map_or(1, |streak| streak.saturating_add(1));
                (path, streak)
            })
            .collect();
        for (path, _) in self.streaks.iter().filter(|(_, streak)| **streak == PATIENCE) {
            errln!("`{}` changes during each run: it is taken for what the build writes", path.display());
        }
        self.streaks.values().any(|streak| *streak < PATIENCE)
    }

    /// Returns true when something has changed since the last run.
    fn changed(&self) -> bool {
        !self.style().differing(&self.seen).is_empty()
    }

    fn style(&self) -> Snapshot {
        Snapshot::take(&self.root, &self.ignored, &self.seen)
    }
}
