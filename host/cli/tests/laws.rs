//! Independence of the answer from the distribution of work: the order of partials, the shape of
//! the merge tree, the number of slots, and the cuts of the input. The examples' own components
//! must give the same bytes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests stop the test where it is"
)]

mod kit;

use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use frond_app::{App, Cut, Inputs, PieceSize};
use frond_root::call::{InstanceMode, Limits};
use frond_root::runner::{Covered, MergeFuture};
use frond_root::{
    Answer, CancellationToken, Events, LeafRunner, Merger, Partition, Plan, Request, Services, Usage, flow,
};
use frond_sandbox::{Guests, Leaf, LeafHost, MergeHost, Metering, Plugin, Role, Sandbox, Settings, Slots};
use proptest::prelude::*;
use proptest::sample::Index;
use tokio::runtime::Runtime;

/// Deadline of a query, a hundred times what any call needs.
const DEADLINE: Duration = Duration::from_secs(60);
/// Largest number of slots.
const SLOTS: usize = 3;
/// Number of samples of pi.
const SAMPLES: i64 = 60_000;

/// The apps, loaded once for all laws.
struct Rig {
    runtime: Runtime,
    _sandbox: Sandbox,
    rail: Guest,
    grep: Guest,
    wordcount: Guest,
    pi: Guest,
    faulty: Guest,
}

/// One app's components: a leaf runner for each number of slots, and a merger.
struct Guest {
    runners: Vec<Arc<dyn LeafRunner>>,
    merger: MergeHost,
}

static RIG: LazyLock<Rig> = LazyLock::new(|| {
    let runtime = Runtime::new().unwrap();
    let settings = Settings {
        slots: 16,
        waiting: 0,
        limits: vec![limits()],
        cache: Some(kit::cache()),
        compiler: frond_run::compiler(),
    };
    let sandbox = Sandbox::new(settings).unwrap();
    let guest = |leaf: &str, merge: &str| {
        let load = |name: &str, role| {
            let bytes = std::fs::read(kit::plugin(name)).unwrap();
            Arc::new(Plugin::load(&sandbox, &bytes, &[role], Metering::Fuel).unwrap())
        };
        let leaf = load(leaf, Role::Leaf);
        let runner = |slots| -> Arc<dyn LeafRunner> {
            let slots = Slots::start(slots, sandbox.clock(), runtime.handle()).unwrap();
            Arc::new(LeafHost::new(
                slots,
                Leaf {
                    plugin: leaf.clone(),
                    limits: limits(),
                    deterministic: false,
                    grants: Arc::default(),
                    instance: InstanceMode::Fresh,
                },
            ))
        };
        let guests = Guests::new(sandbox.clock(), load(merge, Role::Merge), limits());
        Guest { runners: (1..=SLOTS).map(runner).collect(), merger: MergeHost(guests) }
    };
    Rig {
        rail: guest("rail_leaf", "rail_merge"),
        grep: guest("grep", "grep"),
        wordcount: guest("wordcount", "wordcount"),
        pi: guest("pi", "pi"),
        faulty: guest("faulty", "faulty"),
        runtime,
        _sandbox: sandbox,
    }
});

fn limits() -> Limits {
    Limits { fuel: 10_000_000_000, ..Limits::default() }
}

/// A merger whose answer is the merged partial.
struct Bare(MergeHost);

impl Merger for Bare {
    fn merge(&self, query: Bytes, partials: Vec<Bytes>, until: tokio::time::Instant) -> MergeFuture {
        self.0.merge(query, partials, until)
    }

    fn finish(&self, _: Bytes, merged: Option<Bytes>, _: Covered, _: tokio::time::Instant) -> MergeFuture {
        Box::pin(async move { Ok((merged.unwrap(), Usage::default())) })
    }
}

impl Guest {
    /// Returns the answer to `query` over the partitions with this number of slots.
    fn ask(&self, query: &str, partitions: Vec<Partition>, slots: usize) -> Bytes {
        self.run(query, partitions, slots, Arc::new(self.merger.clone()))
    }

