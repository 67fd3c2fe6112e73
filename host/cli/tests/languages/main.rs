//! Comparison of the rail leaf in Python, JavaScript and C with the one in Rust: the same partials,
//! byte for byte, and the same refusals. And of the readers of pieces in all languages.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests stop the test where it is"
)]

mod inputs;
#[path = "../kit/mod.rs"]
mod kit;
mod pieces;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bytes::Bytes;
use frond_root::call::{InstanceMode, Limits};
use frond_root::runner::{Covered, MergeFuture};
use frond_root::{
    Answer, CancellationToken, Events, Failure, FailureKind, Floor, Merger, Partition, Plan, Reason, Request, Services,
    Usage, flow,
};
use frond_sandbox::{Leaf, LeafHost, Metering, Plugin, Role, Sandbox, Settings, Slots};
use kit::{Folder, frond, root};
use serde_json::Value;
use tokio::runtime::Runtime;

/// Deadline of a query, a hundred times what any call needs.
const DEADLINE: Duration = Duration::from_secs(60);

#[test]
fn python_answers_as_rust_does() {
    compare("python");
}

#[test]
fn javascript_answers_as_rust_does() {
    compare("javascript");
}

#[test]
fn c_answers_as_rust_does() {
    compare("c");
}

fn compare(language: &str) {
    let path = root().join("target/plugins").join(language).join("rail_leaf.wasm");
    if !path.is_file() {
        return kit::skip_without(&format!("the rail leaf in {language}"), &format!("make guests-{language}"));
    }
    let mut wrong = Vec::new();
    let other = Rig::new(&path);
    wrong.extend(other.differs(&queries(), &regions()));
    wrong.extend(other.differs(&inputs::refused(), &[("Eastern", inputs::TABLE.into())]));
    wrong.extend(other.differs(&[inputs::EVERYTHING.into()], &inputs::tables()));
    wrong.extend(cases_that_differ(&path));
    assert!(wrong.is_empty(), "{language}: {} differ from Rust\n{}", wrong.len(), wrong.join("\n"));
}

