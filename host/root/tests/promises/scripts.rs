//! Property tests of whole queries with random scripts: invariants for any behaviour of leaves,
//! merges and users.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use frond_root::answer::MAX_MISSING;
use frond_root::{Answer, CopySettings, EventKind, FailureKind, Floor, MergeOrder, Progress, Reason, Request, Status};
use frond_testkit::{Merges, Script, Stage, Turn, ms, plan_weighing, request};
use proptest::prelude::*;
use tokio::time::{Instant, sleep};

use crate::words;

/// The longest time to stop of a leaf in these scripts, in milliseconds.
const LATENESS: u64 = 30;
/// Offset that marks an emission: it has the partition's index plus this.
const EMITTED: u32 = 1000;

#[derive(Clone, Debug)]
enum Play {
    Succeed,
    Fail(FailureKind),
    Lose,
    Stall,
}

#[derive(Clone, Debug)]
struct Part {
    play: Play,
    after: u64,
    emit: Option<(u64, f64)>,
    lateness: Option<u64>,
}

impl Part {
    fn turn(&self, index: u32) -> Turn {
        let turn = match self.play {
            Play::Succeed => Turn::succeed(),
            Play::Fail(kind) => Turn::fail(kind),
            Play::Lose => Turn::lost(),
            Play::Stall => Turn::never(),
        };
        let mut turn = turn.after(ms(self.after));
        if let Some((after, done)) = self.emit {
            turn = turn.emitting(ms(after.min(self.after)), (EMITTED + index).to_string(), done);
        }
        match self.lateness {
            Some(lateness) => turn.stopping_within(ms(lateness)),
            None => turn.deaf(),
        }
    }
}

#[derive(Clone, Debug)]
struct Case {
    partitions: Vec<(u64, [Part; 3])>,
    floor: Floor,
    required: Vec<u32>,
    order: MergeOrder,
    slots: usize,
    deadline: u64,
    leaf_time: Option<u64>,
    p99: Option<u64>,
    cancel: Option<u64>,
    memory: u64,
    merge_takes: u64,
    merge_fails_at: Option<usize>,
    merge_hangs_at: Option<usize>,
    copies: bool,
}

fn part() -> impl Strategy<Value = Part> {
    let kind = proptest::sample::select(FailureKind::ALL.to_vec());
    let kind = kind.prop_map(|kind| match kind {
        // Ends every query in which it occurs, so other tests cover it.
        FailureKind::InvalidQuery => FailureKind::Unavailable,
        kind => kind,
    });
    let play = prop_oneof![
        12 => Just(Play::Succeed),
        2 => kind.prop_map(Play::Fail),
        1 => Just(Play::Lose),
        1 => Just(Play::Stall),
        1 => Just(Play::Fail(FailureKind::Unavailable)),
    ];
    let after = prop_oneof![3 => 0_u64..5, 2 => 0_u64..60, 1 => 0_u64..400];
    let emit = proptest::option::weighted(0.3, (0_u64..60, 0.0..=1.0_f64));
    let lateness = prop_oneof![6 => Just(Some(0)), 2 => (0..=LATENESS).prop_map(Some), 1 => Just(None)];
    (play, after, emit, lateness).prop_map(|(play, after, emit, lateness)| Part { play, after, emit, lateness })
}

