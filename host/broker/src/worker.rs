//! The worker's side: takes attempts of roots, and runs them on its slots.
//!
//! A worker has a session with each root, and an [`Inbox`] for each of their queries in front of an
//! ordinary runner of leaves: there is no second way to run one. All sessions share the runner's
//! slots, and so does each tenant of each root.

mod content;
mod inbox;

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use frond_root::{LeafRunner, Work};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use content::Pulls;
use inbox::Inbox;

pub use content::MAX_PULL;

use crate::carrier::Carrier;
use crate::frames::{self, AttemptOf, Code, Drain, GivenBack, Join, Need, Open, Order, Refuse, Run, Said};
use crate::session::{self, FrameReceiver, FrameSender, Lost, Settings};

/// A worker's introduction.
#[derive(Clone, Debug, Default)]
pub struct Introduction {
    /// Its name, for people.
    pub name: String,
    /// The most leaves that it runs at once.
    pub slots: u32,
    /// The most leaves that wait beside them.
    pub waiting: u32,
    /// Name of its engine.
    pub engine: String,
}

/// Code of a leaf, from a root.
#[derive(Clone, Debug)]
pub struct LeafCode {
    /// SHA-256 that names the leaf.
    pub leaf: Bytes,
    /// Settings of the leaf, in the notation of those who make and load it.
    pub settings: Bytes,
    /// The component.
    pub component: Bytes,
    /// The compiled code.
    pub compiled: Option<Bytes>,
}

/// A runner of a leaf to come, or the reason why there will be none.
pub type Loaded = Pin<Box<dyn Future<Output = Result<Arc<dyn LeafRunner>, String>> + Send>>;

/// Loads leaves for a worker.
pub trait LeafLoader: Send + Sync {
    /// The runner of a leaf that was loaded before, for this or another root.
    fn known(&self, leaf: &[u8]) -> Option<Arc<dyn LeafRunner>>;

    /// Loads a leaf.
    fn load(&self, code: LeafCode) -> Loaded;
}

/// Runs leaves for the root at the other end of the carrier, until the session is lost. Once
/// `draining`, it takes no more attempts, and the session ends after those that run.
pub async fn serve(
    carrier: Carrier,
    settings: Settings,
    introduction: &Introduction,
    loader: Arc<dyn LeafLoader>,
    draining: CancellationToken,
) -> Lost {
    let (sender, receiver) = session::open(carrier, settings);
    let Introduction { name, slots, waiting, engine } = introduction.clone();
    let version = env!("CARGO_PKG_VERSION").to_owned();
    sender.post(frames::encoded(Said::Join(Join { name, slots, waiting, version, engine })));
    let pulls = Pulls::new(sender.clone());
    let (told, loaded) = mpsc::unbounded_channel();
    let mut session =
        Session { sender, pulls, loader, told, leaves: HashMap::new(), inboxes: HashMap::new(), is_draining: false };
    session.run(receiver, loaded, draining).await
}

impl Drop for Session {
    /// Stops the leaves of a root that is lost, also when the session's future is dropped.
    fn drop(&mut self) {
        self.pulls.close();
        for (inbox, _) in self.inboxes.values() {
            inbox.close(false);
        }
        // What the leaves still say is of no use to the root: it has others run what is left.
        self.sender.close();
    }
}

/// State of a leaf's code.
enum Leaf {
    /// The root is asked for it, or it is being loaded. These queries wait for it.
    Awaited(Vec<u64>),
    Ready(Arc<dyn LeafRunner>),
    Refused,
}

/// Result of a loading.
type LoadResult = (Bytes, Result<Arc<dyn LeafRunner>, String>);

/// One session with a root.
struct Session {
    sender: FrameSender,
    pulls: Arc<Pulls>,
    loader: Arc<dyn LeafLoader>,
    told: mpsc::UnboundedSender<LoadResult>,
    leaves: HashMap<Bytes, Leaf>,
    /// Queries by number, each with the name of its leaf.
    inboxes: HashMap<u64, (Arc<Inbox>, Bytes)>,
    is_draining: bool,
}

impl Session {
    async fn run(
        &mut self,
        mut receiver: FrameReceiver,
        mut loaded: mpsc::UnboundedReceiver<LoadResult>,
        draining: CancellationToken,
    ) -> Lost {
        loop {
            tokio::select! {
                frame = receiver.recv() => match frame {
                    Err(lost) => return lost,
                    Ok(frame) => match frames::decoded(frame) {
                        Ok(said) => said.into_iter().for_each(|said| self.hear(said)),
                        Err(why) => return Lost::Protocol(why),
                    },
                },
                Some((leaf, result)) = loaded.recv() => self.loaded(&leaf, result),
                () = draining.cancelled(), if !self.is_draining => self.drain(),
                () = self.idle(), if self.is_draining => {
                    self.sender.close();
                    return self.sender.closed().await;
                }
            }
        }
    }

