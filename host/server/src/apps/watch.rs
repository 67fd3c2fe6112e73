//! Word of files that may have changed. Where the system cannot tell, or tells only a part, files are looked at instead: every
//! second at first, and more slowly while nothing changes.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

#[cfg(target_os = "linux")]
use frond_app::local::is_kind_local;
use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher};

use super::Watching;
use super::commands::CommandQueue;

/// How often files are looked at that have just changed, where nobody tells.
const SOONEST: Duration = Duration::from_secs(1);
/// How often they are looked at while nothing changes.
const LATEST: Duration = Duration::from_secs(5);
/// The most folders that are watched.
const MAX_FOLDERS: usize = 4096;

/// Follows folders, each by itself: what lies deeper, such as a build's output, is not looked at.
pub(crate) struct Watch {
    teller: Teller,
    /// Folders whose file system tells not all: their changes may come from another machine.
    silent: bool,
    pace: Duration,
    commands: Arc<CommandQueue>,
}

enum Teller {
    /// Nobody wants to know.
    Off,
    /// The system tells.
    System {
        watcher: Box<RecommendedWatcher>,
        /// Each under one of the names that it has: the system knows only the folder.
        folders: BTreeMap<Id, PathBuf>,
    },
    /// Somebody has to look.
    Nobody,
}

/// Identity of a folder, whatever its name: device, inode and, as inodes are reused, when it was made.
type Id = (u64, u64, Option<SystemTime>);

impl Watch {
    /// A watch that is off: see [`Watch::start`].
    pub(crate) fn new(commands: Arc<CommandQueue>) -> Self {
        Self { teller: Teller::Off, silent: false, pace: SOONEST, commands }
    }

    /// Tells the inbox from now on. Returns a warning where that does not work.
    pub(crate) fn start(&mut self, how: Watching) -> Option<String> {
        let commands = self.commands.clone();
        let watcher = match how {
            Watching::Off => return None,
            Watching::Polled => {
                self.teller = Teller::Nobody;
                return None;
            }
            Watching::Told => notify::recommended_watcher(move |event: notify::Result<Event>| {
                // Looking at files opens them. An error may hide anything.
                if event.map_or(true, |event| !event.kind.is_access() || event.need_rescan()) {
                    commands.changed();
                }
            }),
        };
        match watcher {
            Ok(watcher) => {
                self.teller = Teller::System { watcher: Box::new(watcher), folders: BTreeMap::new() };
                None
            }
            Err(error) => Some(self.give_up(&error)),
        }
    }

    /// How long to wait before looking without being told.
    pub(crate) fn patience(&self) -> Option<Duration> {
        match self.teller {
            Teller::Off => None,
            Teller::Nobody => Some(self.pace),
            Teller::System { .. } => self.silent.then_some(self.pace),
        }
    }

    /// Looks more often after a change, and more slowly while nothing changes.
    pub(crate) fn looked(&mut self, has_changed: bool) {
        self.pace = if has_changed { SOONEST } else { (self.pace * 3 / 2).min(LATEST) };
    }

    /// Watches these folders and no others. Returns true when one among them was not watched before, as changes in it were
    /// not told so far, and a warning where that does not work.
    pub(crate) fn follow<'a>(&mut self, wanted: impl Iterator<Item = &'a Path>) -> (bool, Option<String>) {
        let Teller::System { watcher, folders } = &mut self.teller else { return (false, None) };
        let id = |path: &Path| fs::metadata(path).ok().map(|found| (found.dev(), found.ino(), found.created().ok()));
        let wanted: BTreeMap<Id, PathBuf> =
            wanted.filter_map(|path| Some((id(path)?, path.to_path_buf()))).take(MAX_FOLDERS + 1).collect();
        if wanted.len() > MAX_FOLDERS {
            return (true, Some(self.give_up(&format!("there are more than {MAX_FOLDERS} folders to watch"))));
        }
        folders.retain(|id, path| {
            let same = wanted.contains_key(id);
            if !same {
                // The system stops by itself for a folder that is gone.
                let _ = watcher.unwatch(path);
            }
            same
        });
        self.silent = wanted.values().any(|path| !tells_all(path));
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
                Err(error) => return (true, Some(self.give_up(&error))),
            }
        }
        (fresh, None)
    }

    fn give_up(&mut self, why: &dyn std::fmt::Display) -> String {
        self.teller = Teller::Nobody;
        format!(
            "changes of files cannot be told by the system: they are looked at every {} s instead\n  because: {why}\n\
             (raise fs.inotify.max_user_watches and max_user_instances)",
            LATEST.as_secs()
        )
    }
}

/// Whether all changes below `path` are told by the system: not those that another machine makes on a network file system or
/// a shared folder.
#[cfg(target_os = "linux")]
fn tells_all(path: &Path) -> bool {
    // A folder that has gone meanwhile is no reason to look.
    rustix::fs::statfs(path).map_or(true, |found| is_kind_local(found.f_type))
}

/// As on Linux.
#[cfg(not(target_os = "linux"))]
fn tells_all(_: &Path) -> bool {
    true
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn folders_that_others_change_are_looked_at_while_they_are_followed() {
        let own = tempfile::tempdir().unwrap();
        let (own, others) = (own.path(), Path::new("/proc/self"));
        let mut watch = Watch::new(Arc::new(CommandQueue::new(1)));
        assert_eq!((watch.start(Watching::Told), watch.patience()), (None, None));
        // Tests may run on a file system that others change.
        let alone = (!tells_all(own)).then_some(SOONEST);
        for (wanted, patience) in [(vec![own], alone), (vec![own, others], Some(SOONEST)), (vec![own], alone)] {
            assert_eq!(watch.follow(wanted.into_iter()).1, None);
            assert_eq!(watch.patience(), patience);
        }
    }

    #[test]
    fn looks_are_slower_while_nothing_changes() {
        let mut watch = Watch::new(Arc::new(CommandQueue::new(1)));
        assert_eq!((watch.start(Watching::Polled), watch.patience()), (None, Some(SOONEST)));
        (0..9).for_each(|_| watch.looked(false));
        assert_eq!(watch.patience(), Some(LATEST));
        watch.looked(true);
        assert_eq!(watch.patience(), Some(SOONEST));
    }
}
