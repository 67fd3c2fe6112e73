//! In any sequence of calls, the stores behave like the model.

use bytes::Bytes;
use frond_jobs::store::{
    EventBatch, Filter, Idempotency, JobFilter, Locator, NewJob, Outcome, Page, Partial, PartitionResult,
    PartitionState, TOMBSTONE_MS,
};
use frond_jobs::{End, JobState, StoreError};
use frond_root::ledger::PartialRange;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::kit::{Bench, Store, at, degraded, done, ended, failed, id, job, listed, name, plan, result, rows};
use crate::model::{Cell, Given, Job, Kind, Model, StoreResult, UNITS};

/// Number of jobs, of apps, and of callers beside the jobs without one.
const JOBS: u64 = 4;
const APPS: u8 = 2;
const CALLERS: u8 = 2;
/// Stands for the job that was taken last.
const LAST: u64 = 0;

#[derive(Clone, Debug)]
enum Op {
    Submit { job: u64, new: New },
    Take { app: Option<u8>, not_of: Option<Option<u8>>, lease: u64 },
    Renew { job: u64, epoch: Epoch, lease: u64 },
    Release { job: u64, epoch: Epoch },
    Plan { job: u64, epoch: Epoch, partitions: usize },
    Accept { job: u64, epoch: Epoch, results: Vec<Given> },
    Merge { job: u64, epoch: Epoch },
    Finish { job: u64, epoch: Epoch, end: End },
    Cancel { job: u64, keep: bool },
    Redrive { job: u64 },
    Retain { job: u64, ms: u64 },
    Append { job: u64, epoch: Epoch, count: u64 },
    Wait { ms: u64 },
    Sweep,
    Reopen,
}

/// A submission.
#[derive(Clone, Copy, Debug)]
struct New {
    app: u8,
    caller: Option<u8>,
    share: u32,
    key: Option<u8>,
    print: u8,
}

/// Epoch of a write, relative to the job's.
#[derive(Clone, Copy, Debug)]
enum Epoch {
    Own,
    Stale,
    Future,
}

fn ops() -> impl Strategy<Value = Op> {
    // Mostly the job taken last, so that jobs come to an end.
    let job = || prop_oneof![3 => Just(LAST), 1 => 1..=JOBS];
    let epoch = || prop_oneof![9 => Just(Epoch::Own), 1 => Just(Epoch::Stale), 1 => Just(Epoch::Future)];
    let unit = || prop_oneof![1 => Just(0), 1 => Just(UNITS), 3 => 0..=UNITS];
    let part = (unit(), unit(), unit()).prop_map(|(one, two, three)| {
        let mut units = [one, two, three];
        units.sort_unstable();
        // Mostly, nothing is skipped.
        Kind::Part(if three % 3 == 0 { units } else { [units[0], units[2], units[2]] })
    });
    let kind = prop_oneof![4 => Just(Kind::Done), 1 => Just(Kind::Degraded), 2 => Just(Kind::Failed), 12 => part];
    let result = (0_u32..5, kind, 1_u32..3).prop_map(|(index, kind, attempt)| Given { index, kind, attempt });
    let results = prop::collection::vec(result, 0..8);
    let end = prop::sample::select(End::ALL.to_vec());
    let caller = || prop::option::of(0..CALLERS);
    let new = (0..APPS, caller(), 1_u32..4, prop::option::of(0_u8..2), 0_u8..2)
        .prop_map(|(app, caller, share, key, print)| New { app, caller, share, key, print });
    prop_oneof![
        6 => (1..=JOBS, new).prop_map(|(job, new)| Op::Submit { job, new }),
        8 => (prop::option::of(0..APPS), prop::option::of(caller()), 1_u64..300)
            .prop_map(|(app, not_of, lease)| Op::Take { app, not_of, lease }),
        3 => (job(), epoch(), 1_u64..300).prop_map(|(job, epoch, lease)| Op::Renew { job, epoch, lease }),
        2 => (job(), epoch()).prop_map(|(job, epoch)| Op::Release { job, epoch }),
        8 => (job(), epoch(), 0_usize..5).prop_map(|(job, epoch, partitions)| Op::Plan { job, epoch, partitions }),
        10 => (job(), epoch(), results).prop_map(|(job, epoch, results)| Op::Accept { job, epoch, results }),
        5 => (job(), epoch()).prop_map(|(job, epoch)| Op::Merge { job, epoch }),
        6 => (job(), epoch(), end).prop_map(|(job, epoch, end)| Op::Finish { job, epoch, end }),
        2 => (job(), any::<bool>()).prop_map(|(job, keep)| Op::Cancel { job, keep }),
        3 => job().prop_map(|job| Op::Redrive { job }),
        1 => (job(), 0_u64..500).prop_map(|(job, ms)| Op::Retain { job, ms }),
        3 => (job(), epoch(), 0_u64..40).prop_map(|(job, epoch, count)| Op::Append { job, epoch, count }),
        3 => (1_u64..200).prop_map(|ms| Op::Wait { ms }),
        1 => Just(Op::Wait { ms: TOMBSTONE_MS }),
        2 => Just(Op::Sweep),
        1 => Just(Op::Reopen),
    ]
}

