//! Notifications of file changes.
//! Where the system cannot notify, or only partly, files are polled: every second at first, less
//! often while nothing changes.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

#[cfg(target_os = "linux")]
use frond_app::local::is_kind_local;
use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher};

use super::commands::CommandQueue;
use super::settings::Watching;

/// Poll interval after a change, without notifications.
const SOONEST: Duration = Duration::from_secs(1);
/// Poll interval while nothing changes.
const LATEST: Duration = Duration::from_secs(5);
/// The most folders that are watched.
const MAX_FOLDERS: usize = 4096;

/// Watches folders, not recursively: deeper files, such as a build's output, are ignored.
pub(crate) struct Watch {
    source: Source,
    /// The file system does not report every change: some may come from other machines.
    is_partial: bool,
    interval: Duration,
    commands: Arc<CommandQueue>,
}

/// Source of notifications about changed files.
enum Source {
    /// Changes are not watched.
    Off,
    /// Notifications of the system.
    System {
        watcher: Box<RecommendedWatcher>,
        /// Each folder under one of its paths: the system knows only the folder.
        folders: BTreeMap<Id, PathBuf>,
    },
    /// Polling only.
    Polling,
}

/// Identity of a folder under any path: device, inode, and creation time, since inodes are reused.
type Id = (u64, u64, Option<SystemTime>);

impl Watch {
    /// Creates a watch that is off: see [`Watch::start`].
    pub(crate) fn new(commands: Arc<CommandQueue>) -> Self {
        Self { source: Source::Off, is_partial: false, interval: SOONEST, commands }
    }

    /// Starts to report changes to the command queue. Returns a warning if notifications do not
    /// work.
    pub(crate) fn start(&mut self, how: Watching) -> Option<String> {
        let commands = self.commands.clone();
        let watcher = match how {
            Watching::Off => return None,
            Watching::Polled => {
                self.source = Source::Polling;
                return None;
            }
            Watching::Told => notify::recommended_watcher(move |event: notify::Result<Event>| {
                // Reading files causes access events. An error may stand for any change.
                if event.map_or(true, |event| !event.kind.is_access() || event.need_rescan()) {
                    commands.changed();
                }
            }),
        };
        match watcher {
            Ok(watcher) => {
                self.source = Source::System { watcher: Box::new(watcher), folders: BTreeMap::new() };
                None
            }
            Err(error) => Some(self.give_up(&error)),
        }
    }

    /// Poll interval, if polling is needed.
    pub(crate) fn patience(&self) -> Option<Duration> {
        match self.source {
            Source::Off => None,
            Source::Polling => Some(self.interval),
            Source::System { .. } => self.is_partial.then_some(self.interval),
        }
    }

    /// Resets the poll interval after a change, and lengthens it otherwise.
    pub(crate) fn looked(&mut self, has_changed: bool) {
        self.interval = if has_changed { SOONEST } else { (self.interval * 3 / 2).min(LATEST) };
    }

    /// Watches these folders and no others.
    /// Returns true if one of them is new, since earlier changes in it were not reported, and a
    /// warning if watching does not work.
    pub(crate) fn follow<'a>(&mut self, wanted: impl Iterator<Item = &'a Path>) -> (bool, Option<String>) {
        let Source::System { watcher, folders } = &mut self.source else { return (false, None) };
        let id = |path: &Path| fs::metadata(path).ok().map(|found| (found.dev(), found.ino(), found.created().ok()));
        let wanted: BTreeMap<Id, PathBuf> =
            wanted.filter_map(|path| Some((id(path)?, path.to_path_buf()))).take(MAX_FOLDERS + 1).collect();
        if wanted.len() > MAX_FOLDERS {
            return (true, Some(self.give_up(&format!("there are more than {MAX_FOLDERS} folders to watch"))));
        }
        folders.retain(|id, path| {
            let same = wanted.contains_key(id);
            if !same {
                // The system stops by itself if the folder is gone.
                let _ = watcher.unwatch(path);
            }
            same
        });
        self.is_partial = wanted.values().any(|path| !reports_all(path));
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
                // The folder has been removed, which its parent folder reports.
                Err(notify::Error { kind: notify::ErrorKind::PathNotFound, .. }) => {}
                Err(error) => return (true, Some(self.give_up(&error))),
            }
        }
        (fresh, None)
    }

    fn give_up(&mut self, why: &dyn std::fmt::Display) -> String {
        self.source = Source::Polling;
        format!(
            "changes of files cannot be watched by inotify: files are polled every {} s instead\n  because: {why}\n\
             (raise fs.inotify.max_user_watches and max_user_instances)",
            LATEST.as_secs()
        )
    }
}

/// True if the system reports all changes below `path`.
/// Changes are not reported that another machine makes on a network file system or in a shared
/// folder.
#[cfg(target_os = "linux")]
fn reports_all(path: &Path) -> bool {
    // A folder that is gone needs no polling.
    rustix::fs::statfs(path).map_or(true, |found| is_kind_local(found.f_type))
}

/// On other systems, all changes are assumed to be reported.
#[cfg(not(target_os = "linux"))]
fn reports_all(_: &Path) -> bool {
    true
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn folders_that_others_change_are_looked_at_while_they_are_followed() {
        let own = tempfile::tempdir().unwrap();
        let own = own.path();
        let others = Path::new("/proc/self");
        let mut watch = Watch::new(Arc::new(CommandQueue::new(1)));
        assert_eq!((watch.start(Watching::Told), watch.patience()), (None, None));
        // Tests may run on a file system that other machines change.
        let alone = (!reports_all(own)).then_some(SOONEST);
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
