//! One reader of the store for each job that is followed on this server.
//! All followers share its events (fan-out), so that more followers put no more load on the store.
//! The job may run on any server.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Weak};
use std::time::Duration;

use frond_jobs::store::{EventPage, Job};
use frond_jobs::{JobId, JobState, JobStore, StoreError};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

/// Poll interval of a followed job.
const PACE: Duration = Duration::from_millis(200);
/// The most events per read.
const BATCH: u32 = 500;
/// The most events, and bytes of them, that followers share. Followers further behind read the
/// store.
const WINDOW: (usize, usize) = (5_000, 4 << 20);

/// The feeds of a server's followed jobs.
#[derive(Default)]
pub(crate) struct Feeds {
    feeds: Mutex<HashMap<JobId, Weak<Feed>>>,
    readers: Mutex<JoinSet<()>>,
}

impl Feeds {
    /// Returns the feed of a job that was just read from `store`. The feed's reader lives as long
    /// as the feed has followers.
    pub(super) fn of(&self, store: &Arc<dyn JobStore>, job: &Job) -> Arc<Feed> {
        let mut feeds = self.feeds.lock();
        let known = feeds.get(&job.id).and_then(Weak::upgrade).filter(|feed| !feed.is_over());
        if let Some(feed) = known {
            return feed;
        }
        feeds.retain(|_, feed| feed.strong_count() > 0);
        let feed = Arc::new(Feed::new(job.clone()));
        if !feed.is_over() {
            feeds.insert(job.id, Arc::downgrade(&feed));
            let mut readers = self.readers.lock();
            while readers.try_join_next().is_some() {}
            readers.spawn(read(store.clone(), Arc::downgrade(&feed), job.id, job.events));
        }
        feed
    }

    /// Stops the readers. The followers' streams break off, so that clients reconnect to another
    /// server.
    pub(super) async fn close(&self) {
        let mut readers = std::mem::take(&mut *self.readers.lock());
        readers.shutdown().await;
        let feeds: Vec<_> = self.feeds.lock().drain().filter_map(|(_, feed)| feed.upgrade()).collect();
        for feed in feeds {
            let stopping = Box::<dyn std::error::Error + Send + Sync>::from("the server is stopping");
            feed.publish(Err(StoreError::Unavailable(stopping.into())));
        }
    }
}

/// The shared state of one followed job.
pub(super) struct Feed {
    state: Mutex<State>,
    changed: watch::Sender<()>,
}

/// Window of a job's events that its followers share.
struct State {
    job: Job,
    /// The number of the event before the first of `events`.
    start: u64,
    events: VecDeque<(u64, String)>,
    bytes: usize,
    /// Set once nothing more follows: the job has ended, or its store has failed.
    over: Option<Result<(), StoreError>>,
}

/// Result of reading a feed.
enum FeedPage {
    Page(EventPage),
    /// The follower's next events are no longer in the feed, but may be in the store.
    Behind {
        start: u64,
    },
    Nothing,
    Over(Result<(), StoreError>),
}

impl Feed {
    fn new(job: Job) -> Self {
        let start = job.events;
        let over = job.state.is_ended().then_some(Ok(()));
        let state = State { job, start, events: VecDeque::new(), bytes: 0, over };
        Self { state: Mutex::new(state), changed: watch::Sender::new(()) }
    }

    fn is_over(&self) -> bool {
        self.state.lock().over.is_some()
    }

    /// Waits for the job's end and returns it.
    pub(super) async fn ended(&self) -> Result<Job, StoreError> {
        let mut changed = self.changed.subscribe();
        loop {
            {
                let state = self.state.lock();
                if let Some(over) = &state.over {
                    return over.clone().map(|()| state.job.clone());
                }
            }
            // Waiting cannot fail while `self` holds the sender.
            let _ = changed.changed().await;
        }
    }

    /// The job as it was last read.
    pub(super) fn job(&self) -> Job {
        self.state.lock().job.clone()
    }