struct Run {
    bench: Bench,
    model: Model,
    now: u64,
    last: u64,
}

fn said<T, U>(answer: Result<T, StoreError>, map: impl FnOnce(T) -> U) -> StoreResult<U> {
    match answer {
        Ok(value) => Ok(map(value)),
        Err(error) => Err(name(&Err::<(), _>(error))),
    }
}

fn accepted(given: &Given) -> PartitionResult {
    let Given { index, kind, attempt } = *given;
    let result = match kind {
        Kind::Done => done(index),
        Kind::Degraded => degraded(index),
        Kind::Failed => failed(index),
        Kind::Part(units) => result(index, Outcome::Part(range(units), part(index, units, attempt))),
    };
    PartitionResult { attempt, ..result }
}

fn range([begin, end, until]: [u64; 3]) -> PartialRange {
    PartialRange { begin, end, until, of: UNITS }
}

/// Partial of a part: its size says where it ends.
fn part(index: u32, [begin, end, _]: [u64; 3], attempt: u32) -> Bytes {
    Bytes::from(format!("part {index} of {attempt}: {begin}{}", "-".repeat(end as usize)))
}

/// Partials of a partition, as a store returns them.
fn partials(index: u32, cell: &Cell) -> Vec<Partial> {
    let whole = match cell.result.filter(|_| cell.parts.is_empty()) {
        Some(Kind::Done) => Some((done(index), false)),
        Some(Kind::Degraded) => Some((degraded(index), true)),
        _ => None,
    };
    let whole = whole.map(|(result, degraded)| match result.outcome {
        Outcome::Done(bytes) | Outcome::Degraded(bytes) => Partial { index, range: None, bytes, degraded },
        other => panic!("{other:?}"),
    });
    let parts = cell.parts.values().map(|one| Partial {
        index,
        range: Some(range(one.units)),
        bytes: part(index, one.units, one.attempt),
        degraded: false,
    });
    whole.into_iter().chain(parts).collect()
}

impl Run {
    fn epoch(&self, job: u64, epoch: Epoch) -> u64 {
        let own = self.model.jobs.get(&job).map_or(1, |job| job.epoch);
        match epoch {
            Epoch::Own => own,
            Epoch::Stale => own.saturating_sub(1),
            Epoch::Future => own + 1,
        }
    }

    /// Replaces `LAST` by the job that it stands for.
    fn settle(&self, mut op: Op) -> Op {
        match &mut op {
            Op::Renew { job, .. }
            | Op::Release { job, .. }
            | Op::Plan { job, .. }
            | Op::Accept { job, .. }
            | Op::Merge { job, .. }
            | Op::Finish { job, .. }
            | Op::Cancel { job, .. }
            | Op::Redrive { job }
            | Op::Retain { job, .. }
            | Op::Append { job, .. }
                if *job == LAST =>
            {
                *job = self.last;
            }
            _ => {}
        }
        op
    }

