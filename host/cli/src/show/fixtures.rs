//! Event streams built by hand, and the assertion that every view of them is safe for a terminal.

pub(crate) mod arbitrary;

use std::collections::BTreeMap;

use frond_root::answer::{Attempts, Missing, Straggler, Tally, Timings, UnitTally};
use frond_root::event::{EndedPart, FORMAT_VERSION, GatherEnd};
use frond_root::{
    Coverage, Event, EventKind, Failure, FailureKind, Floor, PartitionKey, QueryId, Reason, Status, Usage,
};

use crate::show::model::Model;
use crate::show::model::build::Builder;

pub(crate) const KEYS: [&str; 5] = ["London", "South East", "Scotland", "Wales", "Yorkshire"];

pub(crate) fn query_id() -> QueryId {
    serde_json::from_str("\"019a5b3c7d8e0f1122334455667788aa\"").expect("an id")
}

impl Model {
    pub(crate) fn of<'a>(events: impl IntoIterator<Item = &'a Event>) -> Self {
        let mut builder = Builder::default();
        events.into_iter().for_each(|event| builder.take(event));
        builder.build()
    }
}

/// Builder of an event stream. Times are in milliseconds.
#[derive(Default)]
pub(crate) struct Stream {
    pub(crate) events: Vec<Event>,
    pub(crate) folds: u32,
}

impl Stream {
    pub(crate) fn new(partitions: u64, floor: Floor) -> Self {
        Self::default()
            .at(
                0,
                EventKind::QueryStarted {
                    version: FORMAT_VERSION,
                    query: query_id(),
                    app: "rail".to_owned(),
                    deadline: 2_000_000,
                    slots: 4,
                    floor,
                    unix_ms: 1_767_225_600_000,
                },
            )
            .at(
                1,
                EventKind::Planned {
                    partitions,
                    weight: partitions * 1000,
                    leaf_deadline: 1_750_000,
                    gather_deadline: 1_800_000,
                },
            )
    }

    pub(crate) fn at(mut self, ms: u64, kind: EventKind) -> Self {
        self.events.push(Event { at: ms * 1000, kind });
        self
    }

    pub(crate) fn start(self, ms: u64, partition: u32, attempt: u32, slot: u32) -> Self {
        self.at(
            ms,
            EventKind::AttemptStarted {
                partition,
                key: key(partition),
                attempt,
                slot,
                weight: 1,
                units: None,
                cut_from: None,
                copy_of: None,
                worker: None,
            },
        )
    }

    pub(crate) fn end(self, ms: u64, partition: u32, attempt: u32, slot: u32, failure: Option<Failure>) -> Self {
        self.ended(ms, (partition, attempt), slot, failure, 0)
    }

    fn ended(self, ms: u64, id: (u32, u32), slot: u32, failure: Option<Failure>, earlier: u32) -> Self {
        self.ended_after(ms, id, slot, failure, earlier, &[])
    }

    fn ended_after(
        self,
        ms: u64,
        (partition, attempt): (u32, u32),
        slot: u32,
        failure: Option<Failure>,
        earlier: u32,
        waits: &[(u64, u64)],
    ) -> Self {
        let waits: Vec<_> = waits.iter().map(|(from, to)| (from * 1000, to * 1000)).collect();
        let waited = waits.iter().map(|(from, to)| to - from).sum();
        let usage = Usage { fuel: 1_300_000, memory: 9 << 20, output: 2048, log: 0 };
        let log = Vec::new();
        let part = None;
        let beaten = false;
        let on_worker = None;
        let ended = EventKind::AttemptEnded {
            partition,
            attempt,
            slot,
            failure,
            usage,
            log,
            earlier,
            waited,
            waits,
            part,
            on_worker,
            beaten,
        };
        self.at(ms, ended)
    }

    pub(crate) fn leaf(self, from: u64, to: u64, partition: u32, slot: u32) -> Self {
        self.start(from, partition, 1, slot).end(to, partition, 1, slot, None)
    }

