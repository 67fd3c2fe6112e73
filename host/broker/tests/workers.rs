//! Tests of workers: queries whose leaves run elsewhere are answered as if they ran here, and what
//! a lost worker had runs again.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a mistake in a test stops it where it is"
)]

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use frond_broker::carrier::in_process;
use frond_broker::chaos::{Chaos, ChaosLink, chaos};
use frond_broker::nats::PeerId;
use frond_broker::session::Settings;
use frond_broker::worker::{Introduction, Loaded, serve};
use frond_broker::{
    LeafCode, LeafCodes, LeafLoader, LeafSource, Origin, ShippedCode, Tally, WorkerState, WorkerView, Workers,
};
use frond_root::policy::retry::Retry;
use frond_root::{
    Answer, CancellationToken, CopySettings, Coverage, EventKind, Events, FailureKind, LeafRunner, MergeOrder,
    PieceSizes, Plan, Request, Services, flow,
};
use frond_testkit::pieces::{PieceLeaves, Step, integers, joined};
use frond_testkit::{Merges, Record, ms, request};
use proptest::prelude::*;
use tokio::task::AbortHandle;
use tokio::time::Instant;

/// Code of the only leaf.
struct NoCode;

impl LeafCodes for NoCode {
    fn code(&self, _engine: &str) -> Result<ShippedCode, String> {
        Ok(ShippedCode { settings: Bytes::from_static(b"settings"), component: Bytes::new(), compiled: None })
    }
}

/// Loader of a worker's only leaf, or of none.
struct Only(Option<PieceLeaves>);

impl LeafLoader for Only {
    fn known(&self, _leaf: &[u8]) -> Option<Arc<dyn LeafRunner>> {
        None
    }

    fn load(&self, code: LeafCode) -> Loaded {
        let leaves = self.0.clone();
        Box::pin(async move {
            assert_eq!(code.settings, "settings");
            leaves.map(|leaves| Arc::new(leaves) as Arc<dyn LeafRunner>).ok_or_else(|| "it is not for me".to_owned())
        })
    }
}

/// Current link of a worker, which has a new one each time it joins.
type Link = Arc<Mutex<Wire>>;

/// Link of a worker.
#[derive(Default)]
struct Wire {
    link: ChaosLink,
    /// True once nothing goes through any more.
    is_cut: bool,
}

/// A root with workers.
struct Cluster {
    workers: Workers,
    all: Vec<AbortHandle>,
    links: Vec<Link>,
    drains: Vec<CancellationToken>,
    chaos: Chaos,
}

impl Cluster {
    fn new() -> Self {
        Self::under(Chaos::default())
    }

    /// A root whose carriers have these faults.
    fn under(chaos: Chaos) -> Self {
        let workers = Workers::new(0, Settings::default());
        Self { workers, all: Vec::new(), links: Vec::new(), drains: Vec::new(), chaos }
    }

    /// Adds a worker with these leaves, once it has joined.
    async fn with(self, leaves: Option<PieceLeaves>) -> Self {
        let name = format!("w{}", self.all.len());
        self.named(&name, leaves).await
    }

