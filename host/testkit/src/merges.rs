//! Merger that folds text, and delays, fails or hangs on request.

use std::collections::HashMap;
use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use frond_root::runner::{Covered, MergeFuture};
use frond_root::{Failure, FailureKind, Merger, Usage};
use tokio::time::{Instant, sleep};

/// One fold that began.
#[derive(Clone, Debug)]
pub struct Fold {
    /// The partials in order.
    pub inputs: Vec<Bytes>,
    /// Largest number of folds that any of the inputs has been through, including this one.
    pub depth: u32,
    /// Start time.
    pub began: Instant,
    /// End time; `None` while it runs, and when it was dropped.
    pub ended: Option<Instant>,
}

/// Recorded calls of a scripted merger.
#[derive(Default)]
struct State {
    folds: Vec<Fold>,
    finishes: Vec<(Option<Bytes>, Covered)>,
    depths: HashMap<Bytes, u32>,
    live: usize,
}

/// Outcome of a scripted fold.
#[derive(Clone, Copy)]
enum Fate {
    Well,
    Fails(FailureKind),
    Hangs,
}

/// Function that folds partials.
type Operation = dyn Fn(&[Bytes]) -> Bytes + Send + Sync;

/// Scripted merge component.
#[derive(Clone)]
pub struct Merges {
    fold: Arc<Operation>,
    takes: Duration,
    finish_takes: Duration,
    fate_of: HashMap<usize, Fate>,
    finish_fate: Fate,
    state: Arc<Mutex<State>>,
}

impl Merges {
    /// A merge that folds with `fold`, in no time.
    #[must_use]
    pub fn by(fold: impl Fn(&[Bytes]) -> Bytes + Send + Sync + 'static) -> Self {
        Self {
            fold: Arc::new(fold),
            takes: Duration::ZERO,
            finish_takes: Duration::ZERO,
            fate_of: HashMap::new(),
            finish_fate: Fate::Well,
            state: Arc::default(),
        }
    }

    /// A commutative merge: the words of all partials, sorted by length first, so that numbers are
    /// in order.
    #[must_use]
    pub fn sorted() -> Self {
        Self::by(|partials| {
            let mut words: Vec<&str> = partials.iter().flat_map(words).collect();
            words.sort_by_key(|word| (word.len(), *word));
            Bytes::from(words.join(" "))
        })
    }

    /// A merge that does not commute: the words of all partials, concatenated.
    #[must_use]
    pub fn joined() -> Self {
        Self::by(|partials| {
            let words: Vec<&str> = partials.iter().flat_map(words).collect();
            Bytes::from(words.join(" "))
        })
    }

    /// Sets the time of each fold.
    #[must_use]
    pub fn taking(mut self, takes: Duration) -> Self {
        self.takes = takes;
        self
    }

    /// Makes the fold that begins as number `fold`, from 0, fail.
    #[must_use]
    pub fn failing_at(mut self, fold: usize, kind: FailureKind) -> Self {
        self.fate_of.insert(fold, Fate::Fails(kind));
        self
    }

    /// Makes the fold that begins as number `fold`, from 0, hang.
    #[must_use]
    pub fn hanging_at(mut self, fold: usize) -> Self {
        self.fate_of.insert(fold, Fate::Hangs);
        self
    }

    /// Sets the time of the finish.
    #[must_use]
    pub fn finishing_after(mut self, takes: Duration) -> Self {
        self.finish_takes = takes;
        self
    }

    /// Makes the finish fail.
    #[must_use]
    pub fn finish_failing(mut self, kind: FailureKind) -> Self {
        self.finish_fate = Fate::Fails(kind);
        self
    }

    /// Makes the finish hang.
    #[must_use]
    pub fn finish_hanging(mut self) -> Self {
        self.finish_fate = Fate::Hangs;
        self
    }

    /// Folds that began, in order.
    #[must_use]
    pub fn folds(&self) -> Vec<Fold> {
        self.state.lock().unwrap().folds.clone()
    }

    /// Inputs of the finishes.
    #[must_use]
    pub fn finishes(&self) -> Vec<(Option<Bytes>, Covered)> {
        self.state.lock().unwrap().finishes.clone()
    }

    /// Number of calls that have begun and neither ended nor been dropped.
    #[must_use]
    pub fn live(&self) -> usize {
        self.state.lock().unwrap().live
    }

    fn begin(&self, inputs: &[Bytes]) -> usize {
        let mut state = self.state.lock().unwrap();
        let deepest = inputs.iter().filter_map(|input| state.depths.get(input)).max();
        let depth = deepest.copied().unwrap_or(0) + 1;
        state.folds.push(Fold { inputs: inputs.to_vec(), depth, began: Instant::now(), ended: None });
        state.folds.len() - 1
    }

    fn end(&self, number: usize, result: &Bytes) {
        let mut state = self.state.lock().unwrap();
        let fold = &mut state.folds[number];
        fold.ended = Some(Instant::now());
        let depth = fold.depth;
        state.depths.insert(result.clone(), depth);
    }
}

/// RAII guard that counts a running call.
struct Live(Arc<Mutex<State>>);

impl Live {
    fn new(state: &Arc<Mutex<State>>) -> Self {
        state.lock().unwrap().live += 1;
        Self(state.clone())
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.0.lock().unwrap().live -= 1;
    }
}

impl Merger for Merges {
    fn merge(&self, _query: Bytes, partials: Vec<Bytes>, _until: Instant) -> MergeFuture {
        let this = self.clone();
        let live = Live::new(&self.state);
        let number = self.begin(&partials);
        let fate = self.fate_of.get(&number).copied().unwrap_or(Fate::Well);
        Box::pin(async move {
            let _live = live;
            suffer(fate, this.takes).await?;
            let result = (this.fold)(&partials);
            this.end(number, &result);
            Ok((result, Usage::default()))
        })
    }

    fn finish(&self, _query: Bytes, merged: Option<Bytes>, covered: Covered, _until: Instant) -> MergeFuture {
        let this = self.clone();
        let live = Live::new(&self.state);
        this.state.lock().unwrap().finishes.push((merged.clone(), covered));
        Box::pin(async move {
            let _live = live;
            suffer(this.finish_fate, this.finish_takes).await?;
            Ok((merged.unwrap_or_default(), Usage::default()))
        })
    }
}

async fn suffer(fate: Fate, takes: Duration) -> Result<(), Box<Failure>> {
    if !takes.is_zero() {
        sleep(takes).await;
    }
    match fate {
        Fate::Well => Ok(()),
        Fate::Fails(kind) => Err(Box::new(Failure::new(kind, "scripted"))),
        Fate::Hangs => pending().await,
    }
}

fn words(partial: &Bytes) -> impl Iterator<Item = &str> {
    std::str::from_utf8(partial).unwrap().split_ascii_whitespace()
}