fn case() -> impl Strategy<Value = Case> {
    let count = prop_oneof![8 => 0_usize..30, 1 => 120_usize..160];
    let weight = prop_oneof![Just(1_u64), 1_u64..20, 1_u64..1_000_000_000];
    let partitions =
        count.prop_flat_map(move |count| proptest::collection::vec((weight.clone(), [part(), part(), part()]), count));
    let floor = prop_oneof![Just(Floor::All), Just(Floor::BestEffort), (0.01..=1.0_f64).prop_map(Floor::AtLeast)];
    let order = prop_oneof![Just(MergeOrder::Any), Just(MergeOrder::Partition)];
    let flow = (
        1_usize..9,
        50_u64..800,
        proptest::option::weighted(0.2, 5_u64..100),
        proptest::option::weighted(0.3, 0_u64..100),
        proptest::option::weighted(0.2, 0_u64..300),
        prop_oneof![Just(1 << 20), 15_u64..60],
        any::<bool>(),
    );
    let merge = (0_u64..4, proptest::option::weighted(0.1, 0_usize..6), proptest::option::weighted(0.05, 0_usize..6));
    let required = prop_oneof![3 => Just(Vec::new()), 1 => proptest::collection::vec(0_u32..30, 0..3)];
    (partitions, floor, required, order, flow, merge).prop_map(|(partitions, floor, required, order, flow, merge)| {
        let count = partitions.len() as u32;
        Case {
            required: required.into_iter().filter(|index| *index < count).collect(),
            partitions,
            floor,
            order,
            slots: flow.0,
            deadline: flow.1,
            leaf_time: flow.2,
            p99: flow.3,
            cancel: flow.4,
            memory: flow.5,
            merge_takes: merge.0,
            merge_fails_at: merge.1,
            merge_hangs_at: merge.2,
            copies: flow.6,
        }
    })
}

impl Case {
    fn request(&self) -> Request {
        Request {
            deadline: ms(self.deadline),
            floor: self.floor,
            required: self.required.iter().map(|index| format!("p{index}").into()).collect(),
            order: self.order,
            leaf_time: self.leaf_time.map(ms),
            leaf_output: 1,
            partials_memory: self.memory,
            merge_p99: self.p99.map(ms),
            copies: if self.copies { CopySettings::ON } else { CopySettings::OFF },
            ..request()
        }
    }

    fn weights(&self) -> Vec<u64> {
        self.partitions.iter().map(|one| one.0).collect()
    }

    fn stage(&self) -> Stage {
        let parts: Vec<[Part; 3]> = self.partitions.iter().map(|one| one.1.clone()).collect();
        let script = Script::by(move |index, attempt| parts[index as usize][attempt as usize % 3].turn(index));
        let mut merges = match self.order {
            MergeOrder::Any => Merges::sorted(),
            MergeOrder::Partition => Merges::joined(),
        };
        merges = merges.taking(ms(self.merge_takes));
        if let Some(at) = self.merge_fails_at {
            merges = merges.failing_at(at, FailureKind::Trap);
        }
        if let Some(at) = self.merge_hangs_at {
            merges = merges.hanging_at(at);
        }
        Stage::with(script, merges).on_slots(self.slots)
    }
}

/// Result of one query: its answer, events and time.
struct Trial {
    case: Case,
    stage: Stage,
    answer: Answer,
    took: Duration,
}

fn act(case: Case) -> Trial {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let stage = case.stage();
        let start = Instant::now();
        let request = case.request();
        let plan = plan_weighing(&case.weights());
        let answer = match case.cancel {
            Some(after) => stage.ask_and_cancel(request, plan, ms(after)).await,
            None => stage.ask(request, plan).await,
        };
        let took = start.elapsed();
        assert!(stage.leaves.all_closed());
        let begun = stage.leaves.counts().begun.len();
        sleep(ms(LATENESS + 1)).await;
        assert_eq!(stage.merges.live(), 0, "merges run after the answer");
        let deaf = case.partitions.iter().flat_map(|one| &one.1).any(|part| part.lateness.is_none());
        assert!(deaf || stage.leaves.running() == 0, "leaves run after the answer");
        assert_eq!(stage.leaves.counts().begun.len(), begun, "leaves began after the answer");
        Trial { case, stage, answer, took }
    })
}