    async fn step(&mut self, op: Op) {
        let store = self.bench.store();
        let now = self.now;
        match self.settle(op) {
            Op::Submit { job: number, new } => {
                let real = said(store.submit_at(submission(number, new), at(now)).await, |submitted| {
                    ((submitted.job.id), submitted.fresh)
                });
                let said = self.model.submit(number, modelled(new, now));
                assert_eq!(real, said.map(|(number, fresh)| (id(number), fresh)));
            }
            Op::Take { app, not_of, lease } => {
                let apps = app.map_or(JobFilter::All, |app| JobFilter::Only(vec![format!("app {app}")]));
                let filter = match not_of {
                    Some(caller) => JobFilter::NotOf { caller: caller.map(named), among: Box::new(apps) },
                    None => apps,
                };
                let real = store.take("owner", &filter, at(now), at(now + lease)).await.unwrap();
                let said = self.model.take(app, not_of, now, now + lease);
                assert_eq!(real.as_ref().map(|taken| taken.job.id), said.map(id));
                self.last = said.unwrap_or(self.last);
                if let (Some(taken), Some(number)) = (real, said) {
                    assert_eq!(taken.epoch, self.model.jobs[&number].epoch);
                }
            }
            Op::Renew { job, epoch, lease } => {
                let epoch = self.epoch(job, epoch);
                let real = store.renew(id(job), epoch, at(now + lease)).await;
                let real = said(real, |told| told.cancel.map(|cancel| cancel.keep_partial));
                assert_eq!(real, self.model.renew(job, epoch, now + lease));
            }
            Op::Release { job, epoch } => {
                let epoch = self.epoch(job, epoch);
                let real = said(store.release_at(id(job), epoch, at(now)).await, |()| ());
                assert_eq!(real, self.model.release(job, epoch, now));
            }
            Op::Plan { job, epoch, partitions } => {
                let epoch = self.epoch(job, epoch);
                let real = said(store.plan(id(job), epoch, plan(partitions)).await, |()| ());
                assert_eq!(real, self.model.plan(job, epoch, partitions));
            }
            Op::Accept { job, epoch, results } => {
                let epoch = self.epoch(job, epoch);
                let all = results.iter().map(accepted).collect();
                let real = said(store.accept(id(job), epoch, all).await, |kept| (kept.fresh, kept.discarded));
                assert_eq!(real, self.model.accept(job, epoch, &results));
            }
            Op::Merge { job, epoch } => {
                let epoch = self.epoch(job, epoch);
                assert_eq!(said(store.merge(id(job), epoch).await, |()| ()), self.model.merge(job, epoch));
            }
            Op::Finish { job, epoch, end } => {
                let epoch = self.epoch(job, epoch);
                let real = said(store.finish(id(job), epoch, ended(end, now)).await, |_| ());
                assert_eq!(real, self.model.finish(job, epoch, end, now));
            }
            other => self.step_of_others(&store, other).await,
        }
    }

    /// Calls of others than owners.
    async fn step_of_others(&mut self, store: &Store, op: Op) {
        let now = self.now;
        match op {
            Op::Cancel { job, keep } => {
                let real = said(store.cancel(id(job), keep, at(now)).await, |_| ());
                assert_eq!(real, self.model.cancel(job, keep, now));
            }
            Op::Redrive { job } => {
                let real = said(store.redrive(id(job), at(now)).await, |_| ());
                assert_eq!(real, self.model.redrive(job, now));
            }
            Op::Retain { job, ms } => {
                assert_eq!(said(store.retain(id(job), ms).await, |_| ()), self.model.retain(job, ms));
            }
            Op::Append { job, epoch, count } => {
                let epoch = self.epoch(job, epoch);
                let lines = (0..count).map(|line| format!("{line}")).collect();
                let news = EventBatch { lines, ..EventBatch::default() };
                let real = said(store.append(id(job), epoch, news).await, |()| ());
                assert_eq!(real, self.model.append(job, epoch, count));
            }
            Op::Wait { ms } => self.now += ms,
            Op::Sweep => {
                let swept = store.sweep(at(now)).await.unwrap();
                assert_eq!((swept.expired, swept.forgotten), self.model.sweep(now));
            }
            _ => {}
        }
    }

