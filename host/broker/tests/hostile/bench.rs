//! A root with an honest worker, and workers that speak frames directly.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use frond_broker::carrier::in_process;
use frond_broker::frames::{self, AttemptOf, Emitted, Ended, Join, Order, Said, Started, Took};
use frond_broker::session::{self, FrameReceiver, FrameSender, Lost, Settings};
use frond_broker::worker::{Introduction, Loaded, serve};
use frond_broker::{LeafCode, LeafCodes, LeafLoader, LeafSource, Origin, ShippedCode, Workers};
use frond_root::policy::retry::Retry;
use frond_root::{Answer, CancellationToken, Error, Events, LeafRunner, PieceSizes, Plan, Request, Services, flow};
use frond_testkit::pieces::{PieceLeaves, Step, joined};
use frond_testkit::{Merges, ms, request};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

/// Longest wait for something that must happen: under paused time it costs nothing.
const PATIENCE: Duration = Duration::from_secs(3600);

/// Waits for something that must happen.
pub(crate) async fn soon<T>(step: impl Future<Output = T>) -> T {
    timeout(PATIENCE, step).await.expect("it happens")
}

/// Code of the only leaf.
struct NoCode;

impl LeafCodes for NoCode {
    fn code(&self, _engine: &str) -> Result<ShippedCode, String> {
        Ok(ShippedCode { settings: Bytes::new(), component: Bytes::new(), compiled: None })
    }
}

/// Loader of a worker's only leaf.
pub(crate) struct Only(pub(crate) PieceLeaves);

impl LeafLoader for Only {
    fn known(&self, _leaf: &[u8]) -> Option<Arc<dyn LeafRunner>> {
        None
    }

    fn load(&self, _code: LeafCode) -> Loaded {
        let leaves = self.0.clone();
        Box::pin(async move { Ok(Arc::new(leaves) as Arc<dyn LeafRunner>) })
    }
}

/// Leaves on so many slots, with a millisecond for each unit.
pub(crate) fn leaves(slots: usize) -> PieceLeaves {
    PieceLeaves::new(&vec![ms(1); slots], |_, _| Step::Go)
}

/// A root.
#[derive(Clone)]
pub(crate) struct Root {
    pub(crate) workers: Workers,
    settings: Settings,
    origin: Origin,
}

impl Root {
    pub(crate) fn new() -> Self {
        Self::with(Settings::default())
    }

    pub(crate) fn with(settings: Settings) -> Self {
        Self { workers: Workers::new(0, settings.clone()), settings, origin: Origin::default() }
    }

    /// Handle of the root for adding workers that may be killed.
    pub(crate) fn expendable(&self) -> Self {
        Self { origin: Origin { is_expendable: true, ..Origin::default() }, ..self.clone() }
    }

    /// Adds a worker that does what it is told.
    pub(crate) async fn honest(&self, slots: usize) {
        self.worker("honest", slots, Arc::new(Only(leaves(slots)))).await;
    }

    pub(crate) async fn worker(&self, name: &str, slots: usize, loader: Arc<dyn LeafLoader>) {
        let (root, worker) = in_process();
        let workers = self.workers.clone();
        let origin = self.origin.clone();
        tokio::spawn(async move { workers.converse_with(root, origin).await });
        let slots = u32::try_from(slots).unwrap();
        let introduction = Introduction { name: name.to_owned(), slots, ..Introduction::default() };
        tokio::spawn(async move {
            serve(worker, Settings::default(), &introduction, loader, CancellationToken::new()).await
        });
        self.until(|root| root.has(name)).await;
    }

    /// Adds a worker that says what the test says.
    pub(crate) async fn liar(&self, slots: u32) -> Liar {
        let liar = self.stranger();
        liar.say(Said::Join(Join { name: "liar".to_owned(), slots, ..Join::default() }));
        self.until(|root| root.has("liar")).await;
        liar
    }

    /// Adds a worker that has not introduced itself.
    pub(crate) fn stranger(&self) -> Liar {
        let (root, worker) = in_process();
        let workers = self.workers.clone();
        let origin = self.origin.clone();
        let task = tokio::spawn(async move { workers.converse_with(root, origin).await });
        let (sender, receiver) = session::open(worker, self.settings.clone());
        Liar { sender, receiver, task }
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.workers.list().iter().any(|worker| worker.name == name)
    }