impl Trial {
    /// Outcome of each partition according to the events.
    fn statuses(&self) -> Vec<Status> {
        let mut statuses = vec![Status::Succeeded; self.case.partitions.len()];
        let missing = self.stage.record.all(|event| match &event.kind {
            EventKind::PartitionMissing { partition, status, .. } => Some((*partition, *status)),
            _ => None,
        });
        for (partition, status) in missing {
            assert_eq!(statuses[partition as usize], Status::Succeeded, "told twice");
            assert_ne!(status, Status::Succeeded);
            statuses[partition as usize] = status;
        }
        statuses
    }

    fn check(&self) {
        self.check_account();
        self.check_missing();
        self.check_answer();
        self.check_leaves();
        self.check_events();
        self.check_progress();
        assert!(self.took <= ms(self.case.deadline), "{:?}", self.took);
    }

    fn check_account(&self) {
        let coverage = self.answer.coverage();
        let mut partitions = BTreeMap::new();
        let mut weight = BTreeMap::new();
        for (status, one) in self.statuses().into_iter().zip(self.case.weights()) {
            let name = serde_json::to_value(status).unwrap().as_str().unwrap().to_owned();
            *partitions.entry(name.clone()).or_insert(0_u64) += 1;
            *weight.entry(name).or_insert(0_u64) += one;
        }
        for (tally, counted) in [(coverage.partitions, partitions), (coverage.weight, weight)] {
            assert!(tally.is_closed());
            let serde_json::Value::Object(parts) = serde_json::to_value(tally).unwrap() else {
                panic!("a tally is an object");
            };
            for (name, amount) in parts.iter().filter(|part| part.0 != "planned") {
                assert_eq!(amount.as_u64(), Some(counted.get(name).copied().unwrap_or(0)), "{name}");
            }
        }
        assert_eq!(coverage.partitions.planned, self.case.partitions.len() as u64);
        let whole = coverage.partitions.is_complete();
        assert_eq!(coverage.complete, whole && self.answer.body().is_some());
        assert!(coverage.covered <= coverage.weight.planned && (0.0..=1.0).contains(&coverage.fraction));
        let least = coverage.weight.succeeded;
        assert!((least..=least + coverage.weight.degraded).contains(&coverage.covered));
    }

    fn check_missing(&self) {
        let coverage = self.answer.coverage();
        let statuses = self.statuses();
        let absent: Vec<u32> =
            (0..).zip(&statuses).filter(|one| *one.1 != Status::Succeeded).map(|one| one.0).collect();
        // The order by cause has separate tests.
        let named: BTreeSet<u32> = coverage.missing.iter().map(|one| one.index).collect();
        assert_eq!((named.len(), coverage.missing.len()), (absent.len().min(MAX_MISSING), named.len()));
        assert!(named.iter().all(|index| absent.contains(index)), "{named:?} of {absent:?}");
        assert_eq!(coverage.missing_omitted, (absent.len() - named.len()) as u64);
        for one in &coverage.missing {
            assert_eq!(one.status, statuses[one.index as usize]);
            assert!(one.attempts <= self.most_attempts());
            assert!(one.share == 0.0 || one.status == Status::Degraded);
            assert!(one.attempts > 0 || one.slug.is_none());
            assert!(one.failure.as_ref().is_none_or(|failure| Some(failure.kind) == one.slug));
        }
        let required: BTreeSet<u32> = self.case.required.iter().copied().collect();
        let lost = required.into_iter().filter(|index| statuses[*index as usize] != Status::Succeeded);
        let lost: Vec<String> = lost.map(|index| format!("p{index}")).collect();
        let reported: Vec<String> = coverage.required_missing.iter().map(ToString::to_string).collect();
        assert_eq!(reported, lost);
    }