    /// Compares all observable state.
    async fn compare(&self) {
        let store = self.bench.store();
        let usage = store.usage().await.unwrap();
        assert_eq!((usage.jobs, &usage.states), (self.model.jobs.len() as u64, &self.model.states()));
        let queued = self.model.jobs.values().filter(|job| job.state == JobState::Queued).map(|job| at(job.queued));
        assert_eq!(usage.oldest_queued, queued.min());
        let list = store.list(&Filter::default(), Page { after: None, limit: 9 }).await.unwrap();
        let numbers: Vec<_> = self.model.jobs.keys().rev().map(|number| id(*number)).collect();
        assert_eq!(list.iter().map(|job| job.id).collect::<Vec<_>>(), numbers);
        for (found, (number, job)) in list.iter().rev().zip(&self.model.jobs) {
            assert_eq!(found, &listed(store.get(id(*number)).await.unwrap()));
            compare_job(found, job);
            if job.state != JobState::Expired {
                self.compare_parts(&store, *number, job).await;
            }
        }
        for app in 0..APPS {
            let past = store.history(&format!("app {app}"), "v1", 9).await.unwrap();
            let numbers: Vec<_> = self.model.succeeded(app).into_iter().map(id).collect();
            assert_eq!(past.iter().map(|one| one.id).collect::<Vec<_>>(), numbers);
        }
    }

    /// Each page has one partial, and begins behind the one before.
    async fn compare_pages(&self, store: &Store, number: u64, expected: &[Partial]) {
        let mut after = None;
        for one in expected {
            let page = store.partials(id(number), after, 0).await.unwrap();
            assert_eq!(page, std::slice::from_ref(one));
            after = Some((one.index, one.range.map_or(0, |range| range.begin)));
        }
        assert!(store.partials(id(number), after, 0).await.unwrap().is_empty());
    }

    async fn compare_parts(&self, store: &Store, number: u64, job: &Job) {
        assert_eq!(store.result(id(number)).await.unwrap().is_some(), job.has_result);
        let rows = rows(store, id(number)).await;
        let found: Vec<_> = rows.iter().map(|row| (row.state, row.parts.clone())).collect();
        // A succeeded job is never retried.
        let plan = job.plan.clone().filter(|_| job.state != JobState::Succeeded).unwrap_or_default();
        let state = |cell: &Cell| match cell.result {
            None => PartitionState::Pending,
            Some(Kind::Done | Kind::Part(_)) => PartitionState::Done,
            Some(Kind::Degraded) => PartitionState::Degraded,
            Some(Kind::Failed) => PartitionState::Failed,
        };
        let parts = |cell: &Cell| cell.parts.values().map(|one| range(one.units)).collect::<Vec<_>>();
        assert_eq!(found, plan.iter().map(|cell| (state(cell), parts(cell))).collect::<Vec<_>>());
        let expected: Vec<_> = (0_u32..).zip(&plan).flat_map(|(index, cell)| partials(index, cell)).collect();
        assert_eq!(store.partials(id(number), None, u64::MAX).await.unwrap(), expected);
        self.compare_pages(store, number, &expected).await;
        let bytes = store.get(id(number)).await.unwrap().bytes;
        assert_eq!(bytes, expected_bytes(number, job, &expected), "bytes of {number}: {job:?}");
        let page = store.events(id(number), 0, 1000).await.unwrap();
        let kept = job.kept();
        assert_eq!(page.events.iter().map(|(number, _)| *number).collect::<Vec<_>>(), kept);
        assert_eq!(page.missed, kept.first().map_or(0, |first| first - 1));
    }
}

