//! Snapshots of the app folders: which have changed, which are still, and which folders to watch.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{App, Reconciler};
use crate::folder::{ComponentFile, FolderSnapshot, Listing};
use crate::links;
use crate::managed::ManagedApp;
use crate::settle::{FileActivity, RestlessFiles, STILL, Settling};
use frond_root::sync::lock;

/// Pause after a scan, as a multiple of its duration: scans use at most a fifth of a core.
const PAUSES: u32 = 4;
/// The longest pause.
const LONGEST: Duration = Duration::from_secs(10);

impl Reconciler {
    /// Reads all apps at the start. Files from before the start count as still.
    pub(super) fn begin(&mut self) {
        let Some(listing) = self.list() else { return };
        for (name, dir) in listing.apps {
            let snapshot = Arc::new(FolderSnapshot::at(&dir, &mut self.seen));
            self.take(&name, Some(snapshot));
        }
        self.others = listing.others;
        self.follow();
    }

    /// Scans all apps after a notification. Changed apps must settle first.
    pub(super) fn files_changed(&mut self) {
        let now = Instant::now();
        let was_blind = self.blind;
        let mut has_changed = was_blind;
        if let Some(listing) = self.list() {
            has_changed |= self.others != listing.others;
            let gone = self.apps.keys().filter(|name| !listing.apps.contains_key(*name)).cloned();
            let mut changed: Vec<(String, Option<Arc<FolderSnapshot>>)> = gone.map(|name| (name, None)).collect();
            for (name, dir) in listing.apps {
                if self.settling.contains_key(&name) {
                    continue;
                }
                let snapshot = Arc::new(FolderSnapshot::at(&dir, &mut self.seen));
                if self.snapshots.get(&name) != Some(&snapshot) {
                    changed.push((name, Some(snapshot)));
                }
            }
            has_changed |= !changed.is_empty() || !self.settling.is_empty();
            for (name, snapshot) in changed {
                let restless = self.restless.get(&name).copied();
                self.settling.entry(name).or_insert_with(|| Settling::new(now, snapshot, restless));
            }
            if self.others != listing.others {
                self.others = listing.others;
                self.follow();
            }
        }
        self.watch.looked(has_changed);
        self.rested = Instant::now() + STILL.max((now.elapsed() * PAUSES).min(LONGEST));
    }

    /// Applies apps whose files have settled.
    pub(super) fn settle(&mut self, now: Instant) {
        let due: Vec<String> =
            self.settling.iter().filter(|(_, one)| one.next() <= now).map(|(name, _)| name.clone()).collect();
        if due.is_empty() {
            return;
        }
        let Some(listing) = self.list() else {
            // The apps' state is unknown now: they settle again once the folder can be listed.
            due.iter().for_each(|name| drop(self.settling.remove(name)));
            return;
        };
        let mut taken = false;
        for name in due {
            let seen = listing.apps.get(&name).map(|dir| Arc::new(FolderSnapshot::at(dir, &mut self.seen)));
            let Some(settling) = self.settling.get_mut(&name) else { continue };
            match settling.snapshot(now, seen.clone()) {
                FileActivity::Changing => continue,
                FileActivity::Still => drop(self.restless.remove(&name)),
                FileActivity::Restless => {
                    let again = RestlessFiles::again(self.restless.get(&name).copied());
                    self.restless.insert(name.clone(), again);
                    tracing::warn!(
                        app = name,
                        "the app's files keep changing: the app is loaded as it is, and checked less often"
                    );
                }
            }
            self.settling.remove(&name);
            self.take(&name, seen);
            taken = true;
        }
        if taken {
            self.follow();
        }
    }

    /// Lists the apps; `None` if the folder cannot be listed.
    fn list(&mut self) -> Option<Listing> {
        let found = self.root.list();
        self.blind = found.is_err();
        match found {
            Ok(mut listing) => {
                std::mem::take(&mut listing.left_out).into_iter().for_each(|wrong| self.warn(Some(wrong)));
                Some(listing)
            }
            Err(error) => {
                let dir = self.root.dir().display();
                self.warn(Some(format!("the apps in `{dir}` cannot be listed, and stay as they are: {error}")));
                None
            }
        }
    }

    /// Applies a snapshot of an app; `None` removes the app.
    fn take(&mut self, name: &str, snapshot: Option<Arc<FolderSnapshot>>) {
        let Some(snapshot) = snapshot else { return self.remove(name) };
        let is_new = !self.apps.contains_key(name);
        if is_new {
            let slot = self.shared.add(name);
            let kept = Box::new(ManagedApp::open(name, slot.clone(), &lock(&self.state).artifacts));
            self.apps.insert(name.to_owned(), App { slot, kept: Some(kept), unrescued: false, recheck: false });
        }
        if is_new || self.snapshots.get(name) != Some(&snapshot) {
            self.enqueue(name, &snapshot);
        }
        self.at_once.remove(name);
        self.snapshots.insert(name.to_owned(), snapshot);
    }

    fn remove(&mut self, name: &str) {
        self.snapshots.remove(name);
        self.restless.remove(name);
        self.waiting.retain(|one| one != name);
        self.held.remove(name);
        self.again.remove(name);
        if let Some(running) = self.running.get(name) {
            running.load.give_up();
        }
        if self.apps.remove(name).is_some() {
            self.shared.remove(name);
            tracing::info!(app = name, "the app's folder was removed: the app is no longer served");
        }
    }

    /// Queues an app whose folder has changed. An incomplete change first waits for the rest.
    fn enqueue(&mut self, name: &str, snapshot: &FolderSnapshot) {
        let kept = self.apps.get(name).and_then(|app| app.kept.as_ref());
        let half = kept.filter(|kept| !self.at_once.contains(name) && kept.is_half(snapshot));
        if let Some(kept) = half {
            kept.wait_for_rest(&self.shared);
            self.waiting.retain(|one| one != name);
            self.held.insert(name.to_owned(), Instant::now() + self.shared.settings.together);
            return;
        }
        self.held.remove(name);
        if !self.waiting.iter().any(|one| one == name) {
            self.waiting.push_back(name.to_owned());
        }
    }

    /// Watches every folder in which a change would be noticed.
    fn follow(&mut self) {
        let snapshots = &self.snapshots;
        let named = |path: &Path| {
            let is = |found: &Option<ComponentFile>| found.as_ref().is_some_and(|found| found.path == path);
            snapshots.values().any(|snapshot| is(&snapshot.leaf) || is(&snapshot.merge) || is(&snapshot.split))
        };
        self.seen.retain(named, |dir| snapshots.values().any(|snapshot| snapshot.dir == dir));
        let places = snapshots.values().flat_map(|snapshot| snapshot.places.iter().map(PathBuf::as_path));
        let others = self.others.iter().map(PathBuf::as_path);
        let mut links = Vec::new();
        links::folders(self.root.dir(), &mut links);
        self.others.iter().for_each(|path| links::folders(path, &mut links));
        let links = links.iter().map(PathBuf::as_path);
        let (fresh, wrong) = self.watch.follow(places.chain(others).chain(links).chain([self.root.dir()]));
        self.warn(wrong);
        if fresh {
            // Changes before the watch began were not reported.
            self.commands.changed();
        }
    }
}
