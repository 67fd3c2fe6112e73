//! Being told when a file may have changed. Where the machine cannot tell, or not of so many folders, files are looked at
//! every two seconds instead, and that is said.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher};

use super::inbox::Inbox;

/// How often files are looked at where nobody tells.
pub(crate) const POLL: Duration = Duration::from_secs(2);
/// The most folders that are watched.
const MAX_FOLDERS: usize = 4096;

/// Follows folders, each by itself: what lies deeper, such as a build's output, is not looked at.
pub(crate) enum Watch {
    /// Nobody wants to know.
    Off,
    /// The system tells.
    Told {
        watcher: Box<RecommendedWatcher>,
        /// Each under one of the names that it has: the system knows only the folder.
        folders: BTreeMap<Id, PathBuf>,
    },
    /// Somebody has to look.
    Polled,
}

/// What a folder is, whatever its name: device, inode and, as inodes are used again, when it was made.
type Id = (u64, u64, Option<SystemTime>);

impl Watch {
    /// Tells `inbox`. Says what does not work.
    pub(crate) fn start(inbox: &Arc<Inbox>) -> (Self, Option<String>) {
        let inbox = inbox.clone();
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            // Looking at files opens them. An error may hide anything.
            if event.map_or(true, |event| !event.kind.is_access() || event.need_rescan()) {
                inbox.changed();
            }
        });
        match watcher {
            Ok(watcher) => (Self::Told { watcher: Box::new(watcher), folders: BTreeMap::new() }, None),
            Err(error) => (Self::Polled, Some(polled(&error))),
        }
    }

    /// How long to wait before looking without being told.
    pub(crate) fn patience(&self) -> Option<Duration> {
        matches!(self, Self::Polled).then_some(POLL)
    }

    /// Watches these folders and no others. True when there is one among them that was not watched before: what happened
    /// in it so far was not told. Says what does not work.
    pub(crate) fn follow<'a>(&mut self, wanted: impl Iterator<Item = &'a Path>) -> (bool, Option<String>) {
        let Self::Told { watcher, folders } = self else { return (false, None) };
        let id = |path: &Path| fs::metadata(path).ok().map(|found| (found.dev(), found.ino(), found.created().ok()));
        let wanted: BTreeMap<Id, PathBuf> =
            wanted.filter_map(|path| Some((id(path)?, path.to_path_buf()))).take(MAX_FOLDERS + 1).collect();
        if wanted.len() > MAX_FOLDERS {
            *self = Self::Polled;
            return (true, Some(polled(&format!("there are more than {MAX_FOLDERS} folders to watch"))));
        }
        folders.retain(|id, path| {
            let same = wanted.contains_key(id);
            if !same {
                // The system stops by itself for a folder that is gone.
                let _ = watcher.unwatch(path);
            }
            same
        });
        let mut fresh = false;
        for (id, path) in wanted {
            if folders.contains_key(&id) {
                continue;
            }
            fresh = true;
            match watcher.watch(&path, RecursiveMode::NonRecursive) {
                Ok(()) => {
                    folders.insert(id, path);
                }
                // It has gone meanwhile, which the folder above tells.
                Err(notify::Error { kind: notify::ErrorKind::PathNotFound, .. }) => {}
                Err(error) => {
                    *self = Self::Polled;
                    return (true, Some(polled(&error)));
                }
            }
        }
        (fresh, None)
    }
}

fn polled(why: &dyn std::fmt::Display) -> String {
    format!(
        "changes of files cannot be told by the system: they are looked at every {} s instead\n  because: {why}\n\
         (raise fs.inotify.max_user_watches and max_user_instances)",
        POLL.as_secs()
    )
}