    /// A leaf in an instance that had served `earlier` calls.
    pub(crate) fn warm(self, from: u64, to: u64, partition: u32, slot: u32, earlier: u32) -> Self {
        self.start(from, partition, 1, slot).ended(to, (partition, 1), slot, None, earlier)
    }

    /// Ends a leaf that waited without a slot at these times.
    pub(crate) fn end_after(self, ms: u64, partition: u32, slot: u32, waits: &[(u64, u64)]) -> Self {
        self.ended_after(ms, (partition, 1), slot, None, 0, waits)
    }

    /// A leaf that succeeds at a part of its partition.
    pub(crate) fn part(
        self,
        (from, to): (u64, u64),
        (partition, attempt, slot): (u32, u32, u32),
        part: EndedPart,
        cut_from: Option<u32>,
    ) -> Self {
        let key = key(partition);
        let units = cut_from.map(|_| (part.begin, part.end));
        self.at(
            from,
            EventKind::AttemptStarted {
                partition,
                key,
                attempt,
                slot,
                weight: 1,
                units,
                cut_from,
                copy_of: None,
                worker: None,
            },
        )
        .at(
            to,
            EventKind::AttemptEnded {
                partition,
                attempt,
                slot,
                failure: None,
                usage: Usage::default(),
                log: Vec::new(),
                earlier: 0,
                waited: 0,
                waits: Vec::new(),
                part: Some(part),
                on_worker: None,
                beaten: false,
            },
        )
    }

    pub(crate) fn retry(self, ms: u64, partition: u32, attempt: u32, start: u64) -> Self {
        self.at(ms, EventKind::RetryScheduled { partition, attempt, start: start * 1000 })
    }

    pub(crate) fn missing(self, ms: u64, partition: u32, status: Status, slug: Option<FailureKind>) -> Self {
        self.at(ms, EventKind::PartitionMissing { partition, key: key(partition), status, slug })
    }

    pub(crate) fn fold(mut self, from: u64, to: u64, inputs: u32, failure: Option<Failure>) -> Self {
        let fold = self.folds;
        self.folds += 1;
        self.at(from, EventKind::FoldStarted { fold, inputs, bytes: u64::from(inputs) * 2048 })
            .at(to, EventKind::FoldEnded { fold, bytes: 2048, failure })
    }

    pub(crate) fn gathered(self, ms: u64, why: GatherEnd) -> Self {
        self.at(ms, EventKind::GatherEnded { why })
    }

    pub(crate) fn finish(self, ms: u64) -> Self {
        self.at(ms, EventKind::FinishStarted {})
    }

    pub(crate) fn over(self, ms: u64, outcome: &str, reason: Option<Reason>, coverage: Coverage) -> Self {
        let coverage = Box::new(coverage);
        let outcome = outcome.to_owned();
        self.at(ms, EventKind::QueryEnded { outcome, reason, coverage })
    }
}

pub(crate) fn key(partition: u32) -> PartitionKey {
    match KEYS.get(partition as usize) {
        Some(name) => (*name).into(),
        None => format!("data/2026/part-{partition:05}.csv").into(),
    }
}

pub(crate) fn trap() -> Failure {
    Failure {
        backtrace: (0..7).map(|n| format!("rail_leaf::parse::level_{n}")).collect(),
        log: vec!["reading 3 columns".to_owned(), "panicked at src/lib.rs:42: \u{1b}[31mno column 4".to_owned()],
        ..Failure::new(FailureKind::Trap, "wasm trap: unreachable instruction executed")
    }
}