    /// Adds a worker of this name.
    async fn named(mut self, name: &str, leaves: Option<PieceLeaves>) -> Self {
        let slots = u32::try_from(leaves.as_ref().map_or(1, LeafRunner::slots)).unwrap();
        let introduction = Introduction { name: name.to_owned(), slots, ..Introduction::default() };
        let origin = Origin { process: Some(PeerId::random()), ..Origin::default() };
        let link = Link::default();
        self.links.push(link.clone());
        let drain = CancellationToken::new();
        self.drains.push(drain.clone());
        let workers = self.workers.clone();
        let carriers = Chaos { seed: self.chaos.seed + self.all.len() as u64, ..self.chaos.clone() };
        let serving = async move {
            // A worker that has left joins again with the root's next announcement, as behind a broker.
            while !drain.is_cancelled() && !link.lock().unwrap().is_cut {
                let (root, worker) = in_process();
                let (worker, own) = chaos(worker, carriers.clone());
                link.lock().unwrap().link = own;
                let workers = workers.clone();
                let origin = origin.clone();
                tokio::spawn(async move { workers.converse_with(root, origin).await });
                let loader = Arc::new(Only(leaves.clone()));
                serve(worker, Settings::default(), &introduction, loader, drain.clone()).await;
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        };
        let began = Instant::now();
        self.all.push(tokio::spawn(serving).abort_handle());
        let is_it = |worker: &WorkerView| worker.name == name && worker.age <= began.elapsed();
        while !self.staying().iter().any(is_it) {
            tokio::time::sleep(ms(1)).await;
        }
        self
    }

    /// The workers that take attempts.
    fn staying(&self) -> Vec<WorkerView> {
        self.workers.list().into_iter().filter(|worker| worker.drain.is_none()).collect()
    }

    fn source() -> LeafSource {
        let codes = Arc::new(NoCode);
        LeafSource { leaf: Bytes::from_static(b"leaf"), output: 1 << 10, pieces: Some(PieceSizes::Timed), codes }
    }

    async fn ask(&self, request: Request, plan: Plan) -> Asked {
        self.ask_with(request, plan, None).await
    }

    async fn ask_with(&self, request: Request, plan: Plan, local: Option<Arc<dyn LeafRunner>>) -> Asked {
        let record = Record::default();
        let services = Services {
            runner: self.workers.runner(Self::source(), local),
            merger: Arc::new(Merges::joined()),
            events: Events::new(vec![Arc::new(record.clone())]),
            journal: None,
            memory: None,
        };
        let answer = flow::run(request, async { Ok(plan) }, services, CancellationToken::new()).await.unwrap();
        Asked { answer, record }
    }
}

/// Answer with the events of its query.
struct Asked {
    answer: Answer,
    record: Record,
}

impl Asked {
    fn coverage(&self) -> &Coverage {
        let coverage = self.answer.coverage();
        assert!(coverage.partitions.is_closed() && coverage.weight.is_closed(), "{coverage:?}");
        coverage
    }

    /// Asserts that the answer has each unit of these partitions once.
    fn is_whole(&self, counts: &[u64]) {
        assert!(self.coverage().complete, "{:?}", self.coverage());
        let joined = joined(self.answer.body().unwrap());
        for (index, count) in (0_u32..).zip(counts) {
            let whole: Range<u64> = 0..*count;
            assert_eq!(joined.get(&index).map(Vec::as_slice), Some([whole].as_slice()), "partition {index}");
        }
    }