    pub(crate) async fn until(&self, holds: impl Fn(&Self) -> bool) {
        let wait = async {
            while !holds(self) {
                sleep(ms(1)).await;
            }
        };
        soon(wait).await;
    }

    /// Asks a query of these partitions, in a task.
    pub(crate) fn ask(&self, request: Request, plan: Plan) -> JoinHandle<Result<Answer, Error>> {
        let source = LeafSource {
            leaf: Bytes::from_static(b"leaf"),
            output: 1 << 10,
            pieces: Some(PieceSizes::Timed),
            codes: Arc::new(NoCode),
        };
        let services = Services {
            runner: self.workers.runner(source, None),
            merger: Arc::new(Merges::joined()),
            events: Events::new(vec![Arc::new(frond_testkit::Record::default())]),
            journal: None,
            memory: None,
        };
        tokio::spawn(flow::run(request, async { Ok(plan) }, services, CancellationToken::new()))
    }
}

/// A query with much time, whose failed attempts are tried again and again.
pub(crate) fn patient() -> Request {
    let retry = Retry { attempts: u32::MAX, first: ms(1000), most: ms(1000), within: None };
    Request { deadline: Duration::from_secs(1800), retry, ..request() }
}

/// Asserts that the answer has each unit of these partitions once.
pub(crate) async fn is_whole(answer: JoinHandle<Result<Answer, Error>>, counts: &[u64]) {
    let answer = soon(answer).await.unwrap().unwrap();
    let coverage = answer.coverage();
    assert!(coverage.partitions.is_closed() && coverage.weight.is_closed(), "{coverage:?}");
    assert!(coverage.complete, "{coverage:?}");
    let joined = joined(answer.body().unwrap());
    for (index, count) in (0_u32..).zip(counts).filter(|(_, count)| **count > 0) {
        let whole: Range<u64> = 0..*count;
        assert_eq!(joined.get(&index).map(Vec::as_slice), Some([whole].as_slice()), "partition {index}");
    }
}

/// A worker that says what a test says.
pub(crate) struct Liar {
    pub(crate) sender: FrameSender,
    pub(crate) receiver: FrameReceiver,
    /// The root's end of the conversation.
    pub(crate) task: JoinHandle<Lost>,
}

impl Liar {
    pub(crate) fn say(&self, said: Said) {
        self.sender.post(frames::encoded(said));
    }

    /// Hears the next frame; `None` once the session is over.
    pub(crate) async fn hear(&mut self) -> Option<Said> {
        soon(self.receiver.recv()).await.ok().map(|frame| frames::decoded(frame).unwrap().unwrap())
    }

    /// Waits for the first attempts.
    pub(crate) async fn attempts(&mut self) -> Vec<(AttemptOf, Order)> {
        loop {
            if let Said::Run(run) = self.hear().await.expect("the session lives") {
                let of =
                    |order: &Order| AttemptOf { query: run.query, partition: order.partition, number: order.number };
                return run.orders.into_iter().map(|order| (of(&order), order)).collect();
            }
        }
    }

    /// Reason why the root gave this worker up.
    pub(crate) async fn lost(mut self) -> Lost {
        let hearing = async {
            while self.receiver.recv().await.is_ok() {}
            std::future::pending::<()>().await;
        };
        tokio::select! {
            lost = &mut self.task => lost.expect("the root does not panic"),
            () = hearing => panic!("nobody waits for ever"),
            () = sleep(PATIENCE) => panic!("the worker is given up"),
        }
    }
}

pub(crate) fn started(of: AttemptOf) -> Said {
    Said::Started(Started { of, ..Started::default() })
}

/// The end of an attempt that took its units up to this one.
pub(crate) fn ended(of: AttemptOf, taken: u64) -> Ended {
    Ended { of, took: Some(Took { taken, is_skipped: false, has_asked: true }), ..Ended::default() }
}

pub(crate) fn kept(of: AttemptOf, kept: u64) -> Emitted {
    Emitted { of, kept, ..Emitted::default() }
}
