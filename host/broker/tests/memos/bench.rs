//! Roots that die, workers that live, and a store of partials.

use std::collections::BTreeMap;
use std::future::{pending, poll_fn};
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use frond_broker::carrier::in_process;
use frond_broker::chaos::{Chaos, ChaosLink, chaos};
use frond_broker::frames::{self, Join, Order, Said};
use frond_broker::session::{self, FrameReceiver, FrameSender, Lost, Settings};
use frond_broker::worker::{Introduction, Loaded, PartialCache, serve_one_of};
use frond_broker::{HeldPartials, LeafCode, LeafCodes, LeafLoader, LeafSource, ShippedCode, Workers};
use frond_root::journal::{Journal, KeepFuture, KeptPartial, RecallFuture};
use frond_root::ledger::{Ledger, PartialRange, Position};
use frond_root::{
    Answer, Attempt, CancellationToken, Error, Events, LeafRunner, Memo, Outcome, PieceSizes, Request, Services, Usage,
    Work, flow,
};
use frond_testkit::pieces::{integers, units};
use frond_testkit::{Merges, Record, ms, request};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

pub(crate) const KEY: &[u8] = b"a secret of the job";

/// Code of the only leaf.
struct NoCode;

impl LeafCodes for NoCode {
    fn code(&self, _engine: &str) -> Result<ShippedCode, String> {
        Ok(ShippedCode { settings: Bytes::new(), component: Bytes::new(), compiled: None })
    }
}

/// Leaves that take a millisecond for each unit, and keep a partial after so many pieces.
#[derive(Clone)]
pub(crate) struct Leaves(Arc<LeavesState>);

/// State of the leaves of one worker.
struct LeavesState {
    slots: usize,
    keeps: u64,
    busy: AtomicUsize,
    attached: Mutex<Vec<Arc<dyn Work>>>,
    /// Units of the leaves that have ended.
    finished: Mutex<Vec<(u32, Range<u64>)>>,
}

impl Leaves {
    fn new(slots: usize, keeps: u64) -> Self {
        let attached = Mutex::default();
        Self(Arc::new(LeavesState { slots, keeps, busy: AtomicUsize::new(0), attached, finished: Mutex::default() }))
    }

    fn fill(&self) {
        let work = self.0.attached.lock().unwrap().clone();
        let claim = || work.iter().find_map(|work| Attempt::claim(work, 0, Instant::now()));
        while self.0.busy.load(Ordering::SeqCst) < self.0.slots
            && let Some(attempt) = claim()
        {
            self.0.busy.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(self.clone().play(attempt));
        }
    }

    async fn play(self, attempt: Attempt) {
        let mut taken: Option<Range<u64>> = None;
        let mut pieces = 0;
        while let Some(piece) = poll_fn(|context| attempt.poll_piece(Instant::now(), context)).await {
            sleep(ms(piece.end - piece.start)).await;
            let begin = taken.map_or(piece.start, |taken| taken.start);
            taken = Some(begin..piece.end);
            pieces += 1;
            if self.0.keeps > 0 && pieces % self.0.keeps == 0 {
                attempt.keep(text(attempt.index(), &(begin..piece.end)));
            }
        }
        let partial = taken.as_ref().map_or_else(Bytes::new, |taken| text(attempt.index(), taken));
        self.0.finished.lock().unwrap().extend(taken.map(|taken| (attempt.index(), taken)));
        attempt.end(Outcome::succeeded(partial, ms(1), Usage::default()), Instant::now());
        self.0.busy.fetch_sub(1, Ordering::SeqCst);
        self.fill();
    }

    pub(crate) fn finished(&self) -> Vec<(u32, Range<u64>)> {
        self.0.finished.lock().unwrap().clone()
    }
}

fn text(partition: u32, taken: &Range<u64>) -> Bytes {
    format!("{partition}:{}-{}", taken.start, taken.end).into()
}

impl LeafRunner for Leaves {
    fn attach(&self, work: Arc<dyn Work>) {
        self.0.attached.lock().unwrap().push(work);
        self.fill();
    }

    fn nudge(&self) {
        self.fill();
    }

    fn slots(&self) -> usize {
        self.0.slots
    }

    fn pieces(&self) -> Option<PieceSizes> {
        Some(PieceSizes::Timed)
    }
}

