//! The reconciler: one thread that brings the served apps in line with their folders.
//! The reconciler is notified of changes, debounces an app's files, reads them, and starts a thread
//! that loads the app. One thread at a time loads an app, and a burst of changes is loaded once, in
//! its latest state. A load that hangs, or a file that keeps changing, delays no other app.

mod loads;
mod running;
mod snapshots;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::commands::{CommandQueue, Signal, Until};
use super::error::chain;
use super::folder::{FileCache, FolderSnapshot, Root};
use super::managed::ManagedApp;
use super::settle::{RestlessFiles, Settling};
use super::shared::Shared;
use super::slot::Slot;
use super::state::{SharedState, State};
use super::watch::Watch;
use frond_root::sync::lock;
use running::Running;

/// Poll interval while the folder of apps cannot be listed.
const BLIND: Duration = Duration::from_secs(2);
/// Grace period for loads when the server stops. Later ones are abandoned.
const LAST: Duration = Duration::from_secs(1);

/// Closes the command queue when the reconciler ends, even by a panic, so that nobody waits for it.
struct Closing(Arc<CommandQueue>);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// An app that is served.
struct App {
    slot: Arc<Slot>,
    /// The app's state; `None` while a thread loads it.
    kept: Option<Box<ManagedApp>>,
    /// The state folder was recreated while a thread had the app: store the app again.
    unrescued: bool,
    /// Refused changes must be checked again: a caller asked while a thread had the app.
    recheck: bool,
}

/// State of the reconciler's thread.
pub(crate) struct Reconciler {
    shared: Arc<Shared>,
    commands: Arc<CommandQueue>,
    root: Root,
    state: SharedState,
    apps: BTreeMap<String, App>,
    watch: Watch,
    seen: FileCache,
    snapshots: BTreeMap<String, Arc<FolderSnapshot>>,
    /// Folders that may become apps.
    others: Vec<PathBuf>,
    /// Warnings already logged, so that each is logged once.
    warned: Vec<String>,
    /// Apps whose files are changing, each with its last snapshot; `None` if it was not there.
    settling: BTreeMap<String, Settling<Option<Arc<FolderSnapshot>>>>,
    /// Apps whose files did not settle last time.
    restless: BTreeMap<String, RestlessFiles>,
    /// Earliest time of the next check for changes.
    rested: Instant,
    /// Time of the next poll without a notification.
    look_at: Option<Instant>,
    /// The folder of apps could not be listed last time.
    blind: bool,
    /// The queue of apps to load.
    waiting: VecDeque<String>,
    /// Loads in progress, by app; also of apps that are gone.
    running: BTreeMap<String, Running>,
    /// Number of loads started so far.
    begun: u64,
    /// Apps with an incomplete change, and the time at which they are loaded anyway.
    held: BTreeMap<String, Instant>,
    /// Apps whose load failed to be stored or took too long, and the time of the retry.
    again: BTreeMap<String, Instant>,
    /// Apps whose next change is loaded at once, even if it is incomplete.
    at_once: BTreeSet<String>,
}

impl Reconciler {
    pub(crate) fn new(shared: Arc<Shared>, commands: Arc<CommandQueue>, root: Root, state: State) -> Self {
        Self {
            watch: Watch::new(commands.clone()),
            shared,
            commands,
            root,
            state: Arc::new(Mutex::new(state)),
            apps: BTreeMap::new(),
            seen: FileCache::default(),
            snapshots: BTreeMap::new(),
            others: Vec::new(),
            warned: Vec::new(),
            settling: BTreeMap::new(),
            restless: BTreeMap::new(),
            rested: Instant::now(),
            look_at: None,
            blind: false,
            waiting: VecDeque::new(),
            running: BTreeMap::new(),
            begun: 0,
            held: BTreeMap::new(),
            again: BTreeMap::new(),
            at_once: BTreeSet::new(),
        }
    }

    /// Runs until the command queue closes.
    pub(crate) fn run(mut self) {
        let _closing = Closing(self.commands.clone());
        let wrong = self.watch.start(self.shared.settings.watch);
        self.warn(wrong);
        self.begin();
        loop {
            self.tick();
            let until = self.until();
            match self.commands.next(until, self.rested, |app| self.is_heard(app)) {
                Signal::Close => return self.end(),
                Signal::Reload => self.reload(),
                Signal::Changed => self.files_changed(),
                Signal::Command(order) => self.carry_out(order),
                Signal::Done(done) => self.done(done),
                Signal::Idle if self.look_at.is_some_and(|at| at <= Instant::now()) => self.files_changed(),
                Signal::Idle => {}
            }
        }
    }

