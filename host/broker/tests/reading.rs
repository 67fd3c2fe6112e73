//! Tests of leaves on workers that read contents of their root: each byte is read once, a leaf that
//! is stopped while it reads does no harm, and a worker that has the file of a content reads that.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a mistake in a test stops it where it is")]

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use bytes::Bytes;
use frond_broker::carrier::in_process;
use frond_broker::session::Settings;
use frond_broker::worker::{Introduction, Loaded, serve};
use frond_broker::{FileReach, LeafCode, LeafCodes, LeafLoader, LeafSource, ShippedCode, Workers};
use frond_root::{
    Answer, Attempt, CancellationToken, Content, Events, Failure, FailureKind, FilePiece, LeafRunner, Outcome,
    Partition, PieceSizes, Plan, Request, Services, Usage, Work, flow,
};
use frond_testkit::{Merges, ms, request};
use tokio::task::spawn_blocking;
use tokio::time::Instant;

const SIZE: u64 = 6 << 20;

/// Code of the only leaf.
struct NoCode;

impl LeafCodes for NoCode {
    fn code(&self, _engine: &str) -> Result<ShippedCode, String> {
        Ok(ShippedCode { settings: Bytes::new(), component: Bytes::new(), compiled: None })
    }
}

/// Content that counts what is read of it, and lets nobody read beyond its gate.
#[derive(Debug, Default)]
struct Counted {
    read: AtomicU64,
    /// Number of times that a worker was told of its file.
    told: AtomicU64,
    gate: Mutex<u64>,
    opened: Condvar,
}

impl Counted {
    fn new(gate: u64) -> Arc<Self> {
        Arc::new(Self { gate: Mutex::new(gate), ..Self::default() })
    }

    fn open(&self) {
        *self.gate.lock().unwrap() = SIZE;
        self.opened.notify_all();
    }
}

/// Content of a partition.
#[derive(Debug)]
struct Shared(Arc<Counted>);

impl Content for Shared {
    fn size(&self) -> u64 {
        SIZE
    }

    fn read(&self, offset: u64, len: usize) -> Result<Bytes, Failure> {
        let gate = self.0.gate.lock().unwrap();
        drop(self.0.opened.wait_while(gate, |gate| *gate < offset + len as u64).unwrap());
        self.0.read.fetch_add(len as u64, Ordering::SeqCst);
        Ok((offset..offset + len as u64).map(byte).collect::<Vec<_>>().into())
    }

    fn whole(&self) -> Result<Bytes, Failure> {
        panic!("it is too large to be read as a whole");
    }

    fn file(&self) -> Option<FilePiece> {
        self.0.told.fetch_add(1, Ordering::SeqCst);
        Some(file())
    }
}

/// The file of every content.
fn file() -> FilePiece {
    let path = "/data/large".into();
    FilePiece { path, size: 100 + SIZE, modified: (-5, 999_999_999), offset: 100, len: SIZE }
}

/// The only file of a worker.
#[derive(Clone, Debug)]
struct OwnFile {
    piece: FilePiece,
    /// Bytes up to which reads succeed, as if the file then changed.
    until: u64,
    read: Arc<AtomicU64>,
}

impl OwnFile {
    fn new(piece: FilePiece, until: u64) -> Self {
        Self { piece, until, read: Arc::default() }
    }
}

impl FileReach for OwnFile {
    fn content(&self, piece: &FilePiece) -> Option<Arc<dyn Content>> {
        let is_same = *piece == self.piece;
        let until = if is_same { self.until } else { 0 };
        (piece.path == self.piece.path).then(|| Arc::new(Self { until, ..self.clone() }) as Arc<dyn Content>)
    }
}

impl Content for OwnFile {
    fn size(&self) -> u64 {
        panic!("the order has it");
    }

    fn read(&self, offset: u64, len: usize) -> Result<Bytes, Failure> {
        if offset + len as u64 > self.until {
            return Err(Failure::new(FailureKind::InvalidPartition, "it is another file"));
        }
        self.read.fetch_add(len as u64, Ordering::SeqCst);
        Ok((offset..offset + len as u64).map(byte).collect::<Vec<_>>().into())
    }

    fn whole(&self) -> Result<Bytes, Failure> {
        panic!("it is too large to be read as a whole");
    }
}