fn compare_job(found: &frond_jobs::Job, job: &Job) {
    assert_eq!((found.state, found.epoch, found.planned), (job.state, job.epoch, job.plan.is_some()));
    let times = [found.started, found.finished, found.expires].map(|time| time.map(|time| time.0));
    assert_eq!(times, [job.started, job.finished, job.expires]);
    assert_eq!(found.cancel.map(|cancel| cancel.keep_partial), job.cancel);
    let held = found.state.is_held();
    assert_eq!((found.owner.is_some(), found.lease_until), (held, held.then_some(at(job.lease))));
    let counts = [found.counts.done, found.counts.degraded, found.counts.failed];
    assert_eq!(counts, [Kind::Done, Kind::Degraded, Kind::Failed].map(|kind| job.count(kind)));
    let settled: u64 = job.plan.iter().flatten().map(Cell::weight).sum();
    assert_eq!(found.counts.settled_weight, settled);
}

/// Bytes that a job takes in the store.
fn expected_bytes(number: u64, of: &Job, partials: &[Partial]) -> u64 {
    let plan = of.plan.as_ref().map(|cells| plan(cells.len()));
    let places = plan.iter().filter(|_| of.state != JobState::Succeeded).flat_map(|plan| &plan.partitions);
    let places: usize = places
        .map(|one| match &one.place {
            Locator::Inline(bytes) => bytes.len(),
            Locator::Elsewhere(text) => text.len(),
        })
        .sum();
    let query = plan.iter().flat_map(|plan| &plan.query).map(Bytes::len).sum::<usize>();
    let partials: usize = partials.iter().map(|one| one.bytes.len()).sum();
    let answer = if of.has_result { "answer".len() } else { 0 };
    let own = job(number).query.len() + "p0".len();
    (own + places + query + partials + answer) as u64
}

/// Name of a caller.
fn named(caller: u8) -> String {
    format!("caller {caller}")
}

fn submission(number: u64, new: New) -> NewJob {
    let idempotency =
        new.key.map(|key| Idempotency { key: format!("key {key}"), fingerprint: Bytes::from(vec![new.print]) });
    NewJob {
        app: format!("app {}", new.app),
        caller: new.caller.map(named),
        weight: new.share,
        idempotency,
        retention_ms: 100,
        ..job(number)
    }
}

fn modelled(new: New, now: u64) -> Job {
    Job {
        row: 0,
        app: new.app,
        caller: new.caller,
        share: u64::from(new.share),
        state: JobState::Queued,
        epoch: 0,
        lease: 0,
        plan: None,
        queued: now,
        started: None,
        finished: None,
        expires: None,
        retention: 100,
        cancel: None,
        has_result: false,
        outcome: None,
        key: new.key,
        print: new.print,
        events: 0,
    }
}

/// Tries `cases` random sequences. `bench` returns `None` if the store is not available.
fn check<B: Future<Output = Option<Bench>>>(cases: u32, bench: impl Fn() -> B) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let sequences = prop::collection::vec(ops(), 1..120);
    let checked = TestRunner::new(config).run(&sequences, |ops| {
        runtime.block_on(async {
            let Some(bench) = bench().await else { return };
            let mut run = Run { bench, model: Model::default(), now: 1000, last: 1 };
            for op in ops {
                match op {
                    Op::Reopen => run.bench.reopen().await,
                    op => run.step(op).await,
                }
                run.compare().await;
            }
        });
        Ok(())
    });
    checked.unwrap();
}

#[test]
fn sqlite_does_what_the_model_does() {
    check(48, || async { Some(Bench::sqlite()) });
}

#[cfg(feature = "postgres")]
#[test]
fn postgres_does_what_the_model_does() {
    check(12, Bench::postgres);
}
