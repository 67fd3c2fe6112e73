//! The worker's side: takes attempts of roots, and runs them on its slots.
//!
//! A worker has a session with each root, and an `Inbox` for each of their queries in front of an
//! ordinary runner of leaves: there is no second way to run one. All sessions share the runner's
//! slots, and so does each tenant of each root.

mod content;
mod inbox;
mod load;
mod located;
mod partial_cache;
mod read_ahead;

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use frond_root::{LeafRunner, Work};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use content::Pulls;
use inbox::Inbox;
use load::Load;

pub use located::FileReach;
pub use partial_cache::PartialCache;

use crate::carrier::Carrier;
use crate::frames::{
    self, AttemptOf, Code, Drain, GivenBack, Held, Join, Need, Open, Order, Recall, Refuse, Run, Said,
};
use crate::label::{MAX_LABEL, line};
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
    /// Files that it reads in place of its roots, if it has any. It asks roots for their paths.
    pub files: Option<Arc<dyn FileReach>>,
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

/// Runs leaves for the only root of this worker: see [`serve_one_of`].
pub async fn serve(
    carrier: Carrier,
    settings: Settings,
    introduction: &Introduction,
    loader: Arc<dyn LeafLoader>,
    draining: CancellationToken,
) -> Lost {
    serve_one_of(carrier, settings, introduction, loader, PartialCache::default(), draining).await
}

/// Runs leaves for the root at the other end of the carrier, until the session is lost. Once
/// `draining`, it takes no more attempts, and the session ends after those that run. All sessions
/// of a worker share its cache of partials.
pub async fn serve_one_of(
    carrier: Carrier,
    settings: Settings,
    introduction: &Introduction,
    loader: Arc<dyn LeafLoader>,
    cache: PartialCache,
    draining: CancellationToken,
) -> Lost {
    let (sender, receiver) = session::open(carrier, settings);
    let Introduction { name, slots, waiting, engine, files } = introduction.clone();
    let name = line(&name, MAX_LABEL);
    let load = Arc::new(Load::new(slots, waiting));
    let version = env!("CARGO_PKG_VERSION").to_owned();
    let join = Join { name, slots, waiting, version, engine, keeps: true, reads_files: files.is_some() };
    sender.post(frames::encoded(Said::Join(join)));
    let pulls = Pulls::new(sender.clone());
    let (told, loaded) = mpsc::unbounded_channel();
    let leaves = HashMap::new();
    let inboxes = HashMap::new();
    let recalls = Arc::new(Semaphore::new(MOST_RECALLS));
    let mut session = Session {
        opened: Instant::now(),
        sender,
        pulls,
        files,
        load,
        loader,
        cache,
        recalls,
        told,
        leaves,
        inboxes,
        is_draining: false,
        is_dismissed: false,
    };
    session.run(receiver, loaded, draining).await
}

impl Drop for Session {
    /// Stops the leaves of a root that is lost, also when the session's future is dropped.
    fn drop(&mut self) {
        self.pulls.close();
        self.inboxes.values().for_each(|query| self.lose(query));
        // What the leaves still say is of no use to the root: it has others run what is left.
        self.sender.close();
    }
}

/// The most leaves of one root.
const MOST_LEAVES: usize = 10_000;

/// The most recalls of one root that are being answered.
const MOST_RECALLS: usize = 10_000;

/// State of a leaf's code.
enum Leaf {
    /// The root is asked for it. These queries wait for it.
    Awaited(Vec<u64>),
    /// It is being loaded. These queries wait for it.
    Loading(Vec<u64>),
    /// Its leaves can run.
    Ready(Arc<dyn LeafRunner>),
    /// It cannot run here: the reason.
    Refused(String),
}

/// Query of a root.
struct Query {
    inbox: Arc<Inbox>,
    /// Name of its leaf.
    leaf: Bytes,
    /// Bytes that it counts in the load.
    bytes: usize,
}

/// Runner of a leaf, or the reason why there is none.
type LoadedLeaf = Result<Arc<dyn LeafRunner>, String>;

/// Result of a loading.
type LoadResult = (Bytes, LoadedLeaf);