    fn check_answer(&self) {
        let coverage = self.answer.coverage();
        let floor = match self.case.floor {
            Floor::All => coverage.complete || coverage.partitions.is_complete(),
            Floor::AtLeast(least) => coverage.fraction >= least - 1e-9,
            Floor::BestEffort => true,
        };
        let something = coverage.fraction > 0.0 || self.case.partitions.is_empty();
        let enough = floor && something && coverage.required_missing.is_empty();
        match &self.answer {
            Answer::Complete { .. } => assert!(coverage.complete && enough),
            Answer::Partial { .. } => assert!(!coverage.complete && enough),
            Answer::Failed { reason, .. } => {
                let merge = matches!(reason, Reason::Merge(_));
                let scripted = self.case.merge_fails_at.is_some() || self.case.merge_hangs_at.is_some();
                assert!(merge || !enough, "{reason:?} though there is enough");
                assert!(!merge || scripted || self.merges_were_too_slow(), "{reason:?}");
                return;
            }
        }
        let mut expected = Vec::new();
        for (index, status) in (0_u32..).zip(self.statuses()) {
            match status {
                Status::Succeeded => expected.push(index),
                Status::Degraded => expected.push(EMITTED + index),
                _ => {}
            }
        }
        if self.case.order == MergeOrder::Any {
            expected.sort_unstable();
        }
        assert_eq!(words(&self.answer), expected);
    }

    /// The reserve may be shorter than the merges that remain at the gather's end.
    fn merges_were_too_slow(&self) -> bool {
        self.case.merge_takes > 0
    }

    /// The events, folded to counts, are those of the coverage.
    fn check_progress(&self) {
        let mut progress = Progress::default();
        self.stage.record.events().iter().for_each(|event| drop(progress.add(event)));
        let coverage = self.answer.coverage();
        assert_eq!(progress.settled, coverage.partitions);
        assert_eq!((progress.partitions, progress.weight), (coverage.partitions.planned, coverage.weight.planned));
        assert_eq!((progress.covered, progress.running), (coverage.weight.succeeded, 0));
        assert_eq!(progress.attempts.started, coverage.attempts.started);
        assert_eq!(progress.attempts.retries, coverage.attempts.retries);
        // Attempts that had not stopped at the end of the gather are no failures of its account.
        let failed = |counts: &BTreeMap<FailureKind, u64>| counts.values().sum::<u64>();
        assert!(failed(&progress.failures) >= failed(&coverage.failures));
    }

    /// The most attempts at a partition: three tries, each with two copies.
    fn most_attempts(&self) -> u32 {
        if self.case.copies { 9 } else { 3 }
    }

    fn check_leaves(&self) {
        let counts = self.stage.leaves.counts();
        assert!(counts.most <= self.case.slots);
        assert!(counts.attempts().values().all(|attempts| *attempts <= self.most_attempts()));
        let attempts = self.answer.coverage().attempts;
        assert!(attempts.started <= counts.begun.len() as u64);
        assert!(attempts.retries <= 10.max(attempts.started / 10));
    }

    fn check_events(&self) {
        let events = self.stage.record.events();
        let mut open = BTreeSet::new();
        let mut begun = BTreeSet::new();
        for (position, event) in events.iter().enumerate() {
            match &event.kind {
                EventKind::QueryStarted { .. } => assert_eq!(position, 0),
                EventKind::Planned { .. } => assert_eq!(position, 1),
                EventKind::AttemptStarted { partition, attempt, .. } => {
                    assert!(begun.insert((*partition, *attempt)), "started twice");
                    open.insert((*partition, *attempt));
                }
                EventKind::AttemptEnded { partition, attempt, .. } => {
                    assert!(open.remove(&(*partition, *attempt)), "ended without a start, or twice");
                }
                EventKind::QueryEnded { outcome, coverage, .. } => {
                    assert_eq!(position, events.len() - 1);
                    assert_eq!(outcome, self.answer.outcome());
                    assert_eq!(&**coverage, self.answer.coverage());
                }
                _ => {}
            }
        }
        assert!(matches!(events.last().unwrap().kind, EventKind::QueryEnded { .. }));
        assert_eq!(begun.len() as u64, self.answer.coverage().attempts.started);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_query_keeps_its_promises(case in case()) {
        act(case).check();
    }
}