    fn hear(&mut self, said: Said) {
        match said {
            Said::Open(open) => self.open(open),
            Said::Code(code) => self.load(code),
            Said::Run(run) => self.take(run),
            Said::Lease(lease) => {
                if let Some((inbox, _)) = self.inboxes.get(&lease.of.query) {
                    inbox.lease(&lease);
                }
            }
            Said::Stop(stop) => {
                if let Some((inbox, _)) = self.inboxes.remove(&stop.query) {
                    inbox.close(stop.is_late);
                }
            }
            Said::Content(content) => self.pulls.answered(content),
            Said::Leave(_) => self.drain(),
            // Frames for roots, and those of later versions.
            _ => {}
        }
        self.sender.set_busy(!self.inboxes.is_empty());
    }

    /// Takes attempts to run. Those that cannot run are given back.
    fn take(&self, run: Run) {
        let Some((inbox, leaf)) = self.inboxes.get(&run.query) else {
            let of = |order: Order| AttemptOf { query: run.query, partition: order.partition, number: order.number };
            let of = run.orders.into_iter().map(of).collect();
            return self.sender.post(frames::encoded(Said::GivenBack(GivenBack { of })));
        };
        inbox.take(run.orders, Instant::now());
        match self.leaves.get(leaf) {
            _ if self.is_draining => inbox.give_waiting_back(),
            Some(Leaf::Ready(runner)) => runner.nudge(),
            Some(Leaf::Refused) => inbox.give_waiting_back(),
            Some(Leaf::Awaited(_)) | None => {}
        }
    }

    /// Begins a query, once its leaf is there.
    fn open(&mut self, open: Open) {
        let query = open.query;
        let leaf = open.leaf.clone();
        let inbox = Inbox::new(open, self.sender.clone(), self.pulls.clone());
        if let Some(runner) =
            self.loader.known(&leaf).filter(|_| !matches!(self.leaves.get(&leaf), Some(Leaf::Ready(_))))
        {
            self.leaves.insert(leaf.clone(), Leaf::Ready(runner));
        }
        match self.leaves.get_mut(&leaf) {
            Some(Leaf::Ready(runner)) => runner.attach(inbox.clone()),
            Some(Leaf::Awaited(queries)) => queries.push(query),
            Some(Leaf::Refused) => {}
            None => {
                self.leaves.insert(leaf.clone(), Leaf::Awaited(vec![query]));
                self.sender.post(frames::encoded(Said::Need(Need { leaf: leaf.clone() })));
            }
        }
        self.inboxes.insert(query, (inbox, leaf));
    }

    /// Loads a leaf's code.
    fn load(&mut self, code: Code) {
        let Code { leaf, settings, component, compiled, missing } = code;
        if let Some(why) = missing {
            return self.loaded(&leaf, Err(why));
        }
        let loading = self.loader.load(LeafCode { leaf: leaf.clone(), settings, component, compiled });
        let told = self.told.clone();
        tokio::spawn(async move {
            let result = loading.await;
            // The session may be over.
            let _ = told.send((leaf, result));
        });
    }

    fn loaded(&mut self, leaf: &Bytes, result: Result<Arc<dyn LeafRunner>, String>) {
        let Some(Leaf::Awaited(queries)) = self.leaves.remove(leaf) else { return };
        match result {
            Ok(runner) => {
                for query in queries {
                    if let Some((inbox, _)) = self.inboxes.get(&query) {
                        runner.attach(inbox.clone() as Arc<dyn Work>);
                    }
                }
                self.leaves.insert(leaf.clone(), Leaf::Ready(runner));
            }
            Err(why) => {
                self.sender.post(frames::encoded(Said::Refuse(Refuse { leaf: leaf.clone(), why })));
                for query in queries {
                    if let Some((inbox, _)) = self.inboxes.get(&query) {
                        inbox.give_waiting_back();
                    }
                }
                self.leaves.insert(leaf.clone(), Leaf::Refused);
            }
        }
    }

    /// Takes no more attempts.
    fn drain(&mut self) {
        if !std::mem::replace(&mut self.is_draining, true) {
            self.sender.post(frames::encoded(Said::Drain(Drain {})));
            for (inbox, _) in self.inboxes.values() {
                inbox.give_waiting_back();
            }
        }
    }

    /// Waits until no attempt runs.
    async fn idle(&self) {
        for (inbox, _) in self.inboxes.values() {
            inbox.idle().await;
        }
    }
}