impl LeafLoader for Leaves {
    fn known(&self, _leaf: &[u8]) -> Option<Arc<dyn LeafRunner>> {
        Some(Arc::new(self.clone()))
    }

    fn load(&self, _code: LeafCode) -> Loaded {
        panic!("they are known");
    }
}

/// A store of partials as the store of a job is: the first partial of a unit counts, and one of the
/// same attempt that reaches further replaces an earlier one.
#[derive(Clone, Default)]
pub(crate) struct Store(Arc<Mutex<BTreeMap<Position, StoredPart>>>);

/// Stored partial with its attempt and its epoch.
#[derive(Clone)]
struct StoredPart {
    attempt: (u64, u32),
    units: PartialRange,
    partial: Bytes,
}

impl Store {
    pub(crate) fn accept(&self, epoch: u64, kept: &KeptPartial, count: u64) {
        let units = kept.units.unwrap_or(PartialRange { begin: 0, end: count, until: count, of: count });
        let attempt = (epoch, kept.attempt);
        let mut all = self.0.lock().unwrap();
        let at = (kept.partition, units.begin);
        let replaced = all.get(&at).filter(|one| one.attempt == attempt && one.units.until < units.until).cloned();
        all.retain(|other, _| replaced.is_none() || *other != at);
        let mut ledger = Ledger::new(count);
        for ((partition, _), one) in all.iter() {
            assert!(*partition != kept.partition || ledger.account(&one.units), "they overlap");
        }
        if ledger.account(&units) {
            all.insert(at, StoredPart { attempt, units, partial: kept.partial.clone() });
        } else if let Some(replaced) = replaced {
            all.insert(at, replaced);
        }
    }

    /// Ledgers of all partitions, of the units that the partials name.
    pub(crate) fn ledgers(&self, counts: &[u64]) -> Vec<Ledger> {
        let mut ledgers: Vec<_> = counts.iter().map(|count| Ledger::new(*count)).collect();
        for ((partition, begin), one) in self.0.lock().unwrap().iter() {
            assert_eq!(units(&one.partial), [(*partition, *begin..one.units.end)], "the partial has its units");
            assert!(ledgers[*partition as usize].account(&one.units), "each unit is there once");
        }
        ledgers
    }

    pub(crate) fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

/// Journal of one epoch.
struct Epoch {
    store: Store,
    epoch: u64,
    counts: Vec<u64>,
    /// Times that the batches take; none is stored after the last.
    takes: Mutex<Vec<u64>>,
}

impl Journal for Epoch {
    fn keep(&self, partials: Vec<KeptPartial>) -> KeepFuture {
        let takes = self.takes.lock().unwrap().pop();
        let counts = self.counts.clone();
        let store = self.store.clone();
        let epoch = self.epoch;
        Box::pin(async move {
            let Some(takes) = takes else { return pending().await };
            sleep(ms(takes)).await;
            partials.iter().for_each(|kept| store.accept(epoch, kept, counts[kept.partition as usize]));
            Ok(())
        })
    }

    fn recall(&self, _after: Option<Position>, _bytes: u64) -> RecallFuture {
        Box::pin(async { Ok(Vec::new()) })
    }
}

/// A worker.
pub(crate) struct Worker {
    cache: PartialCache,
    pub(crate) leaves: Leaves,
}

impl Worker {
    pub(crate) fn new(slots: usize, keeps: u64) -> Self {
        Self { cache: PartialCache::default(), leaves: Leaves::new(slots, keeps) }
    }

    /// Joins a root.
    async fn join(&self, root: &Workers) -> (ChaosLink, JoinHandle<Lost>) {
        let (for_root, for_worker) = in_process();
        let (for_worker, link) = chaos(for_worker, Chaos::default());
        let workers = root.clone();
        let joined = root.list().len() + 1;
        tokio::spawn(async move { workers.converse(for_root).await });
        let slots = u32::try_from(self.leaves.slots()).unwrap();
        let introduction = Introduction { name: "worker".to_owned(), slots, ..Introduction::default() };
        let loader = Arc::new(self.leaves.clone());
        let cache = self.cache.clone();
        let serving = tokio::spawn(async move {
            let never = CancellationToken::new();
            serve_one_of(for_worker, Settings::default(), &introduction, loader, cache, never).await
        });
        root.joined(joined, Duration::from_secs(60)).await;
        (link, serving)
    }
}

/// A root that runs a query.
pub(crate) struct Root {
    pub(crate) workers: Workers,
    pub(crate) flow: JoinHandle<Result<Answer, Error>>,
    pub(crate) cancel: CancellationToken,
    sessions: Vec<(ChaosLink, JoinHandle<Lost>)>,
}

impl Root {
    pub(crate) async fn ask(pool: &[Worker], store: &Store, counts: &[u64], takes: Vec<u64>) -> Self {
        Self::ask_under(KEY, pool, store, counts, takes).await
    }