/// One session with a root.
struct Session {
    /// Time from which the worker's clock counts for this root.
    opened: Instant,
    sender: FrameSender,
    pulls: Arc<Pulls>,
    files: Option<Arc<dyn FileReach>>,
    load: Arc<Load>,
    loader: Arc<dyn LeafLoader>,
    cache: PartialCache,
    recalls: Arc<Semaphore>,
    told: mpsc::UnboundedSender<LoadResult>,
    leaves: HashMap<Bytes, Leaf>,
    /// Queries by number.
    inboxes: HashMap<u64, Query>,
    is_draining: bool,
    /// True if the root has asked the worker to leave.
    is_dismissed: bool,
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
                    Ok(frame) => {
                        let heard = frames::decoded(frame);
                        if let Err(why) = heard.and_then(|said| said.map_or(Ok(()), |said| self.hear(said))) {
                            return Lost::Protocol(why);
                        }
                    }
                },
                Some((leaf, result)) = loaded.recv() => self.loaded(&leaf, result),
                () = draining.cancelled(), if !self.is_draining => self.drain(),
                () = self.idle(), if self.is_draining => {
                    self.sender.close();
                    let lost = self.sender.closed().await;
                    return if self.is_dismissed { Lost::Drained } else { lost };
                }
            }
        }
    }

    /// Acts on a frame. An error is what the root did wrong.
    fn hear(&mut self, said: Said) -> Result<(), String> {
        match said {
            Said::Open(open) => self.open(open)?,
            Said::Code(code) => self.load(code),
            Said::Run(run) => self.take(run)?,
            Said::Lease(lease) => {
                if let Some(query) = self.inboxes.get(&lease.of.query) {
                    query.inbox.lease(&lease);
                }
            }
            Said::Return(of) => {
                if let Some(query) = self.inboxes.get(&of.query) {
                    query.inbox.give_waiting_back();
                }
            }
            Said::Stop(stop) => {
                if let Some(query) = self.inboxes.remove(&stop.query) {
                    if stop.is_abandoned {
                        self.lose(&query);
                    } else {
                        query.inbox.stop(stop.is_late);
                    }
                    self.load.closed(query.bytes);
                }
            }
            Said::Supersede(superseded) => {
                for of in &superseded.of {
                    if let Some(query) = self.inboxes.get(&of.query) {
                        query.inbox.supersede(of);
                    }
                }
            }
            Said::Stored(stored) => {
                for partial in &stored.partials {
                    if let Some(query) = self.inboxes.get(&partial.of.query) {
                        query.inbox.stored(partial);
                    }
                }
            }
            Said::Recall(recall) => self.recall(recall)?,
            Said::Forget(forget) => self.cache.forget(&forget.id, &forget.partials),
            Said::Content(content) => self.pulls.answered(content),
            Said::Leave(_) => {
                self.is_dismissed = true;
                self.drain();
            }
            // Frames for roots, and those of later versions.
            _ => {}
        }
        self.sender.set_busy(!self.inboxes.is_empty());
        Ok(())
    }

    /// Ends a query whose root will not end it, and keeps what is finished for the next one.
    fn lose(&self, query: &Query) {
        query.inbox.lose();
        if query.inbox.is_cached() {
            self.cache.expire_later();
        }
    }

    /// Takes attempts to run. Those that cannot run are given back.
    fn take(&self, run: Run) -> Result<(), String> {
        let Some(Query { inbox, leaf, .. }) = self.inboxes.get(&run.query) else {
            let of = |order: Order| AttemptOf { query: run.query, partition: order.partition, number: order.number };
            let of = run.orders.into_iter().map(of).collect();
            self.sender.post(frames::encoded(Said::GivenBack(GivenBack { of })));
            return Ok(());
        };
        self.load.take(&run.orders)?;
        inbox.take(run.orders, Instant::now());
        match self.leaves.get(leaf) {
            _ if self.is_draining => inbox.give_waiting_back(),
            Some(Leaf::Ready(runner)) => runner.nudge(),
            Some(Leaf::Refused(_)) | None => inbox.give_waiting_back(),
            Some(Leaf::Awaited(_) | Leaf::Loading(_)) => {}
        }
        Ok(())
    }

    /// Begins a query, once its leaf is there.
    fn open(&mut self, mut open: Open) -> Result<(), String> {
        let query = open.query;
        if self.inboxes.contains_key(&query) {
            return Err("opened a query twice".to_owned());
        }
        let bytes = self.load.open(&open)?;
        let leaf = Bytes::copy_from_slice(&open.leaf);
        let cached = open.memo.take().and_then(|memo| self.cache.open(memo));
        let files = self.files.clone();
        let load = self.load.clone();
        let inbox = Inbox::new(open, self.opened, self.sender.clone(), self.pulls.clone(), files, load, cached);
        if let Some(runner) =
            self.loader.known(&leaf).filter(|_| !matches!(self.leaves.get(&leaf), Some(Leaf::Ready(_))))
        {
            self.leaves.insert(leaf.clone(), Leaf::Ready(runner));
        }
        match self.leaves.get_mut(&leaf) {
            Some(Leaf::Ready(runner)) => runner.attach(inbox.clone()),
            Some(Leaf::Awaited(queries) | Leaf::Loading(queries)) => queries.push(query),
            // The root may have forgotten it with an earlier query.
            Some(Leaf::Refused(why)) => {
                let why = why.clone();
                self.sender.post(frames::encoded(Said::Refuse(Refuse { leaf: leaf.clone(), why })));
            }
            None => {
                self.leaves.insert(leaf.clone(), Leaf::Awaited(vec![query]));
                self.sender.post(frames::encoded(Said::Need(Need { leaf: leaf.clone() })));
            }
        }
        self.inboxes.insert(query, Query { inbox, leaf, bytes });
        if self.leaves.len() > MOST_LEAVES { Err("has too many leaves".to_owned()) } else { Ok(()) }
    }

    /// Loads a leaf's code, if the root was asked for it.
    fn load(&mut self, code: Code) {
        let Code { leaf, settings, component, compiled, missing, is_over } = code;
        let leaf = Bytes::copy_from_slice(&leaf);
        let Some(state) = self.leaves.get_mut(&leaf) else { return };
        let Leaf::Awaited(queries) = state else { return };
        *state = Leaf::Loading(std::mem::take(queries));
        if is_over {
            return self.forget(&leaf);
        }
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

    /// Forgets a leaf whose queries are over. The root is asked again for a later query, which it
    /// may have opened just then.
    fn forget(&mut self, leaf: &Bytes) {
        self.leaves.remove(leaf);
        let later: Vec<_> = self.inboxes.iter().filter(|(_, query)| query.leaf == *leaf).map(|(of, _)| *of).collect();
        if !later.is_empty() {
            self.leaves.insert(leaf.clone(), Leaf::Awaited(later));
            self.sender.post(frames::encoded(Said::Need(Need { leaf: leaf.clone() })));
        }
    }

    fn loaded(&mut self, leaf: &Bytes, result: LoadedLeaf) {
        let Some(Leaf::Loading(queries)) = self.leaves.remove(leaf) else { return };
        let waiting = queries.iter().filter_map(|query| self.inboxes.get(query));
        match result {
            Ok(runner) => {
                waiting.for_each(|query| {
                    query.inbox.has_loaded();
                    runner.attach(query.inbox.clone() as Arc<dyn Work>);
                });
                self.leaves.insert(leaf.clone(), Leaf::Ready(runner));
            }
            Err(why) => {
                self.sender.post(frames::encoded(Said::Refuse(Refuse { leaf: leaf.clone(), why: why.clone() })));
                waiting.for_each(|query| query.inbox.give_waiting_back());
                self.leaves.insert(leaf.clone(), Leaf::Refused(why));
            }
        }
    }

    /// Hands the partials under a memo over. An error is what the root did wrong.
    fn recall(&self, recall: Recall) -> Result<(), String> {
        let Ok(permit) = self.recalls.clone().try_acquire_owned() else {
            return Err("recalls too much at once".to_owned());
        };
        let Recall { recall, id } = recall;
        let id = Bytes::copy_from_slice(&id);
        let cache = self.cache.clone();
        let sender = self.sender.clone();
        tokio::spawn(async move {
            let _permit = permit;
            // Partials that come while others are sent are for the next recall.
            let end = cache.end();
            let mut next = 0;
            loop {
                let partial = cache.first(&id, next..end);
                let after = partial.as_ref().map(|partial| partial.number + 1);
                // A lost root needs the others no more.
                let is_sent = sender.send(frames::encoded(Said::Held(Held { recall, partial }))).await.is_ok();
                match after.filter(|_| is_sent) {
                    Some(after) => next = after,
                    None => return,
                }
            }
        });
        Ok(())
    }

    /// Takes no more attempts.
    fn drain(&mut self) {
        if !std::mem::replace(&mut self.is_draining, true) {
            self.sender.post(frames::encoded(Said::Drain(Drain {})));
            for Query { inbox, .. } in self.inboxes.values() {
                inbox.give_waiting_back();
            }
        }
    }

    /// Waits until no attempt runs.
    async fn idle(&self) {
        for Query { inbox, .. } in self.inboxes.values() {
            inbox.idle().await;
        }
    }
}