    /// Returns each partition's partial.
    fn partials(&self, query: &str, partitions: &[Partition]) -> Vec<Bytes> {
        let bare = Arc::new(Bare(self.merger.clone()));
        partitions.iter().map(|one| self.run(query, vec![one.clone()], 1, bare.clone())).collect()
    }

    fn run(&self, query: &str, partitions: Vec<Partition>, slots: usize, merger: Arc<dyn Merger>) -> Bytes {
        let request = Request { deadline: DEADLINE, ..Request::new("law", query.to_owned()) };
        let root = Services {
            runner: self.runners[slots - 1].clone(),
            merger,
            events: Events::default(),
            journal: None,
            memory: None,
        };
        let plan = async { Plan::new(partitions) };
        match RIG.runtime.block_on(flow::run(request, plan, root, CancellationToken::new())).unwrap() {
            Answer::Complete { body, .. } => body,
            other => panic!("{other:?}"),
        }
    }

    /// Returns the answer of a merge tree of this shape. Each step folds a group of partials from
    /// any positions into one, and inserts that at any position.
    fn folded(&self, query: &str, mut partials: Vec<Bytes>, shape: &[Step]) -> Bytes {
        let weight = partials.len() as u64;
        for step in shape.iter().cycle() {
            if partials.len() == 1 {
                break;
            }
            let size = step.size.min(partials.len());
            let group = (0..size).map(|_| partials.swap_remove(step.from.index(partials.len()))).collect();
            partials.insert(step.to.index(partials.len() + 1), self.fold(query, group));
        }
        self.finish(query, partials.remove(0), weight)
    }

    fn fold(&self, query: &str, partials: Vec<Bytes>) -> Bytes {
        let until = tokio::time::Instant::from_std(Instant::now() + DEADLINE);
        RIG.runtime.block_on(async { self.merger.merge(query.to_owned().into(), partials, until).await }).unwrap().0
    }

    fn finish(&self, query: &str, merged: Bytes, weight: u64) -> Bytes {
        let until = tokio::time::Instant::from_std(Instant::now() + DEADLINE);
        let covered = Covered { planned: weight, covered: weight, complete: true };
        RIG.runtime
            .block_on(async { self.merger.finish(query.to_owned().into(), Some(merged), covered, until).await })
            .unwrap()
            .0
    }

    /// Checks that any order and any tree give the same answer as one fold in order.
    fn merges_in_any_tree(&self, query: &str, partitions: &[Partition]) -> Result<(), String> {
        let partials = self.partials(query, partitions);
        let expected = self.finish(query, self.fold(query, partials.clone()), partials.len() as u64);
        let trees = (Just(partials).prop_shuffle(), prop::collection::vec(step(), 1..30));
        tried(trees, |(partials, shape)| {
            prop_assert_eq!(self.folded(query, partials, &shape), expected.clone());
            Ok(())
        })
    }
}

/// One fold: the positions of its inputs, their number, and the position of the result.
#[derive(Clone, Debug)]
struct Step {
    from: Index,
    size: usize,
    to: Index,
}

fn step() -> impl Strategy<Value = Step> {
    (any::<Index>(), 2..9_usize, any::<Index>()).prop_map(|(from, size, to)| Step { from, size, to })
}

fn check<S: Strategy>(cases: S, law: impl Fn(S::Value) -> Result<(), TestCaseError>) {
    tried(cases, law).unwrap();
}

fn tried<S: Strategy>(cases: S, law: impl Fn(S::Value) -> Result<(), TestCaseError>) -> Result<(), String> {
    let config =
        ProptestConfig { cases: 48, max_shrink_iters: 200, failure_persistence: None, ..ProptestConfig::default() };
    proptest::test_runner::TestRunner::new(config).run(&cases, law).map_err(|error| error.to_string())
}

/// Returns an example's partitions, with its files in pieces of `bytes` bytes.
fn pieces(example: &str, bytes: Option<u64>) -> Vec<Partition> {
    let app = App::load(&kit::root().join("examples").join(Path::new(example))).unwrap();
    let inputs = Inputs { piece_size: bytes.map(PieceSize::Bytes), ..Inputs::new(b"", SLOTS) };
    match app.partitions(inputs).unwrap() {
        Cut::Ready { partitions, .. } => partitions,
        Cut::Split { .. } => panic!("nothing splits {example}"),
    }
}