    /// Does the work that is due.
    fn tick(&mut self) {
        let now = Instant::now();
        self.settle(now);
        self.give_up_overdue(now);
        self.release(now);
        self.load_waiting();
        let under_way = self.running.values().filter(|running| !running.is_overdue).count();
        self.shared.waiting.store(self.waiting.len() + under_way, Ordering::Relaxed);
    }

    /// Queues the apps whose wait is over.
    fn release(&mut self, now: Instant) {
        let due = self.held.extract_if(.., |_, at| *at <= now).chain(self.again.extract_if(.., |_, at| *at <= now));
        let due: Vec<String> = due.map(|(name, _)| name).filter(|name| !self.waiting.contains(name)).collect();
        self.waiting.extend(due);
    }

    fn until(&mut self) -> Until {
        let patience = if self.blind { Some(BLIND) } else { self.watch.patience() };
        self.look_at = patience.map(|patience| Instant::now() + patience);
        let loads = self.running.values().filter(|running| !running.is_overdue).map(|running| running.until);
        let settling = self.settling.values().map(Settling::next);
        let busy = loads.chain(settling).chain(self.held.values().copied()).min();
        let next = self.look_at.into_iter().chain(self.again.values().copied()).min();
        match busy {
            Some(busy) => Until::Held(next.map_or(busy, |next| next.min(busy))),
            // Overdue loads do not count: an app behind a hanging load has nothing to wait for.
            None => Until::Told(next),
        }
    }

    fn reload(&mut self) {
        for app in self.apps.values_mut() {
            app.recheck = app.kept.is_none();
            if let Some(kept) = &mut app.kept {
                kept.forget_refusal();
            }
        }
        self.waiting = self.apps.keys().cloned().collect();
        self.see_to_state();
        self.held.clear();
        self.again.clear();
        self.at_once = self.apps.keys().cloned().collect();
        self.files_changed();
        self.at_once.retain(|name| self.settling.contains_key(name));
    }

    /// Waits for running loads for a moment, and stores the canary queries.
    fn end(mut self) {
        for running in self.running.values() {
            running.load.give_up();
        }
        let until = Instant::now() + LAST;
        while !self.running.is_empty()
            && let Some(done) = self.commands.last_done(until)
        {
            self.running.remove(&done.name);
            if let Some(app) = self.apps.get_mut(&done.name) {
                app.kept.get_or_insert(done.kept);
            }
        }
        for name in self.running.keys() {
            tracing::warn!(app = name, "the app's load has not ended, and is abandoned");
        }
        let idle = self.apps.values_mut().filter_map(|app| app.kept.as_mut());
        idle.for_each(|kept| kept.keep_query(&self.state));
    }

    /// Recreates the state folder if it was removed, and stores in it everything known about each
    /// app.
    fn see_to_state(&mut self) {
        let mut state = lock(&self.state);
        if !state.is_lost() {
            return;
        }
        let made = state.make_again();
        drop(state);
        let mut again = made;
        for (name, app) in &mut self.apps {
            app.unrescued = app.kept.is_none();
            if let (Ok(()), Some(kept)) = (&again, &mut app.kept) {
                again = kept.rescue(self.snapshots.get(name).map(|snapshot| &**snapshot), &self.state);
            }
        }
        let dir = self.shared.settings.state.display().to_string();
        match again {
            Ok(()) => tracing::error!(
                "the state folder `{dir}` was removed while the server ran, and is made again: serving versions \
                 are kept, and past versions are lost"
            ),
            Err(error) => {
                let why = chain(&error);
                self.warn(Some(format!("the state folder `{dir}` was removed, and cannot be made again: {why}")));
            }
        }
    }

    fn collect(&mut self) {
        let result = lock(&self.state).collect(self.apps.keys().map(String::as_str));
        self.warn(result.err().map(|error| chain(&error)));
    }

    fn warn(&mut self, warning: Option<String>) {
        let Some(warning) = warning.filter(|one| !self.warned.contains(one)) else { return };
        tracing::warn!("{warning}");
        if self.warned.len() >= 100 {
            self.warned.clear();
        }
        self.warned.push(warning);
    }
}
