//! The one thread that changes what is served. It is told that something may have changed, waits until the files are still,
//! looks, and takes up one app after the other: so no two changes are compiled at once, and a burst of them is checked in
//! its latest state.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::Shared;
use super::folder::{Listing, Look, Root, Seen};
use super::inbox::{Signal, Until};
use super::kept::Kept;
use super::state::State;
use super::watch::{POLL, Watch};

/// Files are still when two looks so long apart see the same, and nothing was told between them.
const STILL: Duration = Duration::from_millis(200);
/// What never gets still is taken as it is after so long.
const PATIENCE: Duration = Duration::from_secs(10);

/// What was seen of all apps.
#[derive(Clone, PartialEq, Default)]
struct Looks {
    apps: BTreeMap<String, Arc<Look>>,
    /// Folders that may become apps.
    others: Vec<PathBuf>,
}

/// Files that change.
struct Settling {
    since: Instant,
    until: Instant,
    last: Option<Looks>,
}

/// However the keeper ends: nobody shall wait for it then.
struct Closing(Arc<Shared>);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.inbox.close();
    }
}

/// All that the thread has to itself.
pub(crate) struct Keeper {
    pub(crate) shared: Arc<Shared>,
    root: Root,
    pub(crate) state: State,
    apps: BTreeMap<String, Kept>,
    watch: Watch,
    seen: Seen,
    looks: Looks,
    /// Said once, not at every look.
    said: Vec<String>,
    settling: Option<Settling>,
    /// The folder of apps could not be listed when last looked at.
    blind: bool,
    /// Apps that are to be taken up.
    waiting: VecDeque<String>,
}

impl Keeper {
    pub(crate) fn new(shared: Arc<Shared>, root: Root, state: State) -> Self {
        Self {
            shared,
            root,
            state,
            apps: BTreeMap::new(),
            watch: Watch::Off,
            seen: Seen::default(),
            looks: Looks::default(),
            said: Vec::new(),
            settling: None,
            blind: false,
            waiting: VecDeque::new(),
        }
    }

    /// Until the inbox closes.
    pub(crate) fn run(mut self) {
        let _closing = Closing(self.shared.clone());
        if self.shared.settings.watch {
            let (watch, wrong) = Watch::start(&self.shared.inbox);
            self.watch = watch;
            self.warn(wrong);
        }
        // Files that were there before the server are taken for still.
        let looks = self.look().unwrap_or_default();
        self.take(looks);
        loop {
            self.count(0);
            match self.shared.inbox.next(self.until()) {
                Signal::Close => return,
                Signal::Reload => {
                    self.apps.values_mut().for_each(Kept::forget_refusal);
                    self.waiting = self.apps.keys().cloned().collect();
                    self.stir();
                }
                Signal::Changed => self.stir(),
                Signal::Order(order) => {
                    self.count(1);
                    self.obey(order);
                }
                Signal::Idle if self.settling.is_some() => self.settle(),
                Signal::Idle => match self.waiting.pop_front() {
                    Some(name) => {
                        self.count(1);
                        self.bring(&name);
                    }
                    None => self.stir(),
                },
            }
        }
    }

    fn until(&self) -> Until {
        match &self.settling {
            Some(settling) => Until::Still(settling.until),
            None if !self.waiting.is_empty() => Until::Now,
            None => {
                let patience = if self.blind { Some(POLL) } else { self.watch.patience() };
                Until::Told(patience.map(|patience| Instant::now() + patience))
            }
        }
    }

    fn count(&self, under_way: usize) {
        self.shared.waiting.store(self.waiting.len() + under_way, Ordering::Relaxed);
    }

    /// Something may have changed: waits for files to be still, unless all is as it was.
    fn stir(&mut self) {
        let was_blind = self.blind;
        let looks = self.look();
        if self.settling.is_none() && !was_blind && looks.as_ref() == Some(&self.looks) {
            return;
        }
        let now = Instant::now();
        let since = self.settling.as_ref().map_or(now, |settling| settling.since);
        self.settling = Some(Settling { since, until: now + STILL, last: looks });
    }