/// Returns the range from 0 to [`SAMPLES`], cut at these numbers.
fn ranges(cuts: &[i64]) -> Vec<Partition> {
    let mut at = [cuts, &[0, SAMPLES]].concat();
    at.sort_unstable();
    at.dedup();
    let span = |pair: &[i64]| {
        let start = pair[0];
        let end = pair[1];
        let content = Bytes::from(format!(r#"{{"start":{start},"end":{end}}}"#));
        let partition = Partition::new(format!("{start}..{end}"), Bytes::new()).weighing(end.abs_diff(start));
        Partition { content: frond_app::source::of_bytes(content), ..partition }
    };
    at.windows(2).map(span).collect()
}

const RAIL: &str = r#"{"from":"London","budget":60}"#;
const WORDCOUNT: &str = r#"{"top":1000}"#;
const PI: &str = r#"{"seed":7}"#;

fn grep(first: usize) -> String {
    format!(r#"{{"pattern":"the|and|^$","ignore-case":true,"first":{first},"counts":"files"}}"#)
}

#[test]
fn rail_merges_in_any_tree() {
    RIG.rail.merges_in_any_tree(RAIL, &pieces("rail", None)).unwrap();
}

#[test]
fn grep_merges_in_any_tree() {
    for first in [0, 7, 1000] {
        RIG.grep.merges_in_any_tree(&grep(first), &pieces("grep", Some(200))).unwrap();
    }
}

#[test]
fn wordcount_merges_in_any_tree() {
    RIG.wordcount.merges_in_any_tree(WORDCOUNT, &pieces("wordcount", Some(200))).unwrap();
}

#[test]
fn pi_merges_in_any_tree() {
    let cuts: Vec<_> = (1..30).map(|number| number * number * 60).collect();
    RIG.pi.merges_in_any_tree(PI, &ranges(&cuts)).unwrap();
}

#[test]
fn a_merge_that_depends_on_its_tree_is_found_out() {
    let lies = RIG.faulty.merges_in_any_tree(r#"{"merge-fault":"lie"}"#, &pieces("wordcount", None));
    assert!(lies.is_err(), "the law has no teeth");
}

#[test]
fn rail_answers_the_same_with_any_slots_and_order() {
    let expected = RIG.rail.ask(RAIL, pieces("rail", None), 1);
    check((1..=SLOTS, Just(pieces("rail", None)).prop_shuffle()), |(slots, partitions)| {
        prop_assert_eq!(RIG.rail.ask(RAIL, partitions, slots), expected.clone());
        Ok(())
    });
}

#[test]
fn grep_answers_the_same_with_any_slots_and_pieces() {
    check((1..=SLOTS, 20..4000_u64, 0..40_usize), |(slots, bytes, first)| {
        let query = grep(first);
        let expected = RIG.grep.ask(&query, pieces("grep", None), 1);
        prop_assert_eq!(RIG.grep.ask(&query, pieces("grep", Some(bytes)), slots), expected);
        Ok(())
    });
}

#[test]
fn wordcount_answers_the_same_with_any_slots_and_pieces() {
    let expected = RIG.wordcount.ask(WORDCOUNT, pieces("wordcount", None), 1);
    check((1..=SLOTS, 20..4000_u64), |(slots, bytes)| {
        prop_assert_eq!(RIG.wordcount.ask(WORDCOUNT, pieces("wordcount", Some(bytes)), slots), expected.clone());
        Ok(())
    });
}

#[test]
fn pi_answers_the_same_with_any_slots_and_ranges() {
    let expected = RIG.pi.ask(PI, ranges(&[]), 1);
    check((1..=SLOTS, prop::collection::vec(1..SAMPLES, 0..60)), |(slots, cuts)| {
        prop_assert_eq!(RIG.pi.ask(PI, ranges(&cuts), slots), expected.clone());
        Ok(())
    });
}
