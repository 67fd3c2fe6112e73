//! A root among its workers: announces itself, and makes a carrier for each worker that it hears.

use std::sync::Arc;
use std::time::Duration;

use async_nats::{Message, Subject, Subscriber};
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::discovery::{self, Greeted, Strangers};
use super::error::{NatsError, Role};
use super::line;
use super::link::Link;
use super::names::{self, PeerId, PeerName, Subjects};
use super::peers::Peers;
use super::task::Task;
use crate::carrier::{Carrier, MAX_MESSAGE};

/// Time between two announcements of a root.
const PACE: Duration = Duration::from_secs(1);
/// Least time between two announcements, however many workers say hello.
const SPACING: Duration = Duration::from_millis(50);
/// Most workers that were heard and not accepted. A further one is heard again when it resends.
const UNACCEPTED: usize = 64;

/// Most workers of another version that were heard and not listed. A further one is not listed.
const UNLISTED: usize = 16;

/// Connection of a root to its workers. Dropping it ends all of its carriers.
#[derive(Debug)]
pub struct RootSide {
    id: PeerId,
    pool: String,
    strangers: mpsc::Receiver<Greeted>,
    workers: mpsc::Receiver<(PeerName, Carrier)>,
    _tasks: [Task; 2],
}

impl RootSide {
    /// Subscribes, and announces the root.
    pub(super) async fn start(link: Arc<Link>, subjects: Subjects, name: &str) -> Result<Self, NatsError> {
        let id = PeerId::random();
        let prefix = subjects.of_root(id);
        let inbox = link.subscribe(format!("{prefix}*.*")).await?;
        let hellos = link.subscribe(subjects.hello()).await?;
        let reply = prefix.trim_end_matches('.').into();
        link.confirm(Role::Root, reply, subjects.unheard_by_workers()).await?;
        let (met, strangers) = mpsc::channel(UNLISTED);
        let pool = subjects.pool().to_owned();
        let announcer = Announcer {
            link: link.clone(),
            met,
            hellos,
            subject: subjects.roots(),
            announcement: discovery::greeting(id, name),
        };
        let (joined, workers) = mpsc::channel(UNACCEPTED);
        let router = Router { link, id, inbox, prefix: prefix.len(), subjects, peers: Peers::default(), joined };
        let tasks = [Task::spawn(announcer.run()), Task::spawn(router.run())];
        Ok(Self { id, pool, strangers, workers, _tasks: tasks })
    }

    /// Number of this root.
    #[must_use]
    pub fn id(&self) -> PeerId {
        self.id
    }

    /// Name of the pool whose workers this root hears.
    #[must_use]
    pub fn pool(&self) -> &str {
        &self.pool
    }

    /// Workers of another version of the protocol that say hello. A further call returns a receiver
    /// that hears nothing.
    pub fn strangers(&mut self) -> mpsc::Receiver<Greeted> {
        std::mem::replace(&mut self.strangers, mpsc::channel(1).1)
    }

    /// Waits for a worker that was not heard before, or whose carrier was dropped. `None` once the
    /// connection is closed for good.
    pub async fn accept(&mut self) -> Option<(PeerName, Carrier)> {
        self.workers.recv().await
    }
}

/// Task that announces a root.
#[derive(Debug)]
struct Announcer {
    link: Arc<Link>,
    met: mpsc::Sender<Greeted>,
    hellos: Subscriber,
    subject: Subject,
    announcement: Bytes,
}

impl Announcer {
    /// Announces the root each second, and soon after each hello and each reconnection.
    async fn run(mut self) {
        let mut connects = self.link.connects();
        let mut strangers = Strangers::default();
        let mut last = Instant::now();
        let mut due = last;
        loop {
            tokio::select! {
                () = sleep_until(due) => {
                    self.link.publish(self.subject.clone(), self.announcement.clone()).await;
                    last = Instant::now();
                    due = last + PACE;
                }
                hello = self.hellos.next() => {
                    let Some(hello) = hello else { return };
                    let Some(greeted) = discovery::read(&hello.payload) else { continue };
                    if greeted.is_known() {
                        due = due.min(last + SPACING);
                    } else {
                        strangers.is_new(&greeted, "worker");
                        // One that is not listed now says hello again when it connects again.
                        let _ = self.met.try_send(greeted);
                    }
                }
                Ok(()) = connects.changed() => due = due.min(last + SPACING),
            }
        }
    }
}

/// Task that gives each message to the carrier of its worker.
#[derive(Debug)]
struct Router {
    link: Arc<Link>,
    id: PeerId,
    inbox: Subscriber,
    /// Length of a subject before the worker's name.
    prefix: usize,
    subjects: Subjects,
    peers: Peers,
    joined: mpsc::Sender<(PeerName, Carrier)>,
}

impl Router {
    async fn run(mut self) {
        let mut ticks = interval(PACE);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                message = self.inbox.next() => {
                    let Some(message) = message else { return };
                    self.hear(message);
                }
                _ = ticks.tick() => self.peers.tick(),
            }
        }
    }

    fn hear(&mut self, message: Message) {
        let Some(key) = message.subject.get(self.prefix..).filter(|_| message.payload.len() <= MAX_MESSAGE) else {
            return;
        };
        if self.peers.knows(key) || self.join(key).is_some() {
            self.peers.deliver(key, message.payload);
        }
    }

    /// Makes a carrier for a new worker, if there is room for one.
    fn join(&mut self, key: &str) -> Option<()> {
        let worker = names::worker(key)?;
        let place = self.joined.try_reserve().ok()?;
        let receiver = self.peers.add(key, &worker.name)?;
        let subject = format!("{}{}", self.subjects.of_worker(&worker.name, worker.id), self.id);
        place.send((worker, line::carrier(&self.link, subject, receiver)));
        Some(())
    }
}
