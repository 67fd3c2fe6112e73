//! The one thread that changes the served apps. It is told that something may have changed, waits until the files are still,
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
use super::links;
use super::state::State;
use super::watch::Watch;

/// Files are still when two looks so long apart see the same, and nothing was told between them.
const STILL: Duration = Duration::from_millis(200);
/// What never gets still is taken as it is after so long.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often a folder of apps is looked at that cannot be listed.
const BLIND: Duration = Duration::from_secs(2);
/// When a change is tried again that passed, and could not be stored.
const STORE_AGAIN: Duration = Duration::from_secs(30);

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
    /// Apps that are to be taken up then: half of a change waits for the rest.
    held: BTreeMap<String, Instant>,
    /// Apps whose change could not be stored, and when it is tried again.
    unstored: BTreeMap<String, Instant>,
    /// Somebody wants all changes at once, whole or not.
    at_once: bool,
}

impl Keeper {
    pub(crate) fn new(shared: Arc<Shared>, root: Root, state: State) -> Self {
        Self {
            watch: Watch::new(shared.inbox.clone()),
            shared,
            root,
            state,
            apps: BTreeMap::new(),
            seen: Seen::default(),
            looks: Looks::default(),
            said: Vec::new(),
            settling: None,
            blind: false,
            waiting: VecDeque::new(),
            held: BTreeMap::new(),
            unstored: BTreeMap::new(),
            at_once: false,
        }
    }

    /// Until the inbox closes.
    pub(crate) fn run(mut self) {
        let _closing = Closing(self.shared.clone());
        let wrong = self.watch.start(self.shared.settings.watch);
        self.warn(wrong);
        // Files that were there before the server are taken for still.
        let looks = self.look().unwrap_or_default();
        self.take(looks);
        loop {
            self.count(0);
            match self.shared.inbox.next(self.until()) {
                Signal::Close => {
                    self.apps.values_mut().for_each(|kept| kept.keep_query(&mut self.state));
                    return;
                }
                Signal::Reload => {
                    self.apps.values_mut().for_each(Kept::forget_refusal);
                    self.waiting = self.apps.keys().cloned().collect();
                    self.see_to_state();
                    self.held.clear();
                    self.at_once = true;
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
                    None if self.release_held() => {}
                    None => self.stir(),
                },
            }
        }
    }

    /// Queues the apps that have been held for long enough. True when there are any.
    fn release_held(&mut self) -> bool {
        let now = Instant::now();
        let due = self.held.extract_if(.., |_, at| *at <= now).chain(self.unstored.extract_if(.., |_, at| *at <= now));
        let due: Vec<String> = due.map(|(name, _)| name).filter(|name| !self.waiting.contains(name)).collect();
        let is_any = !due.is_empty();
        self.waiting.extend(due);
        is_any
    }

    fn until(&self) -> Until {
        match &self.settling {
            Some(settling) => Until::Still(settling.until),
            None if !self.waiting.is_empty() => Until::Now,
            None => {
                let patience = if self.blind { Some(BLIND) } else { self.watch.patience() };
                let look = patience.map(|patience| Instant::now() + patience);
                let next = look.into_iter().chain(self.unstored.values().copied()).min();
                match self.held.values().min() {
                    Some(held) => Until::Held(next.map_or(*held, |next| next.min(*held))),
                    None => Until::Told(next),
                }
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
        let is_same = self.settling.is_none() && !was_blind && looks.as_ref() == Some(&self.looks);
        self.watch.looked(!is_same);
        if is_same {
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
            self.held.remove(&name);
            self.unstored.remove(&name);
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
            if is_new || self.looks.apps.get(name) != Some(look) {
                self.enqueue(name, look);
            }
        }
        self.at_once = false;
        self.looks = looks;
        let named = |path: &Path| {
            let is = |found: &Option<super::folder::Found>| found.as_ref().is_some_and(|found| found.path == path);
            self.looks.apps.values().any(|look| is(&look.leaf) || is(&look.merge) || is(&look.split))
        };
        self.seen.retain(named, |dir| self.looks.apps.values().any(|look| look.dir == dir));
        self.follow();
    }

    /// Puts an app whose folder has changed in the queue; half of a change waits for the rest first.
    fn enqueue(&mut self, name: &str, look: &Look) {
        let half = self.apps.get(name).filter(|kept| !self.at_once && kept.is_half(look));
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

    /// Watches every folder in which a change would be seen.
    fn follow(&mut self) {
        let places = self.looks.apps.values().flat_map(|look| look.places.iter().map(|path| path.as_path()));
        let others = self.looks.others.iter().map(PathBuf::as_path);
        let mut links = Vec::new();
        links::folders(self.root.dir(), &mut links);
        self.looks.others.iter().for_each(|path| links::folders(path, &mut links));
        let links = links.iter().map(PathBuf::as_path);
        let (fresh, wrong) = self.watch.follow(places.chain(others).chain(links).chain([self.root.dir()]));
        self.warn(wrong);
        if fresh {
            // What happened before it was watched was not told.
            self.shared.inbox.changed();
        }
    }

    /// Makes the state folder again if somebody has removed it, and keeps in it what is known of each app.
    fn see_to_state(&mut self) {
        if !self.state.is_lost() {
            return;
        }
        let dir = self.shared.settings.state.display().to_string();
        let looks = &self.looks;
        let state = &mut self.state;
        let again = state.make_again().and_then(|()| {
            self.apps
                .iter_mut()
                .try_for_each(|(name, kept)| kept.rescue(looks.apps.get(name).map(|look| &**look), state))
        });
        match again {
            Ok(()) => tracing::error!(
                "the state folder `{dir}` was removed while the server ran, and is made again: what serves is kept, and past \
                 versions are lost"
            ),
            Err(error) => {
                let why = super::error::chain(&error);
                self.warn(Some(format!("the state folder `{dir}` was removed, and cannot be made again: {why}")));
            }
        }
    }

    fn bring(&mut self, name: &str) {
        self.see_to_state();
        let (Some(kept), Some(look)) = (self.apps.get_mut(name), self.looks.apps.get(name)) else { return };
        let look = look.clone();
        if kept.follow(&look, &self.shared, &mut self.state) {
            self.collect();
        } else if kept.is_unstored() {
            self.unstored.insert(name.to_owned(), Instant::now() + STORE_AGAIN);
        } else if kept.is_outrun() {
            // The files are no longer those that were seen.
            self.shared.inbox.changed();
        }
    }

    fn obey(&mut self, order: super::inbox::Order) {
        self.see_to_state();
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
