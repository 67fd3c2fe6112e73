//! Runner whose leaves take their partitions piece by piece, in paused time: each slot has a speed,
//! and a step after each piece.

use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::ops::Range;
use std::slice;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use frond_root::{
    Attempt, CancellationToken, Content, Failure, FailureKind, Grain, LeafRunner, Outcome, Partition, PieceSizes, Plan,
    Units, Usage, Work,
};
use tokio::time::{Instant, sleep, sleep_until};

use crate::stage::ms;
use crate::stops::Stops;

/// Action of a leaf after a piece.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// It takes the next one.
    Go,
    /// It hands over a partial first.
    Keep,
    /// It hands over a partial, and then stalls for so long.
    Stall(Duration),
    /// It hands over a partial, and its call is given up and made again.
    Again,
    /// It needs no more.
    Skip,
    /// It returns at once.
    Return,
    /// It fails.
    Fail(FailureKind),
    /// Its runner drops it.
    Vanish,
}

/// Function that tells a leaf what to do after a piece, by the number of its attempt.
type Steps = dyn Fn(u32, &Range<u64>) -> Step + Send + Sync;

/// Attached queries and busy slots.
#[derive(Default)]
struct State {
    attached: Vec<(Arc<dyn Work>, Stops)>,
    busy: BTreeSet<usize>,
}

/// Runner as its tasks share it.
struct Shared {
    /// Time of a unit on each slot.
    times: Vec<Duration>,
    step: Box<Steps>,
    deaf: bool,
    /// True if leaves take all units at once, without asking for a piece.
    at_once: bool,
    /// Number of units that were handed out to leaves.
    handed_out: Arc<AtomicU64>,
    state: Mutex<State>,
}

/// Runner of leaves that take pieces.
#[derive(Clone)]
pub struct PieceLeaves(Arc<Shared>);

impl PieceLeaves {
    /// A runner with a slot for each of `times`, the time of a unit.
    #[must_use]
    pub fn new(times: &[Duration], step: impl Fn(u32, &Range<u64>) -> Step + Send + Sync + 'static) -> Self {
        let times = times.to_vec();
        let handed_out = Arc::default();
        Self(Arc::new(Shared {
            times,
            step: Box::new(step),
            deaf: false,
            at_once: false,
            handed_out,
            state: Mutex::default(),
        }))
    }

    /// Counter of the units that are handed out to leaves.
    #[must_use]
    pub fn handed_out(&self) -> Arc<AtomicU64> {
        self.0.handed_out.clone()
    }

    /// Has leaves go on when they are stopped.
    #[must_use]
    pub fn deaf(self, deaf: bool) -> Self {
        let shared = Arc::into_inner(self.0).unwrap();
        Self(Arc::new(Shared { deaf, ..shared }))
    }

    /// Has leaves take the whole partition at once, without asking for a piece.
    #[must_use]
    pub fn at_once(self) -> Self {
        let shared = Arc::into_inner(self.0).unwrap();
        Self(Arc::new(Shared { at_once: true, ..shared }))
    }
}

impl LeafRunner for PieceLeaves {
    fn attach(&self, work: Arc<dyn Work>) {
        let stops = Stops::of(&*work);
        let shared = self.0.clone();
        work.on_cuttable(Box::new(move || fill(&shared)));
        self.0.state.lock().unwrap().attached.push((work, stops));
        fill(&self.0);
    }

    fn nudge(&self) {
        fill(&self.0);
    }

    fn slots(&self) -> usize {
        self.0.times.len()
    }

    fn pieces(&self) -> Option<PieceSizes> {
        Some(PieceSizes::Timed)
    }
}

fn fill(shared: &Arc<Shared>) {
    while let Some((attempt, slot, closed)) = claim(shared) {
        tokio::spawn(play(shared.clone(), attempt, slot, closed));
    }
}

fn claim(shared: &Shared) -> Option<(Attempt, usize, CancellationToken)> {
    let mut state = shared.state.lock().unwrap();
    let slot = (0..shared.times.len()).find(|slot| !state.busy.contains(slot))?;
    let now = Instant::now();
    let number = u32::try_from(slot).unwrap();
    let of = |claim: fn(&Arc<dyn Work>, u32, Instant) -> Option<Attempt>| {
        state.attached.iter().find_map(|(work, stops)| {
            let attempt = claim(work, number, now)?;
            let stop = stops.begin(attempt.id());
            Some((attempt, stop))
        })
    };
    let (attempt, closed) = of(Attempt::claim).or_else(|| of(Attempt::cut)).or_else(|| of(Attempt::copy))?;
    state.busy.insert(slot);
    Some((attempt, slot, closed))
}