    fn settle(&mut self) {
        let changed = self.shared.inbox.take_changed();
        let looks = self.look();
        let Some(settling) = &mut self.settling else { return };
        let still = !changed && looks == settling.last;
        if !still && settling.since.elapsed() < PATIENCE {
            settling.until = Instant::now() + STILL;
            settling.last = looks;
            return;
        }
        self.settling = None;
        if let Some(looks) = looks {
            self.take(looks);
        }
    }

    /// Looks at every app. `None` when it cannot be said which there are.
    fn look(&mut self) -> Option<Looks> {
        let found = self.root.list();
        self.blind = found.is_err();
        match found {
            Ok(Listing { apps, others, left_out }) => {
                left_out.into_iter().for_each(|wrong| self.warn(Some(wrong)));
                let look = |(name, dir): (String, PathBuf)| (name, Arc::new(Look::at(&dir, &mut self.seen)));
                Some(Looks { apps: apps.into_iter().map(look).collect(), others })
            }
            Err(error) => {
                let dir = self.root.dir().display();
                self.warn(Some(format!("the apps in `{dir}` cannot be listed, and stay as they are: {error}")));
                None
            }
        }
    }

    /// Takes up what was seen.
    fn take(&mut self, looks: Looks) {
        let gone: Vec<String> = self.apps.keys().filter(|name| !looks.apps.contains_key(*name)).cloned().collect();
        for name in gone {
            self.apps.remove(&name);
            self.waiting.retain(|one| *one != name);
            self.shared.remove(&name);
            tracing::info!(app = name, "its folder has gone, and so has the app");
        }
        for (name, look) in &looks.apps {
            let is_new = !self.apps.contains_key(name);
            if is_new {
                let slot = self.shared.add(name);
                let kept = Kept::open(name, slot, &self.state);
                self.apps.insert(name.clone(), kept);
            }
            if (is_new || self.looks.apps.get(name) != Some(look)) && !self.waiting.contains(name) {
                self.waiting.push_back(name.clone());
            }
        }
        self.looks = looks;
        let named = |path: &Path| {
            let is = |found: &Option<super::folder::Found>| found.as_ref().is_some_and(|found| found.path == path);
            self.looks.apps.values().any(|look| is(&look.leaf) || is(&look.merge) || is(&look.split))
        };
        self.seen.retain(named);
        let places = self.looks.apps.values().flat_map(|look| look.places.iter().map(|path| path.as_path()));
        let others = self.looks.others.iter().map(PathBuf::as_path);
        let (fresh, wrong) = self.watch.follow(places.chain(others).chain([self.root.dir()]));
        self.warn(wrong);
        if fresh {
            // What happened before it was watched was not told.
            self.shared.inbox.changed();
        }
    }

    fn bring(&mut self, name: &str) {
        let (Some(kept), Some(look)) = (self.apps.get_mut(name), self.looks.apps.get(name)) else { return };
        let look = look.clone();
        if kept.follow(&look, &self.shared, &mut self.state) {
            self.collect();
        } else if kept.is_outrun() {
            // The files are no longer those that were seen.
            self.shared.inbox.changed();
        }
    }

    fn obey(&mut self, order: super::inbox::Order) {
        let super::inbox::Order { app, wish, reply } = order;
        let result = match (self.apps.get_mut(&app), self.looks.apps.get(&app)) {
            (Some(kept), Some(look)) => {
                let look = Arc::new(Look::at(&look.dir, &mut self.seen));
                kept.obey(wish, &look, &self.shared, &mut self.state)
            }
            _ => Err(super::ChangeError::NotFound),
        };
        if result.is_ok() {
            self.collect();
        }
        // Whoever asked may have gone away: what was asked for is done all the same.
        let _ = reply.send(result);
    }

    fn collect(&mut self) {
        let result = self.state.collect(self.apps.keys().map(String::as_str));
        self.warn(result.err().map(|error| super::error::chain(&error)));
    }

    fn warn(&mut self, warning: Option<String>) {
        let Some(warning) = warning.filter(|one| !self.said.contains(one)) else { return };
        tracing::warn!("{warning}");
        if self.said.len() >= 100 {
            self.said.clear();
        }
        self.said.push(warning);
    }
}