/// Returns the coverage of a query in which all but `missing` succeeded.
pub(crate) fn coverage(partitions: u64, total: f64, missing: Vec<Missing>) -> Coverage {
    let mut tally = Tally::default();
    let mut failures = BTreeMap::new();
    let lost = missing.len() as u64;
    tally.add(Status::Succeeded, partitions - lost);
    for one in &missing {
        tally.add(one.status, 1);
        *failures.entry(one.slug.unwrap_or(FailureKind::Lost)).or_default() += 1;
    }
    Coverage {
        query: query_id(),
        complete: missing.is_empty(),
        fraction: if partitions == 0 { 1.0 } else { (partitions - lost) as f64 / partitions as f64 },
        floor: Floor::AtLeast(0.6),
        required_missing: Vec::new(),
        partitions: tally,
        weight: tally,
        covered: (partitions - lost) * 1000,
        missing,
        missing_omitted: 0,
        failures,
        attempts: Attempts { started: partitions, ..Attempts::default() },
        timings: Timings {
            deadline: 2000.0,
            reserve: 200.0,
            plan: 1.0,
            gather: total - 4.0,
            merge: 3.0,
            total,
            leaf_used: 412.5,
            leaf_wasted: 0.0,
            leaf_waited: 0.0,
        },
        units: UnitTally::default(),
        workers: None,
        stragglers: Vec::new(),
        notes: Vec::new(),
    }
}

pub(crate) fn missing(partition: u32, status: Status, failure: Option<Failure>) -> Missing {
    Missing {
        key: key(partition),
        index: partition,
        weight: 1000,
        status,
        share: if status == Status::Degraded { 0.4 } else { 0.0 },
        ranges: Vec::new(),
        attempts: 1,
        slug: failure.as_ref().map(|failure| failure.kind),
        failure,
    }
}

fn cut_off() -> Failure {
    Failure::new(FailureKind::OutOfTime, "still running after 1.79 s, cut off at the gather's end")
}

pub(crate) fn complete() -> Stream {
    let mut coverage = coverage(5, 97.0, Vec::new());
    coverage.stragglers.push(Straggler { key: key(4), ms: 71.0, times_median: 2.73 });
    Stream::new(5, Floor::AtLeast(0.6))
        .leaf(2, 28, 0, 0)
        .leaf(2, 20, 1, 1)
        .leaf(2, 40, 2, 2)
        .leaf(3, 24, 3, 3)
        .leaf(21, 92, 4, 1)
        .fold(42, 44, 4, None)
        .gathered(92, GatherEnd::AllSettled)
        .fold(92, 94, 2, None)
        .finish(94)
        .over(97, "complete", None, coverage)
}

pub(crate) fn stalled() -> Stream {
    let mut coverage = coverage(5, 1810.0, vec![missing(2, Status::TimedOut, Some(cut_off()))]);
    coverage.fraction = 0.831;
    coverage.timings.leaf_wasted = 1797.0;
    Stream::new(5, Floor::AtLeast(0.6))
        .leaf(2, 28, 0, 0)
        .leaf(2, 20, 1, 1)
        .start(3, 2, 1, 2)
        .leaf(3, 24, 3, 3)
        .leaf(21, 45, 4, 1)
        .fold(65, 67, 4, None)
        .missing(1800, 2, Status::TimedOut, Some(FailureKind::OutOfTime))
        .gathered(1800, GatherEnd::Deadline)
        .finish(1801)
        .over(1810, "partial", None, coverage)
}

pub(crate) fn retried() -> Stream {
    let gone = || Some(Failure::new(FailureKind::Unavailable, "no route to the store"));
    let mut coverage = coverage(3, 150.0, Vec::new());
    coverage.failures.insert(FailureKind::Unavailable, 3);
    coverage.attempts.retries = 3;
    coverage.attempts.started = 6;
    Stream::new(3, Floor::All)
        .leaf(2, 30, 0, 0)
        .start(2, 1, 1, 1)
        .end(12, 1, 1, 1, gone())
        .retry(12, 1, 2, 40)
        .start(3, 2, 1, 2)
        .end(4, 2, 1, 2, gone())
        .retry(4, 2, 2, 20)
        .start(20, 2, 2, 2)
        .end(60, 2, 2, 2, gone())
        .retry(60, 2, 3, 90)
        .start(41, 1, 2, 1)
        .end(70, 1, 2, 1, None)
        .start(90, 2, 3, 0)
        .end(140, 2, 3, 0, None)
        .gathered(140, GatherEnd::AllSettled)
        .fold(140, 145, 3, None)
        .finish(145)
        .over(150, "complete", None, coverage)
}