async fn play(shared: Arc<Shared>, attempt: Attempt, slot: usize, closed: CancellationToken) {
    if shared.at_once {
        return play_at_once(&shared, attempt, slot).await;
    }
    let mut taken: Vec<Range<u64>> = Vec::new();
    let failure = loop {
        let next = poll_fn(|context| attempt.poll_piece(Instant::now(), context));
        let Some(piece) = next.await else { break None };
        shared.handed_out.fetch_add(piece.end - piece.start, Ordering::SeqCst);
        let len = u32::try_from(piece.end - piece.start).unwrap();
        tokio::select! {
            biased;
            () = sleep(shared.times[slot] * len) => {}
            () = closed.cancelled(), if !shared.deaf => break Some(FailureKind::Cancelled),
            () = sleep_until(attempt.deadline()), if !shared.deaf => break Some(FailureKind::OutOfTime),
        }
        taken.push(piece.clone());
        match (shared.step)(attempt.number(), &piece) {
            Step::Go => {}
            Step::Keep => attempt.keep(partial(&attempt, &taken)),
            Step::Again => {
                attempt.keep(partial(&attempt, &taken));
                attempt.restart();
                taken.clear();
            }
            Step::Stall(time) => {
                attempt.keep(partial(&attempt, &taken));
                tokio::select! {
                    () = sleep(time) => {}
                    () = closed.cancelled(), if !shared.deaf => break Some(FailureKind::Cancelled),
                }
            }
            Step::Skip => attempt.skip_rest(Instant::now()),
            Step::Return => break None,
            Step::Fail(kind) => break Some(kind),
            Step::Vanish => {
                shared.state.lock().unwrap().busy.remove(&slot);
                drop(attempt);
                return fill(&shared);
            }
        }
    };
    let ran = ms(1);
    let outcome = match failure {
        Some(kind) => Outcome::failed(kind, ran, "as its step says"),
        None => Outcome::succeeded(partial(&attempt, &taken), ran, Usage::default()),
    };
    shared.state.lock().unwrap().busy.remove(&slot);
    attempt.end(outcome, Instant::now());
    fill(&shared);
}

/// Plays a leaf that takes all units of its partition at once.
async fn play_at_once(shared: &Arc<Shared>, attempt: Attempt, slot: usize) {
    let units = attempt.partition().map_or(0, |partition| partition.content.units().count);
    sleep(shared.times[slot] * u32::try_from(units).unwrap()).await;
    let all = partial(&attempt, slice::from_ref(&(0..units)));
    shared.state.lock().unwrap().busy.remove(&slot);
    attempt.end(Outcome::succeeded(all, ms(1), Usage::default()), Instant::now());
    fill(shared);
}

/// The units that were taken, joined.
fn partial(attempt: &Attempt, taken: &[Range<u64>]) -> Bytes {
    let (Some(first), Some(last)) = (taken.first(), taken.last()) else { return Bytes::new() };
    Bytes::from(format!("{}:{}-{}", attempt.index(), first.start, last.end))
}

/// Content of so many integers.
#[derive(Debug)]
struct Integers(u64);

impl Content for Integers {
    fn size(&self) -> u64 {
        1
    }

    fn units(&self) -> Units {
        Units { count: self.0, grain: Grain::Integer }
    }

    fn read(&self, _offset: u64, _len: usize) -> Result<Bytes, Failure> {
        Ok(Bytes::new())
    }

    fn whole(&self) -> Result<Bytes, Failure> {
        Ok(Bytes::new())
    }
}

/// A plan of partitions `p0`, `p1`, … with so many integers each.
#[must_use]
pub fn integers(counts: &[u64]) -> Plan {
    let one = |(index, count): (usize, &u64)| Partition::new(format!("p{index}"), Integers(*count)).weighing(*count);
    Plan::new(counts.iter().enumerate().map(one).collect()).unwrap()
}

/// Units whose partials are in an answer of joined partials, by partition and with neighbours
/// joined. Panics if a unit is there twice.
#[must_use]
pub fn joined(body: &[u8]) -> BTreeMap<u32, Vec<Range<u64>>> {
    let mut taken = units(body);
    taken.sort_by_key(|(partition, range)| (*partition, range.start));
    let mut joined: BTreeMap<u32, Vec<Range<u64>>> = BTreeMap::new();
    for (partition, range) in taken {
        let ranges = joined.entry(partition).or_default();
        match ranges.last_mut() {
            Some(last) if last.end > range.start => panic!("{range:?} of {partition} is there twice"),
            Some(last) if last.end == range.start => last.end = range.end,
            _ => ranges.push(range),
        }
    }
    joined
}

/// Units whose partials are in an answer of joined partials, in the order of the merge.
#[must_use]
pub fn units(body: &[u8]) -> Vec<(u32, Range<u64>)> {
    let text = std::str::from_utf8(body).unwrap();
    let word = |word: &str| {
        let (partition, range) = word.split_once(':').unwrap();
        let (begin, end) = range.split_once('-').unwrap();
        (partition.parse().unwrap(), begin.parse().unwrap()..end.parse().unwrap())
    };
    text.split_ascii_whitespace().map(word).collect()
}