    /// Asks a query whose memo has this key.
    pub(crate) async fn ask_under(
        key: &'static [u8],
        pool: &[Worker],
        store: &Store,
        counts: &[u64],
        takes: Vec<u64>,
    ) -> Self {
        let workers = Workers::new(0, Settings::default());
        let mut sessions = Vec::new();
        for worker in pool {
            sessions.push(worker.join(&workers).await);
        }
        let source = LeafSource {
            leaf: Bytes::from_static(b"leaf"),
            output: 1 << 10,
            pieces: Some(PieceSizes::Timed),
            codes: Arc::new(NoCode),
        };
        let counts_of = counts.to_vec();
        let journal = Epoch { store: store.clone(), epoch: 1, counts: counts_of, takes: Mutex::new(takes) };
        let services = Services {
            runner: workers.runner(source, None),
            merger: Arc::new(Merges::joined()),
            events: Events::new(vec![Arc::new(Record::default())]),
            journal: Some(Arc::new(journal)),
            memory: None,
        };
        let memo = Some(Memo { key: Bytes::from_static(key), epoch: 1 });
        let request = Request { deadline: Duration::from_secs(600), memo, ..request() };
        let plan = integers(counts);
        let cancel = CancellationToken::new();
        let flow = tokio::spawn(flow::run(request, async { Ok(plan) }, services, cancel.clone()));
        Self { workers, flow, cancel, sessions }
    }

    /// Dies without a word.
    pub(crate) async fn die(self) {
        self.sessions.iter().for_each(|(link, _)| link.cut());
        self.flow.abort();
        for (_, serving) in self.sessions {
            assert!(serving.await.is_ok());
        }
    }
}

/// A worker that says what the test says.
pub(crate) struct Stranger {
    pub(crate) sender: FrameSender,
    receiver: FrameReceiver,
    pub(crate) task: JoinHandle<Lost>,
    /// Frames that it has heard.
    pub(crate) heard: Vec<Bytes>,
}

impl Stranger {
    /// Joins a root.
    pub(crate) async fn join(workers: &Workers, keeps: bool) -> Self {
        let (root, worker) = in_process();
        let own = workers.clone();
        let joined = workers.list().len() + 1;
        let task = tokio::spawn(async move { own.converse(root).await });
        let (sender, receiver) = session::open(worker, Settings::default());
        let name = "stranger".to_owned();
        sender.post(frames::encoded(Said::Join(Join { name, slots: 4, keeps, ..Join::default() })));
        workers.joined(joined, Duration::from_secs(60)).await;
        Self { sender, receiver, task, heard: Vec::new() }
    }

    pub(crate) fn say(&self, said: Said) {
        self.sender.post(frames::encoded(said));
    }

    pub(crate) async fn hear(&mut self) -> Said {
        let frame = timeout(Duration::from_secs(3600), self.receiver.recv()).await.unwrap().unwrap();
        self.heard.push(frame.clone());
        frames::decoded(frame).unwrap().unwrap()
    }

    /// Hears so many orders.
    pub(crate) async fn orders(&mut self, count: usize) -> Vec<Order> {
        let mut orders = Vec::new();
        while orders.len() < count {
            if let Said::Run(run) = self.hear().await {
                orders.extend(run.orders);
            }
        }
        orders
    }
}

/// The next root, with all workers.
pub(crate) async fn next(pool: &[Worker]) -> Workers {
    let workers = Workers::new(0, Settings::default());
    for worker in pool {
        worker.join(&workers).await;
    }
    workers
}

pub(crate) async fn recall(workers: &Workers, key: &'static [u8]) -> HeldPartials {
    workers.recall(Bytes::from_static(key), Duration::from_secs(5)).await
}

pub(crate) async fn until(holds: impl AsyncFn() -> bool) {
    let began = Instant::now();
    while !holds().await {
        assert!(began.elapsed() < Duration::from_secs(3600), "it happens");
        sleep(ms(1)).await;
    }
}
