//! `frond test --watch`: runs the tests again after each change of the package's files.

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
use crate::args::TestArgs;
use crate::exit::{Exit, MachineFault};
use crate::signals;

/// Debounce: the run begins when no event has arrived for this time, because saving a file makes
/// several events.
const SETTLED: Duration = Duration::from_millis(200);
/// Number of runs in a row during which a file changes, after which it counts as written by the
/// runs.
const PATIENCE: u32 = 3;

/// Repeats `once`, a run of all cases, until interrupted. Between two runs the exit code is that of
/// the last run, and during a run it is [`Exit::Interrupted`].
pub(super) fn run(args: &TestArgs, once: impl Fn() -> anyhow::Result<Exit>) -> anyhow::Result<Exit> {
    let folder = if args.path.is_dir() { args.path.as_path() } else { args.path.parent().unwrap_or(Path::new(".")) };
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let (_watcher, changes) = watch(folder)?;
    let last = Arc::new(AtomicU8::new(Exit::Interrupted as u8));
    let ended = last.clone();
    signals::at_each_ending(move || std::process::exit(ended.load(Ordering::SeqCst).into()))?;
    let mut sources = Sources::new(folder);
    loop {
        sources.begin(written(args));
        let exit = once().unwrap_or_else(|error| crate::report::report(&error));
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
            // The receiver is dropped only when the process ends.
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

/// Returns the paths that a run with `--build` writes: components with a build command, and the
/// tools folder. An invalid package has none.
fn written(args: &TestArgs) -> BTreeSet<PathBuf> {
    if !args.build {
        return BTreeSet::new();
    }
    let package = tester::package(&args.path).ok();
    let built = package.iter().flat_map(|package| package.components()).filter(|one| one.build.is_some());
    let built = built.filter_map(|one| Some(canonical(one.path.parent()?).join(one.path.file_name()?)));
    built.chain(std::env::var_os("FROND_TOOLS").map(|tools| canonical(Path::new(&tools)))).collect()
}

/// Contents of a folder's sources: only a changed content leads to a run, not a file that is
/// written with the same content.
struct Sources {
    root: PathBuf,
    ignored: Ignored,
    seen: Snapshot,
    /// Changed files of the last run, with the number of runs in a row during which each has
    /// changed.
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

    /// Takes the snapshot at the start of a run; `written` has the paths that the run writes.
    fn begin(&mut self, written: BTreeSet<PathBuf>) {
        self.ignored.paths = written;
        self.seen = self.snapshot();
    }

    /// Returns true if a file changed during the run that has ended, which may have missed the
    /// change.
    fn changed_meanwhile(&mut self) -> bool {
        let now = self.snapshot();
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
            errln!("`{}` changes during each run: it is treated as output of the build", path.display());
        }
        self.streaks.values().any(|streak| *streak < PATIENCE)
    }

    /// Returns true if a file has changed since the last run.
    fn changed(&self) -> bool {
        !self.snapshot().differing(&self.seen).is_empty()
    }

    fn snapshot(&self) -> Snapshot {
        Snapshot::take(&self.root, &self.ignored, &self.seen)
    }
}
