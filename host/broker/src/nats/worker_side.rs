//! A worker among its roots: says hello, and makes a carrier for each root that announces itself.

use std::sync::Arc;
use std::time::Duration;

use async_nats::{Message, Subject, Subscriber};
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::sync::{Notify, mpsc};
use tokio::time::{MissedTickBehavior, interval};

use super::discovery::{self, Strangers};
use super::error::{NatsError, Role};
use super::line;
use super::link::Link;
use super::names::{ANY, PeerId, PeerName, Subjects};
use super::peers::Peers;
use super::task::Task;
use crate::carrier::Carrier;

/// Time between two looks for carriers that were dropped.
const PACE: Duration = Duration::from_secs(1);
/// Most roots that were heard and not accepted. A further one is heard again when it announces
/// itself the next time.
const UNACCEPTED: usize = 64;

/// Connection of a worker to its roots. Dropping it ends all of its carriers.
#[derive(Debug)]
pub struct WorkerSide {
    name: PeerName,
    roots: mpsc::Receiver<(PeerName, Carrier)>,
    _tasks: [Task; 2],
}

impl WorkerSide {
    /// Subscribes, and says hello.
    pub(super) async fn start(
        link: Arc<Link>,
        subjects: Subjects,
        user: Arc<str>,
        name: &str,
    ) -> Result<Self, NatsError> {
        let id = PeerId::random();
        let prefix = subjects.of_worker(&user, id);
        let inbox = link.subscribe(format!("{prefix}*")).await?;
        let announcements = link.subscribe(subjects.roots()).await?;
        let reply = prefix.trim_end_matches('.').into();
        link.confirm(Role::Worker, reply, subjects.unheard_by_roots(&user, id)).await?;
        let again = Arc::new(Notify::new());
        let hello = discovery::greeting(id, name);
        let greeter = Greeter { link: link.clone(), subject: subjects.hello(), hello, again: again.clone() };
        let (joined, roots) = mpsc::channel(UNACCEPTED);
        let name = PeerName { name: user, id };
        let router = Router {
            link,
            own: name.clone(),
            inbox,
            prefix: prefix.len(),
            announcements,
            subjects,
            peers: Peers::default(),
            strangers: Strangers::default(),
            again,
            joined,
        };
        let tasks = [Task::spawn(greeter.run()), Task::spawn(router.run())];
        Ok(Self { name, roots, _tasks: tasks })
    }

    /// Name by which roots know this worker.
    #[must_use]
    pub fn name(&self) -> &PeerName {
        &self.name
    }

    /// Waits for a root that was not heard before, or whose carrier was dropped. `None` once the
    /// connection is closed for good.
    pub async fn next_root(&mut self) -> Option<(PeerName, Carrier)> {
        self.roots.recv().await
    }
}

/// Task that says hello after each connection, and once to each root of another version: that root
/// can tell its users.
#[derive(Debug)]
struct Greeter {
    link: Arc<Link>,
    subject: Subject,
    hello: Bytes,
    again: Arc<Notify>,
}

impl Greeter {
    async fn run(self) {
        let mut connects = self.link.connects();
        loop {
            self.link.publish(self.subject.clone(), self.hello.clone()).await;
            tokio::select! {
                connected = connects.changed() => if connected.is_err() { return },
                () = self.again.notified() => {}
            }
        }
    }
}

/// Task that hears announcements, and gives each message to the carrier of its root.
#[derive(Debug)]
struct Router {
    link: Arc<Link>,
    own: PeerName,
    inbox: Subscriber,
    /// Length of a subject before the root's number.
    prefix: usize,
    announcements: Subscriber,
    subjects: Subjects,
    peers: Peers,
    strangers: Strangers,
    /// Told when a hello is due.
    again: Arc<Notify>,
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
                    if let Some(root) = message.subject.get(self.prefix..) {
                        self.peers.deliver(root, message.payload);
                    }
                }
                announcement = self.announcements.next() => {
                    let Some(announcement) = announcement else { return };
                    self.meet(&announcement);
                }
                _ = ticks.tick() => self.peers.tick(),
            }
        }
    }

    /// Makes a carrier for the root that announces itself, unless it has one.
    fn meet(&mut self, announcement: &Message) {
        let Some(greeted) = discovery::read(&announcement.payload) else { return };
        if !greeted.is_known() {
            if self.strangers.is_new(&greeted, "root") {
                self.again.notify_one();
            }
            return;
        }
        let root = greeted.peer;
        let key = root.id.to_string();
        if self.peers.knows(&key) {
            self.peers.touch(&key);
            return;
        }
        let Ok(place) = self.joined.try_reserve() else { return };
        // Roots have no users: all of them share the table.
        let Some(receiver) = self.peers.add(&key, &ANY.into()) else { return };
        let subject = format!("{}{}", self.subjects.of_root(root.id), self.own.as_sender());
        place.send((root, line::carrier(&self.link, subject, receiver)));
    }
}