fn byte(at: u64) -> u8 {
    (at % 253) as u8
}

/// Leaves that read these ranges, each in a thread that outlives a stop.
#[derive(Clone)]
struct Readers(Arc<Vec<Range<u64>>>);

impl LeafRunner for Readers {
    fn attach(&self, work: Arc<dyn Work>) {
        let Some(attempt) = Attempt::claim(&work, 0, Instant::now()) else { return };
        let stopped = CancellationToken::new();
        let stop = stopped.clone();
        work.on_stop(Box::new(move || stop.cancel()));
        let content = attempt.partition().unwrap().content.clone();
        let reads = self.0.clone();
        let reading = spawn_blocking(move || {
            reads.iter().all(|range| {
                let read = content.read(range.start, usize::try_from(range.end - range.start).unwrap());
                read.is_ok_and(|read| read.iter().copied().eq(range.clone().map(byte)))
            })
        });
        tokio::spawn(async move {
            let outcome = tokio::select! {
                is_right = reading => {
                    Outcome::succeeded(Bytes::from(is_right.unwrap().to_string()), ms(1), Usage::default())
                }
                () = stopped.cancelled() => Outcome::failed(FailureKind::Cancelled, ms(1), "stopped"),
            };
            attempt.end(outcome, Instant::now());
        });
    }

    fn nudge(&self) {}

    fn slots(&self) -> usize {
        1
    }

    fn pieces(&self) -> Option<PieceSizes> {
        None
    }
}

/// Loader of the leaves of each query in turn.
struct Loader(Mutex<Vec<Readers>>);

impl LeafLoader for Loader {
    fn known(&self, _leaf: &[u8]) -> Option<Arc<dyn LeafRunner>> {
        None
    }

    fn load(&self, _code: LeafCode) -> Loaded {
        let readers = self.0.lock().unwrap().pop().unwrap();
        Box::pin(async { Ok(Arc::new(readers) as Arc<dyn LeafRunner>) })
    }
}

/// A root with a worker whose leaves read these ranges, in each query others.
async fn root(reads: Vec<Vec<Range<u64>>>) -> Workers {
    root_with(reads, None).await
}

/// Root of a query with these reads, and a worker that has this file.
async fn root_with(reads: Vec<Vec<Range<u64>>>, file: Option<OwnFile>) -> Workers {
    let workers = Workers::new(0, Settings::default());
    let (for_root, for_worker) = in_process();
    let own = workers.clone();
    tokio::spawn(async move { own.converse(for_root).await });
    let loader = Arc::new(Loader(Mutex::new(reads.into_iter().rev().map(|reads| Readers(Arc::new(reads))).collect())));
    tokio::spawn(async move {
        let files = file.map(|file| Arc::new(file) as Arc<dyn FileReach>);
        let introduction = Introduction { name: "worker".to_owned(), slots: 1, files, ..Introduction::default() };
        serve(for_worker, Settings::default(), &introduction, loader, CancellationToken::new()).await
    });
    workers.joined(1, Duration::from_secs(60)).await;
    workers
}

async fn ask(workers: &Workers, leaf: &'static [u8], content: &Arc<Counted>, cancel: CancellationToken) -> Answer {
    let leaf = Bytes::from_static(leaf);
    let source = LeafSource { leaf, output: 1 << 10, pieces: None, codes: Arc::new(NoCode) };
    let services = Services {
        runner: workers.runner(source, None),
        merger: Arc::new(Merges::joined()),
        events: Events::default(),
        journal: None,
        memory: None,
    };
    let plan = Plan::new(vec![Partition::new("p", Shared(content.clone()))]).unwrap();
    let request = Request { deadline: Duration::from_secs(120), ..request() };
    flow::run(request, async { Ok(plan) }, services, cancel).await.unwrap()
}

fn is_right(answer: &Answer) -> bool {
    answer.body().is_some_and(|body| body == "true")
}

#[tokio::test]
async fn what_is_read_in_order_is_read_once_at_the_root() {
    for piece in [10_000, 64 << 10, 1 << 20, 5 << 20] {
        let reads = (0..SIZE / piece).map(|at| at * piece..(at + 1) * piece).collect();
        let workers = root(vec![reads]).await;
        let content = Counted::new(SIZE);
        assert!(is_right(&ask(&workers, b"leaf", &content, CancellationToken::new()).await));
        assert!(content.read.load(Ordering::SeqCst) <= SIZE);
    }
}

