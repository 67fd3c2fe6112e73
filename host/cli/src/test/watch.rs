//! `frond test --watch`: again, whenever a file of the package changes.

use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use anyhow::Context;
use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher};

use super::once;
use crate::args::TestArgs;
use crate::exit::{Exit, Machine};
use crate::signals;

/// An editor that saves makes several events: the run begins when none has come for so long.
const SETTLED: Duration = Duration::from_millis(200);
/// What builds write: a change there follows from one elsewhere.
const GENERATED: [&str; 6] = ["target", ".tools", "node_modules", "__pycache__", ".venv", ".git"];

/// Runs until interrupted, and then ends as the last run did; in the midst of a run that is no way for it to end.
pub(super) fn run(args: &TestArgs) -> anyhow::Result<Exit> {
    let folder = if args.path.is_dir() { args.path.as_path() } else { args.path.parent().unwrap_or(Path::new(".")) };
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let (_watcher, changes) = watch(folder)?;
    let last = Arc::new(AtomicU8::new(Exit::Interrupted as u8));
    let ended = last.clone();
    signals::at_each_ending(move || std::process::exit(ended.load(Ordering::SeqCst).into()))?;
    loop {
        let exit = once(args).unwrap_or_else(|error| crate::report(&error));
        last.store(exit as u8, Ordering::SeqCst);
        errln!("waiting for a change in {} (Ctrl-C ends it)", folder.display());
        if changes.recv().is_err() {
            return Ok(exit);
        }
        while changes.recv_timeout(SETTLED).is_ok() {}
        last.store(Exit::Interrupted as u8, Ordering::SeqCst);
    }
}

fn watch(folder: &Path) -> anyhow::Result<(RecommendedWatcher, Receiver<()>)> {
    let (send, receive) = mpsc::channel();
    let root = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let below = root.clone();
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
        if event.is_ok_and(|event| is_source(&event, &below)) {
            // Nobody listens any more once the process ends.
            let _ = send.send(());
        }
    })
    .context(Machine::new("files cannot be watched on this machine"))?;
    watcher.watch(&root, RecursiveMode::Recursive).with_context(|| format!("cannot watch `{}`", folder.display()))?;
    Ok((watcher, receive))
}

/// Only what is below the folder counts: it may itself be below one that is called `target`.
fn is_source(event: &Event, folder: &Path) -> bool {
    let generated = |path: &Path| {
        path.strip_prefix(folder)
            .unwrap_or(path)
            .components()
            .any(|part| GENERATED.iter().any(|one| part.as_os_str() == OsStr::new(one)))
    };
    !event.kind.is_access() && event.paths.iter().any(|path| !generated(path))
}