pub(crate) fn below_floor() -> Stream {
    let lost = |partition| missing(partition, Status::Failed, Some(trap()));
    let mut account = coverage(5, 31.0, vec![lost(0), lost(1), lost(2)]);
    account.required_missing.push(key(2));
    account.missing.push(missing(3, Status::Cancelled, None));
    account.partitions.succeeded = 1;
    account.partitions.cancelled = 1;
    let mut stream = Stream::new(5, Floor::AtLeast(0.6)).leaf(2, 9, 4, 3);
    for partition in 0..3_u32 {
        let end = 10 + u64::from(partition) * 8;
        stream = stream.start(2, partition, 1, partition).end(end, partition, 1, partition, Some(trap())).missing(
            end,
            partition,
            Status::Failed,
            Some(FailureKind::Trap),
        );
    }
    stream
        .start(10, 3, 1, 3)
        .missing(26, 3, Status::Cancelled, Some(FailureKind::Cancelled))
        .gathered(26, GatherEnd::OutOfReach)
        .over(31, "failed", Some(Reason::BelowFloor), account)
}

pub(crate) fn merge_failed() -> Stream {
    let mut coverage = coverage(2, 44.0, Vec::new());
    coverage.complete = false;
    Stream::new(2, Floor::All)
        .leaf(2, 28, 0, 0)
        .leaf(2, 20, 1, 1)
        .gathered(28, GatherEnd::AllSettled)
        .fold(29, 43, 2, Some(trap()))
        .over(44, "failed", Some(Reason::Merge(trap())), coverage)
}

pub(crate) fn empty() -> Stream {
    Stream::new(0, Floor::All).gathered(1, GatherEnd::AllSettled).finish(1).over(
        3,
        "complete",
        None,
        coverage(0, 5.0, Vec::new()),
    )
}

/// Returns a stream in which partition `n` runs 10 to 20 ms on one of 4 slots; every 500th traps,
/// and one stalls.
pub(crate) fn many(partitions: u32) -> Stream {
    let mut stream = Stream::new(partitions.into(), Floor::BestEffort);
    let mut free = [1_u64; 4];
    let mut lost = Vec::new();
    for partition in 0..partitions {
        let slot = partition % 4;
        let from = free[slot as usize];
        let to = from + 10 + u64::from(partition * 7919 % 11) + if partition == 77 { 150 } else { 0 };
        free[slot as usize] = to;
        let failure = (partition % 500 == 250).then(trap);
        stream = stream.start(from, partition, 1, slot).end(to, partition, 1, slot, failure.clone());
        if let Some(failure) = failure {
            stream = stream.missing(to, partition, Status::Failed, Some(FailureKind::Trap));
            lost.push(missing(partition, Status::Failed, Some(failure)));
        }
    }
    let end = free.into_iter().max().expect("four slots");
    lost.truncate(100);
    let account = coverage(partitions.into(), end as f64 + 5.0, lost);
    stream.gathered(end, GatherEnd::AllSettled).finish(end).over(end + 5, "partial", None, account)
}

/// Asserts that a view is safe for a terminal: no control characters except for colours, and no
/// line wider than `width`.
pub(crate) fn assert_is_safe(text: &str, width: usize) {
    let plain = anstream::adapter::strip_str(text).to_string();
    for line in plain.lines() {
        assert!(super::text::columns(line) <= width, "wider than {width}: {line:?}");
        assert!(!line.chars().any(char::is_control), "{line:?}");
    }
}
