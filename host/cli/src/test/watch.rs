//! `frond test --watch`: again, whenever a file of the package changes.

use std::ffi::OsStr;
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use anyhow::Context;
use notify::{Event, RecursiveMode, Watcher};

use super::once;
use crate::args::TestArgs;
use crate::exit::{Exit, Machine};

/// An editor that saves makes several events: the run begins when none has come for so long.
const SETTLED: Duration = Duration::from_millis(200);
/// What builds write: a change there follows from one elsewhere.
const GENERATED: [&str; 6] = ["target", ".tools", "node_modules", "__pycache__", ".venv", ".git"];

/// Runs until interrupted.
pub(super) fn run(args: &TestArgs) -> anyhow::Result<Exit> {
    let (send, receive) = mpsc::channel();
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
        if event.is_ok_and(|event| is_source(&event)) {
            // Nobody listens any more once the process ends.
            let _ = send.send(());
        }
    })
    .context(Machine::new("files cannot be watched on this machine"))?;
    let folder = if args.path.is_dir() { args.path.as_path() } else { args.path.parent().unwrap_or(Path::new(".")) };
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    watcher.watch(folder, RecursiveMode::Recursive).with_context(|| format!("cannot watch `{}`", folder.display()))?;
    loop {
        if let Err(error) = once(args) {
            let _told = crate::report(&error);
        }
        eprintln!("waiting for a change in {} (Ctrl-C ends it)", folder.display());
        if receive.recv().is_err() {
            return Ok(Exit::Whole);
        }
        while receive.recv_timeout(SETTLED).is_ok() {}
    }
}

fn is_source(event: &Event) -> bool {
    let generated =
        |path: &Path| path.components().any(|part| GENERATED.iter().any(|one| part.as_os_str() == OsStr::new(one)));
    !event.kind.is_access() && event.paths.iter().any(|path| !generated(path))
}