/// Returns the queries of every budget with every time.
fn queries() -> Vec<Vec<u8>> {
    let with =
        |budget| inputs::TIMES.map(|times| format!(r#"{{"from":"London","budget":{budget}{times}}}"#).into_bytes());
    inputs::BUDGETS.iter().flat_map(with).collect()
}

/// Returns the five regions of the example.
fn regions() -> Vec<(&'static str, Vec<u8>)> {
    let files = [
        ("Eastern", "eastern"),
        ("North West & Central", "north-west-and-central"),
        ("Wales & Western", "wales-and-western"),
        ("Scotland", "scotland"),
        ("Southern", "southern"),
    ];
    let data = root().join("examples/rail/data");
    files.map(|(region, file)| (region, fs::read(data.join(file).with_extension("csv")).unwrap())).into()
}

/// One leaf, under the default limits.
struct Rig {
    runtime: Runtime,
    _sandbox: Sandbox,
    leaves: LeafHost,
}

static RUST: LazyLock<Rig> = LazyLock::new(|| Rig::new(&kit::plugin("rail_leaf")));

impl Rig {
    fn new(path: &Path) -> Self {
        let runtime = Runtime::new().unwrap();
        let limits = Limits::default();
        let settings = Settings {
            slots: 1,
            waiting: 0,
            limits: vec![limits],
            cache: Some(kit::cache()),
            compiler: frond_run::compiler(),
        };
        let sandbox = Sandbox::new(settings).unwrap();
        let plugin = Arc::new(Plugin::load(&sandbox, &fs::read(path).unwrap(), &[Role::Leaf], Metering::Fuel).unwrap());
        let slots = Slots::start(1, sandbox.clock(), runtime.handle()).unwrap();
        let leaves = LeafHost::new(
            slots,
            Leaf { plugin, limits, deterministic: false, grants: Arc::default(), instance: InstanceMode::Fresh },
        );
        Self { runtime, _sandbox: sandbox, leaves }
    }

    /// Returns the partitions on which this leaf differs from the one in Rust.
    fn differs(&self, queries: &[Vec<u8>], tables: &[(&str, Vec<u8>)]) -> Vec<String> {
        let mut wrong = Vec::new();
        for query in queries {
            for (key, table) in tables {
                let expected = RUST.outcome(query, key, table);
                let found = self.outcome(query, key, table);
                if expected != found {
                    let query = query.escape_ascii();
                    let table = String::from_utf8_lossy(table);
                    let table: String = table.chars().take(400).collect();
                    wrong.push(format!("{query}\n{table:?}\n- {expected:?}\n+ {found:?}\n"));
                }
            }
        }
        wrong
    }

    fn outcome(&self, query: &[u8], key: &str, table: &[u8]) -> Result<Bytes, (FailureKind, String)> {
        let floor = Floor::BestEffort;
        let request = Request { deadline: DEADLINE, floor, ..Request::new("rail", query.to_vec()) };
        let root = Services {
            runner: Arc::new(self.leaves.clone()),
            merger: Arc::new(Bare),
            events: Events::default(),
            journal: None,
            memory: None,
        };
        let plan = Plan::new(vec![Partition::new(key, Bytes::copy_from_slice(table))]);
        match self.runtime.block_on(flow::run(request, async { plan }, root, CancellationToken::new())).unwrap() {
            Answer::Complete { body, .. } => Ok(body),
            Answer::Failed { reason: Reason::InvalidQuery(failure), .. } => Err(refusal(failure)),
            other => Err(refusal(other.coverage().missing[0].failure.clone().unwrap())),
        }
    }
}

/// Returns the slug, and the message if it is the leaf's own and not a library's.
fn refusal(failure: Failure) -> (FailureKind, String) {
    let own = failure.message.starts_with("line ") || failure.message.starts_with("the table");
    (failure.kind, if own { failure.message } else { String::new() })
}

/// A merger whose answer is the only partial.
struct Bare;

impl Merger for Bare {
    fn merge(&self, _: Bytes, _: Vec<Bytes>, _: tokio::time::Instant) -> MergeFuture {
        unreachable!("there is one partial")
    }

    fn finish(&self, _: Bytes, merged: Option<Bytes>, _: Covered, _: tokio::time::Instant) -> MergeFuture {
        Box::pin(async move { Ok((merged.unwrap_or_default(), Usage::default())) })
    }
}

/// Outcome of the binary: the exit code, the answer, and, if the case expects coverage, the states
/// of the partitions. After a refusal these depend on timing.
type Outcome = (Option<i32>, String, Value);

static CASES: LazyLock<Vec<(PathBuf, Outcome)>> = LazyLock::new(|| {
    let app = root().join("examples/rail");
    let mut files: Vec<_> = fs::read_dir(app.join("cases")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|ending| ending == "toml"));
    assert!(!files.is_empty(), "examples/rail has cases");
    files.into_iter().map(|file| (file.clone(), outcome(&app, &file))).collect()
});

/// Returns the cases of the example whose outcome differs with this leaf.
fn cases_that_differ(leaf: &Path) -> Vec<String> {
    let folder = Folder::new();
    let app = copy_of_rail(&folder, leaf);
    let mut wrong = Vec::new();
    for (file, expected) in &*CASES {
        let found = outcome(&app, file);
        if found != *expected {
            wrong.push(format!("{}\n- {expected:?}\n+ {found:?}\n", file.display()));
        }
    }
    wrong
}

/// Copies the example, with another leaf under the same limits and deadline.
fn copy_of_rail(folder: &Folder, leaf: &Path) -> PathBuf {
    let example = root().join("examples/rail");
    let toml = fs::read_to_string(example.join("frond.toml")).unwrap();
    let guest = "../../target/plugins/wasm32-wasip2/guest";
    let toml = toml
        .replace(&format!("{guest}/rail_leaf.wasm"), leaf.to_str().unwrap())
        .replace(guest, kit::plugin("rail_merge").parent().unwrap().to_str().unwrap());
    assert!(toml.contains(leaf.to_str().unwrap()), "the leaf is replaced");
    folder.write("rail/frond.toml", toml);
    std::os::unix::fs::symlink(example.join("data"), folder.path("rail/data")).unwrap();
    folder.path("rail")
}

fn outcome(app: &Path, case: &Path) -> Outcome {
    let case: toml::Table = fs::read_to_string(case).unwrap().parse().unwrap();
    let args = case.get("args").and_then(|args| args.as_array()).cloned().unwrap_or_default();
    let folder = Folder::new();
    let recording = folder.path("run.ndjson");
    let run = frond(["query"]).arg(app).arg(case["query"].as_str().unwrap());
    let run = run.args(args.iter().map(|arg| arg.as_str().unwrap())).arg("--record").arg(&recording).run();
    let text = fs::read_to_string(recording).unwrap();
    let last: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    let is_counted = case["expect"].get("coverage").is_some();
    (run.code, run.out(), if is_counted { last["coverage"]["partitions"].clone() } else { Value::Null })
}