#[tokio::test]
async fn what_is_read_without_order_is_read_as_it_is_asked_for() {
    let reads = (0..50_u64).map(|at| at * 31 % 53 * 100_000).map(|at| at..at + 3000).collect();
    let workers = root(vec![reads]).await;
    let content = Counted::new(SIZE);
    assert!(is_right(&ask(&workers, b"leaf", &content, CancellationToken::new()).await));
    assert_eq!(content.read.load(Ordering::SeqCst), 50 * 3000);
}

#[tokio::test]
async fn a_leaf_that_is_stopped_while_it_reads_does_not_cost_the_worker() {
    let in_order = |piece: u64| (0..SIZE / piece).map(|at| at * piece..(at + 1) * piece).collect::<Vec<_>>();
    let workers = root(vec![std::iter::once(0..SIZE).collect(), in_order(1 << 20)]).await;
    let content = Counted::new(1 << 20);
    let cancel = CancellationToken::new();
    let stopping = async {
        while content.read.load(Ordering::SeqCst) == 0 {
            tokio::time::sleep(ms(1)).await;
        }
        cancel.cancel();
    };
    let (answer, ()) = tokio::join!(ask(&workers, b"first", &content, cancel.clone()), stopping);
    assert!(!is_right(&answer));
    content.open();
    let content = Counted::new(SIZE);
    assert!(is_right(&ask(&workers, b"second", &content, CancellationToken::new()).await));
    assert_eq!(workers.list().len(), 1);
}

/// Reads in order, of all bytes.
fn all() -> Vec<Range<u64>> {
    (0..SIZE).step_by(1 << 20).map(|at| at..at + (1 << 20)).collect()
}

#[tokio::test]
async fn a_worker_that_has_the_file_of_a_content_reads_nothing_from_the_root() {
    let own = OwnFile::new(file(), SIZE);
    let workers = root_with(vec![all()], Some(own.clone())).await;
    let content = Counted::new(SIZE);
    assert!(is_right(&ask(&workers, b"leaf", &content, CancellationToken::new()).await));
    assert_eq!(content.read.load(Ordering::SeqCst), 0);
    assert_eq!(own.read.load(Ordering::SeqCst), SIZE);
}

#[tokio::test]
async fn a_worker_that_has_another_file_reads_all_from_the_root() {
    let others = [
        FilePiece { path: "/data/other".into(), ..file() },
        FilePiece { size: 100 + SIZE + 1, ..file() },
        FilePiece { modified: (-5, 0), ..file() },
    ];
    for other in others {
        let own = OwnFile::new(other, SIZE);
        let workers = root_with(vec![all()], Some(own.clone())).await;
        let content = Counted::new(SIZE);
        assert!(is_right(&ask(&workers, b"leaf", &content, CancellationToken::new()).await));
        assert_eq!(content.read.load(Ordering::SeqCst), SIZE);
        assert_eq!(own.read.load(Ordering::SeqCst), 0);
    }
}

#[tokio::test]
async fn the_rest_of_a_file_that_changes_is_read_from_the_root() {
    let half = SIZE / 2;
    let own = OwnFile::new(file(), half);
    let workers = root_with(vec![all()], Some(own.clone())).await;
    let content = Counted::new(SIZE);
    assert!(is_right(&ask(&workers, b"leaf", &content, CancellationToken::new()).await));
    assert_eq!(own.read.load(Ordering::SeqCst), half);
    assert_eq!(content.read.load(Ordering::SeqCst), SIZE - half);
}

#[tokio::test]
async fn a_worker_without_files_is_told_of_none() {
    for (own, told) in [(None, 0), (Some(OwnFile::new(file(), SIZE)), 1)] {
        let workers = root_with(vec![all()], own).await;
        let content = Counted::new(SIZE);
        assert!(is_right(&ask(&workers, b"leaf", &content, CancellationToken::new()).await));
        assert_eq!(content.told.load(Ordering::SeqCst), told);
    }
}