    fn slots(&self) -> Vec<u32> {
        let mut slots = self.record.all(|event| match event.kind {
            EventKind::AttemptStarted { slot, .. } => Some(slot),
            _ => None,
        });
        slots.sort_unstable();
        slots.dedup();
        slots
    }
}

/// Leaves on so many slots, with a millisecond for each unit.
fn leaves(slots: usize) -> PieceLeaves {
    PieceLeaves::new(&vec![ms(1); slots], |_, _| Step::Go)
}

fn long() -> Request {
    Request { deadline: Duration::from_secs(60), ..request() }
}

#[tokio::test(start_paused = true)]
async fn two_workers_answer_as_one_process() {
    let cluster = Cluster::new().with(Some(leaves(2))).await.with(Some(leaves(2))).await;
    let counts = [10, 20, 30, 5, 1, 70];
    let asked = cluster.ask(long(), integers(&counts)).await;
    asked.is_whole(&counts);
    assert!(asked.slots().iter().any(|slot| *slot >= 2) && asked.slots().iter().any(|slot| *slot < 2));
}

#[tokio::test(start_paused = true)]
async fn a_worker_stays_between_queries() {
    let cluster = Cluster::new().with(Some(leaves(1))).await;
    for _ in 0..5 {
        let asked = cluster.ask(long(), integers(&[30, 20])).await;
        asked.is_whole(&[30, 20]);
        tokio::time::sleep(Duration::from_secs(10)).await;
    }
    let workers = cluster.workers.list();
    assert!(matches!(workers.as_slice(), [worker] if worker.age > Duration::from_secs(50)), "{workers:?}");
}

#[tokio::test(start_paused = true)]
async fn a_long_partition_is_cut_across_workers() {
    let cluster = Cluster::new().with(Some(leaves(1))).await.with(Some(leaves(1))).await;
    let asked = cluster.ask(long(), integers(&[4000])).await;
    asked.is_whole(&[4000]);
    assert!(asked.coverage().attempts.cuts > 0);
    assert_eq!(asked.slots(), [0, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_leaf_that_takes_no_piece_keeps_its_partition() {
    let leaves = || Some(leaves(8).at_once());
    let cluster = Cluster::new().with(leaves()).await.with(leaves()).await;
    for counts in [[1, 400, 30], [700, 2, 5000]] {
        let asked = cluster.ask(long(), integers(&counts)).await;
        asked.is_whole(&counts);
        let attempts = asked.coverage().attempts;
        assert_eq!((attempts.started, attempts.cuts, attempts.discarded), (3, 0, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn what_waits_behind_a_long_leaf_runs_elsewhere() {
    let leaves = || Some(leaves(1).at_once());
    let cluster = Cluster::new().with(leaves()).await.with(leaves()).await;
    // Short leaves give workers attempts ahead; a long one then keeps what is ahead on its worker.
    let mut counts = [1_u64; 201];
    counts[100] = 20_000;
    let request = Request { order: MergeOrder::Partition, ..long() };
    let asked = cluster.ask(request, integers(&counts)).await;
    asked.is_whole(&counts);
    let ends = asked.record.all(|event| match event.kind {
        EventKind::AttemptEnded { partition, .. } if partition != 100 => Some(event.at),
        _ => None,
    });
    let last = ends.into_iter().max().unwrap();
    assert!(last < 2_000_000, "the last short leaf ended after {last} µs");
}

#[tokio::test(start_paused = true)]
async fn a_fault_that_takes_many_workers_at_once_costs_no_attempt() {
    let mut cluster = Cluster::new();
    for _ in 0..16 {
        cluster = cluster.with(Some(leaves(1))).await;
    }
    let links = cluster.links[1..].to_vec();
    let asked = async {
        let request = Request { retry: Retry { attempts: 1, ..long().retry }, ..long() };
        cluster.ask(request, integers(&[40_000])).await
    };
    let fault = async {
        tokio::time::sleep(ms(900)).await;
        links.iter().for_each(cut);
    };
    let (asked, ()) = tokio::join!(asked, fault);
    asked.is_whole(&[40_000]);
    let lost = asked.coverage().failures.get(&FailureKind::Lost).copied();
    assert_eq!(lost, Some(15));
}

#[tokio::test(start_paused = true)]
async fn local_slots_and_workers_share_a_query() {
    let cluster = Cluster::new().with(Some(leaves(1))).await;
    let asked = cluster.ask_with(long(), integers(&[50; 20]), Some(Arc::new(leaves(1)))).await;
    asked.is_whole(&[50; 20]);
}

#[tokio::test(start_paused = true)]
async fn what_a_lost_worker_had_runs_elsewhere_and_costs_no_attempt() {
    let cluster = Cluster::new().with(Some(leaves(1))).await.with(Some(leaves(1))).await;
    let killed = cluster.links[0].clone();
    tokio::spawn(async move {
        tokio::time::sleep(ms(200)).await;
        cut(&killed);
    });
    let request = Request { retry: Retry { attempts: 1, ..long().retry }, ..long() };
    let asked = cluster.ask(request, integers(&[400, 400, 400])).await;
    asked.is_whole(&[400, 400, 400]);
    assert_eq!(cluster.workers.list().len(), 1);
    assert_eq!(asked.coverage().failures.get(&FailureKind::Lost), Some(&1));
    let workers = asked.coverage().workers.as_deref().unwrap();
    assert_eq!((workers.joined, workers.lost, workers.attempts_lost), (2, 1, 1), "{workers:?}");
    assert_eq!(workers.attempts, asked.coverage().attempts.started, "no leaf runs elsewhere");
    assert_eq!(workers.named.iter().map(|one| one.attempts).sum::<u64>(), workers.attempts, "{workers:?}");
    // A lost worker has at most its lease to redo, and nothing else was redone.
    assert_eq!(workers.units_redone, asked.coverage().units.redone);
    assert!(workers.units_redone > 0, "{workers:?}");
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_refuses_a_leaf_leaves_it_to_others() {
    let cluster = Cluster::new().with(None).await.with(Some(leaves(1))).await;
    let asked = cluster.ask(long(), integers(&[10, 10])).await;
    asked.is_whole(&[10, 10]);
    assert_eq!(cluster.workers.list()[0].refusals, ["it is not for me"]);
    let told = ["the worker `w0` cannot run the leaf: it is not for me"];
    assert_eq!(asked.coverage().notes, told);
    // The next query is not even offered to it, and tells it all the same.
    assert_eq!(cluster.ask(long(), integers(&[10, 10])).await.coverage().notes, told);
}

#[tokio::test(start_paused = true)]
async fn a_slow_attempt_is_copied_by_another_worker_and_by_no_other() {
    let counts = [1; 20];
    let request = || Request { copies: CopySettings::ON, ..long() };
    // The second slot of the first worker is far slower than the others.
    let slow = || Some(PieceLeaves::new(&[ms(1), ms(20_000)], |_, _| Step::Go));
    let alone = Cluster::new().with(slow()).await;
    let asked = alone.ask(request(), integers(&counts)).await;
    asked.is_whole(&counts);
    assert_eq!(asked.coverage().attempts.hedges, 0, "the worker has the attempt already");
    let cluster = Cluster::new().with(slow()).await.with(Some(leaves(2))).await;
    let asked = cluster.ask(request(), integers(&counts)).await;
    asked.is_whole(&counts);
    let coverage = asked.coverage();
    assert_eq!((coverage.attempts.hedges, coverage.attempts.hedge_wins), (1, 1));
    assert!(coverage.timings.gather < 1000.0, "{:?}", coverage.timings);
    let workers = asked.record.all(|event| match &event.kind {
        EventKind::AttemptStarted { copy_of: Some(_), worker, .. } => worker.clone(),
        _ => None,
    });
    assert_eq!(workers, ["w1"]);
}

#[tokio::test(start_paused = true)]
async fn a_loser_stops_while_the_query_goes_on() {
    let slow = PieceLeaves::new(&[ms(100_000)], |_, _| Step::Go);
    // One leaf of this process takes a second, long after all others.
    let is_last = |piece: &Range<u64>| piece.end == 3;
    let step = move |_: u32, piece: &Range<u64>| if is_last(piece) { Step::Stall(ms(1000)) } else { Step::Go };
    let fast = PieceLeaves::new(&[ms(10); 8], step);
    let cluster = Cluster::new().with(Some(slow)).await.with(Some(fast)).await;
    let mut counts = vec![1; 20];
    counts.push(3);
    // In plan order: the slow worker takes the first partition.
    let request = Request { copies: CopySettings::ON, order: MergeOrder::Partition, ..long() };
    let asked = cluster.ask(request, integers(&counts)).await;
    asked.is_whole(&counts);
    let beaten = asked.record.all(|event| match event.kind {
        EventKind::AttemptEnded { beaten: true, .. } => Some(event.at),
        _ => None,
    });
    assert!(asked.coverage().attempts.hedge_wins > 0);
    assert!(beaten.first().is_some_and(|at| *at < 500_000), "{beaten:?}");
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_drains_loses_nothing() {
    let cluster = Cluster::new().with(Some(leaves(2))).await.with(Some(leaves(2))).await;
    let drain = cluster.drains[0].clone();
    tokio::spawn(async move {
        tokio::time::sleep(ms(30)).await;
        drain.cancel();
    });
    let asked = cluster.ask(long(), integers(&[40; 30])).await;
    asked.is_whole(&[40; 30]);
    assert!(asked.coverage().failures.is_empty(), "{:?}", asked.coverage().failures);
    assert_eq!(cluster.workers.list().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_joins_late_helps() {
    let cluster = Cluster::new().with(Some(leaves(1))).await;
    let late = Arc::new(AtomicBool::new(false));
    let workers = cluster.workers.clone();
    let joined = late.clone();
    tokio::spawn(async move {
        tokio::time::sleep(ms(50)).await;
        let (root, worker) = in_process();
        tokio::spawn(async move { workers.converse(root).await });
        joined.store(true, Ordering::SeqCst);
        let introduction = Introduction { name: "late".to_owned(), slots: 1, ..Introduction::default() };
        serve(worker, Settings::default(), &introduction, Arc::new(Only(Some(leaves(1)))), CancellationToken::new())
            .await
    });
    let asked = cluster.ask(long(), integers(&[2000])).await;
    asked.is_whole(&[2000]);
    assert!(late.load(Ordering::SeqCst));
    assert_eq!(asked.slots(), [0, 1]);
}

#[tokio::test(start_paused = true)]
async fn steps_of_leaves_reach_the_root() {
    // A partial that was handed over counts although the leaf fails later.
    let fails = PieceLeaves::new(&[ms(1)], |attempt, piece| match (attempt, piece.start) {
        (1, 0..40) => Step::Keep,
        (1, _) => Step::Fail(FailureKind::Unavailable),
        _ => Step::Go,
    });
    let cluster = Cluster::new().with(Some(fails)).await;
    let asked = cluster.ask(long(), integers(&[200])).await;
    asked.is_whole(&[200]);
    assert!(asked.coverage().units.saved > 0, "{:?}", asked.coverage().units);
    // A leaf that begins anew may hand over less than before.
    let restarts = AtomicBool::new(true);
    let anew = PieceLeaves::new(&[ms(1)], move |_, piece| {
        if piece.start > 10 && restarts.swap(false, Ordering::SeqCst) { Step::Again } else { Step::Keep }
    });
    let cluster = Cluster::new().with(Some(anew)).await;
    let asked = cluster.ask(long(), integers(&[100])).await;
    asked.is_whole(&[100]);
    assert!(asked.coverage().failures.is_empty(), "{:?}", asked.coverage().failures);
    // What is skipped is accounted for.
    let skips = PieceLeaves::new(&[ms(1)], |_, piece| if piece.end > 20 { Step::Skip } else { Step::Go });
    let cluster = Cluster::new().with(Some(skips)).await;
    let asked = cluster.ask(long(), integers(&[500])).await;
    assert!(asked.coverage().units.skipped > 0 && asked.coverage().complete, "{:?}", asked.coverage().units);
    // A call that is made again takes its units anew.
    let again = AtomicBool::new(true);
    let restarts = PieceLeaves::new(&[ms(1)], move |_, piece| {
        if piece.start > 10 && again.swap(false, Ordering::SeqCst) { Step::Again } else { Step::Go }
    });
    let cluster = Cluster::new().with(Some(restarts)).await;
    let asked = cluster.ask(long(), integers(&[100])).await;
    asked.is_whole(&[100]);
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_ends_costs_no_attempt_either() {
    let cluster = Cluster::new().with(Some(leaves(1))).await.with(Some(leaves(1))).await;
    let killed = cluster.all[0].clone();
    tokio::spawn(async move {
        tokio::time::sleep(ms(200)).await;
        killed.abort();
    });
    let request = Request { retry: Retry { attempts: 1, ..long().retry }, ..long() };
    let asked = cluster.ask(request, integers(&[400, 400, 400])).await;
    asked.is_whole(&[400, 400, 400]);
    assert_eq!(cluster.workers.list().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_drained_process_gets_no_more_attempts_however_often_it_joins() {
    let cluster = Cluster::new().with(Some(leaves(1))).await.with(Some(leaves(1))).await;
    let workers = cluster.workers.clone();
    let draining = tokio::spawn(async move {
        tokio::time::sleep(ms(30)).await;
        assert_eq!(workers.drain("w0", "ann"), 1);
        workers.list()
    });
    let asked = cluster.ask(long(), integers(&[40; 30])).await;
    asked.is_whole(&[40; 30]);
    assert!(asked.coverage().failures.is_empty(), "{:?}", asked.coverage().failures);
    let drained = &draining.await.unwrap()[0];
    assert_eq!(drained.state, WorkerState::Draining, "it is visible until it has gone");
    assert!(drained.idle_because.as_deref().is_some_and(|why| why.contains("drains")), "{drained:?}");
    // Much later, and after it came again and again.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let asked = cluster.ask(long(), integers(&[40; 3])).await;
    asked.is_whole(&[40; 3]);
    assert_eq!(asked.slots(), [1], "the other one runs all");
    assert_eq!(cluster.staying().len(), 1);
    assert_eq!(cluster.workers.tally().lost, 0);
    assert_eq!(cluster.workers.tally().joined, 2, "only the first time counts");
    let absent = cluster.workers.absent();
    assert_eq!(absent.len(), 1, "{absent:?}");
    assert_eq!((absent[0].name.as_str(), absent[0].state), ("w0", WorkerState::Drained));
    assert_eq!(absent[0].drain.as_ref().and_then(|drain| drain.by.as_deref()), Some("ann"));
    assert!(absent[0].gone.is_some_and(|gone| gone >= Duration::from_secs(5)), "its first leave counts");
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert!(cluster.workers.absent().is_empty(), "it is forgotten after ten minutes");
}

#[tokio::test(start_paused = true)]
async fn another_process_of_a_drained_name_stays() {
    let cluster = Cluster::new().named("w", Some(leaves(1))).await.named("w", Some(leaves(1))).await;
    assert_eq!(cluster.workers.drain("v", "ann"), 0);
    assert_eq!(cluster.workers.drain("w", "ann"), 2);
    let cluster = cluster.named("w", Some(leaves(1))).await;
    cluster.ask(long(), integers(&[10, 10])).await.is_whole(&[10, 10]);
    assert_eq!(cluster.staying().len(), 1);
    assert!(cluster.workers.absent().is_empty(), "one of this name is back");
}

#[tokio::test(start_paused = true)]
async fn a_worker_without_attempts_has_a_reason() {
    let cluster = Cluster::new().with(None).await.with(Some(leaves(1))).await;
    let because = |workers: &Workers| workers.list().into_iter().map(|one| one.idle_because).collect::<Vec<_>>();
    assert_eq!(because(&cluster.workers), [None, None], "there is no query");
    let workers = cluster.workers.clone();
    let looking = tokio::spawn(async move {
        tokio::time::sleep(ms(500)).await;
        workers.list()
    });
    cluster.ask(long(), integers(&[40; 30])).await.is_whole(&[40; 30]);
    let seen = looking.await.unwrap();
    assert!(seen[0].idle_because.as_deref().is_some_and(|why| why.contains("it is not for me")), "{:?}", seen[0]);
    assert_eq!(seen[1].idle_because, None, "it is busy");
    assert!(seen.iter().all(|one| one.last_heard.is_some_and(|time| time < Duration::from_secs(3))), "{seen:?}");
    assert_eq!(because(&cluster.workers), [None, None], "the query is over");
}

#[tokio::test(start_paused = true)]
async fn what_happens_to_workers_is_counted() {
    let cluster = Cluster::new().with(Some(leaves(1))).await.with(Some(leaves(1))).await;
    assert_eq!(cluster.workers.tally(), Tally { joined: 2, ..Tally::default() });
    cluster.ask(long(), integers(&[10, 10, 10])).await.is_whole(&[10, 10, 10]);
    let ended = |tally: &Tally| tally.attempts.iter().map(|(_, count)| count).sum::<u64>();
    let before = cluster.workers.tally();
    assert!(ended(&before) >= 3, "{before:?}");
    assert!(before.attempts.iter().all(|(name, _)| name == "w0" || name == "w1"), "{before:?}");
    let killed = cluster.links[0].clone();
    tokio::spawn(async move {
        tokio::time::sleep(ms(200)).await;
        cut(&killed);
    });
    cluster.ask(long(), integers(&[400, 400])).await.is_whole(&[400, 400]);
    let after = cluster.workers.tally();
    assert_eq!((after.joined, after.lost, after.attempts_lost), (2, 1, 1));
    assert!(ended(&after) > ended(&before), "{after:?}");
}

#[tokio::test(start_paused = true)]
async fn attempts_of_workers_have_the_times_that_they_took() {
    // Begin and end of a leaf of a few milliseconds are heard together, or in any distance.
    let carriers = Chaos { delay: ms(1)..ms(40), ..Chaos::default() };
    let cluster = Cluster::under(carriers).with(Some(leaves(1))).await.with(Some(leaves(2))).await;
    let counts: Vec<_> = (1..60).map(|at| 1 + at * 7 % 11).collect();
    let asked = cluster.ask(long(), integers(&counts)).await;
    asked.is_whole(&counts);
    let began = asked.record.all(|event| match event.kind {
        EventKind::AttemptStarted { partition, attempt, slot, .. } => Some((partition, attempt, slot, event.at)),
        _ => None,
    });
    let mut by_slot: BTreeMap<u32, Vec<(u64, u64)>> = BTreeMap::new();
    for (partition, attempt, slot, start) in began {
        let ended = asked.record.all(|event| match event.kind {
            EventKind::AttemptEnded { partition: of, attempt: number, .. } if (of, number) == (partition, attempt) => {
                Some(event.at)
            }
            _ => None,
        });
        by_slot.entry(slot).or_default().push((start, ended[0]));
    }
    let took: u64 = by_slot.values().flatten().map(|(start, end)| end - start).sum();
    let units: u64 = counts.iter().sum();
    assert!(took >= units * 1000, "{took} µs for {units} units");
    for attempts in by_slot.values_mut() {
        attempts.sort_unstable();
        assert!(attempts.windows(2).all(|two| two[0].1 <= two[1].0), "a slot runs one leaf at a time: {attempts:?}");
    }
}

/// Cuts a worker off for good.
fn cut(link: &Link) {
    let mut wire = link.lock().unwrap();
    wire.link.cut();
    wire.is_cut = true;
}

/// Fault of a worker.
#[derive(Clone, Copy, Debug)]
enum Fault {
    /// It is heard no more.
    Cut,
    /// It is not heard for so many milliseconds.
    Pause(u64),
    /// Its task ends.
    End,
    /// It drains.
    Drain,
}

fn faults() -> impl Strategy<Value = Vec<(usize, u64, Fault)>> {
    let fault =
        prop_oneof![Just(Fault::Cut), (1_u64..2000).prop_map(Fault::Pause), Just(Fault::End), Just(Fault::Drain),];
    proptest::collection::vec((1_usize..4, 0_u64..800, fault), 0..4)
}

fn faulty_carriers() -> impl Strategy<Value = Chaos> {
    (0.0..0.2, 0.0..0.2, 0.0..0.2, 0_u64..20, any::<u32>()).prop_map(|(drop, double, reorder, delay, seed)| Chaos {
        drop,
        double,
        reorder,
        delay: ms(0)..ms(delay + 1),
        seed: u64::from(seed),
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Whatever happens to all workers but the first, each unit is in the answer once.
    #[test]
    fn under_chaos_each_unit_counts_once(
        counts in proptest::collection::vec(0_u64..400, 1..12),
        slots in proptest::collection::vec(1_usize..4, 4),
        faults in faults(),
        carriers in faulty_carriers(),
        keeps in 0_u64..3,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async move {
            let mut cluster = Cluster::under(carriers);
            for slots in slots {
                let leaves = PieceLeaves::new(&vec![ms(1); slots], move |_, piece| {
                    if keeps > 0 && piece.start % (keeps + 1) == 0 { Step::Keep } else { Step::Go }
                });
                cluster = cluster.with(Some(leaves)).await;
            }
            for (worker, at, fault) in faults {
                let link = cluster.links[worker].clone();
                let task = cluster.all[worker].clone();
                let drain = cluster.drains[worker].clone();
                tokio::spawn(async move {
                    tokio::time::sleep(ms(at)).await;
                    match fault {
                        Fault::Cut => cut(&link),
                        Fault::End => task.abort(),
                        Fault::Drain => drain.cancel(),
                        Fault::Pause(time) => {
                            let link = link.lock().unwrap().link.clone();
                            link.cut();
                            tokio::time::sleep(ms(time)).await;
                            link.heal();
                        }
                    }
                });
            }
            let request = Request { deadline: Duration::from_secs(600), ..request() };
            let asked = cluster.ask(request, integers(&counts)).await;
            assert!(asked.coverage().complete, "{:?}", asked.coverage());
            let joined = joined(asked.answer.body().unwrap());
            for (index, count) in (0_u32..).zip(&counts).filter(|(_, count)| **count > 0) {
                let whole: Range<u64> = 0..*count;
                assert_eq!(joined.get(&index).map(Vec::as_slice), Some([whole].as_slice()));
            }
        });
    }
}