    fn read(&self, after: u64) -> FeedPage {
        let state = self.state.lock();
        if after < state.start {
            return FeedPage::Behind { start: state.start };
        }
        let fresh = state.events.iter().skip_while(|(number, _)| *number <= after);
        let events: Vec<_> = fresh.take(BATCH as usize).cloned().collect();
        match (&state.over, events.is_empty()) {
            (_, false) => FeedPage::Page(EventPage { events, missed: 0 }),
            (Some(over), true) => FeedPage::Over(over.clone()),
            (None, true) => FeedPage::Nothing,
        }
    }

    /// Publishes a read of the store. True if nothing more follows.
    fn publish(&self, read: Result<(Job, EventPage), StoreError>) -> bool {
        let over = {
            let mut state = self.state.lock();
            match read {
                Ok((job, page)) => state.take(job, page),
                Err(error) => state.over = Some(Err(error)),
            }
            state.over.is_some()
        };
        self.changed.send_replace(());
        over
    }
}

impl State {
    fn take(&mut self, job: Job, page: EventPage) {
        self.over = match job.state {
            JobState::Expired => Some(Err(StoreError::Expired(job.id))),
            // A job writes its events before it ends, so all of them have been read.
            state if state.is_ended() && page.events.is_empty() => Some(Ok(())),
            _ => None,
        };
        self.job = job;
        if page.missed > 0 {
            self.events.clear();
            self.bytes = 0;
            self.start = page.events.first().map_or(self.start, |(first, _)| first.saturating_sub(1));
        }
        self.bytes += page.events.iter().map(|(_, line)| line.len()).sum::<usize>();
        self.events.extend(page.events);
        while self.events.len() > WINDOW.0 || (self.bytes > WINDOW.1 && self.events.len() > 1) {
            let Some((number, line)) = self.events.pop_front() else { break };
            self.bytes -= line.len();
            self.start = number;
        }
    }
}

/// Reads the store for all followers, until nothing more follows or nobody follows.
async fn read(store: Arc<dyn JobStore>, feed: Weak<Feed>, id: JobId, mut last: u64) {
    loop {
        let read = news(&*store, id, last).await;
        let full = match &read {
            Ok((_, page)) => {
                last = page.events.last().map_or(last, |(number, _)| *number);
                page.events.len() == BATCH as usize
            }
            Err(_) => false,
        };
        if feed.upgrade().is_none_or(|feed| feed.publish(read)) {
            return;
        }
        if !full {
            sleep(PACE).await;
        }
    }
}

/// Reads the job, and its events after `last`.
async fn news(store: &dyn JobStore, id: JobId, last: u64) -> Result<(Job, EventPage), StoreError> {
    // The state is read first: events from before the end are then in the store.
    let job = store.get(id).await?;
    let page = if job.state != JobState::Expired && job.events > last {
        store.events(id, last, BATCH).await?
    } else {
        EventPage::default()
    };
    Ok((job, page))
}

/// One follower's cursor into a job's events.
pub(super) struct Follower {
    pub(super) store: Arc<dyn JobStore>,
    pub(super) feed: Arc<Feed>,
    pub(super) id: JobId,
    /// The number of the last event that the follower has received.
    pub(super) after: u64,
}

impl Follower {
    /// Returns the next events; `None` once the job has ended.
    ///
    /// # Errors
    /// The store's errors. The job continues, so the follower can resume at its cursor.
    pub(super) async fn next(&mut self) -> Result<Option<EventPage>, StoreError> {
        let mut changed = self.feed.changed.subscribe();
        loop {
            let page = match self.feed.read(self.after) {
                FeedPage::Page(page) => page,
                FeedPage::Behind { start } => {
                    let page = self.store.events(self.id, self.after, BATCH).await?;
                    if page.events.is_empty() {
                        self.after = start;
                        continue;
                    }
                    page
                }
                FeedPage::Over(over) => return over.map(|()| None),
                FeedPage::Nothing => {
                    // Waiting cannot fail while the feed holds the sender.
                    let _ = changed.changed().await;
                    continue;
                }
            };
            self.after = page.events.last().map_or(self.after, |(last, _)| *last);
            return Ok(Some(page));
        }
    }
}

#[cfg(test)]
mod tests;
