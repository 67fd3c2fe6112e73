//! Comparison with Python's multiprocessing pool, Ray and Dask. Each runs in a separate process,
//! which runs the work on request.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, bail, ensure};

use super::ours::Ours;
use crate::bench::Bench;
use crate::guests::top;
use crate::machine::cores;
use crate::measure::{Entrant, Series, rounds};
use crate::report::{Bound, ms, times, us};

/// Frameworks: the argument of `peer.py`, the name, and the wanted ratios of wall time to Frond's
/// for the trivial tasks and for the word count.
const PEERS: [(&str, &str, Option<f64>, Option<f64>); 3] = [
    ("pool", "multiprocessing", None, None),
    ("ray", "Ray", Some(50.0), Some(3.0)),
    ("dask", "Dask", Some(50.0), None),
];

pub(super) fn run(bench: &mut Bench, ours: &Ours) -> anyhow::Result<()> {
    let python = match python() {
        Ok(python) => python,
        Err(error) => {
            bench.report.note(&format!("Python's frameworks: skipped, {error:#}."));
            return Ok(());
        }
    };
    let dir = tempfile::tempdir()?;
    let texts = ours.texts.iter().map(|task| {
        let path = dir.path().join(&task.key);
        fs::write(&path, &task.data).map(|()| path)
    });
    let texts = texts.collect::<std::io::Result<Vec<PathBuf>>>()?;
    let mut task_rows = Vec::new();
    let mut word_rows = Vec::new();
    for (kind, name, tasks, words) in PEERS {
        match Peer::start(&python, kind, &texts) {
            Ok(mut peer) => {
                let [task_row, word_row] = compare(bench, ours, &mut peer, name, (tasks, words))?;
                task_rows.extend(task_row);
                word_rows.extend(word_row);
            }
            Err(error) => bench.report.note(&format!("{name}: skipped, {error:#}.")),
        }
    }
    bench.report.table(&["1,000 trivial tasks", "wall µs/task", "to Frond beside it"], &task_rows);
    bench.report.table(&["word count of 64 MiB in 16 parts", "wall ms", "to Frond beside it"], &word_rows);
    Ok(())
}

/// Rows of a table, as text.
type Rows = Vec<Vec<String>>;

/// Measures one peer and Frond interleaved, while that peer's processes run.
fn compare(
    bench: &mut Bench,
    ours: &Ours,
    peer: &mut Peer,
    name: &str,
    wanted: (Option<f64>, Option<f64>),
) -> anyhow::Result<[Rows; 2]> {
    let named = format!("{name} {}", peer.version);
    let beside = format!("Frond beside {name}");
    let tasks = rounds(
        bench.rounds(9),
        [
            Entrant::new(beside.as_str(), || ours.sample(&ours.trivial)),
            Entrant::new(named.as_str(), || peer.ask("tasks", (ours.sampled.samples, ours.sampled.hits))),
        ],
    )?;
    let words = rounds(
        bench.rounds(5),
        [
            Entrant::new(beside.as_str(), || ours.count(&ours.words).map(drop)),
            Entrant::new(named.as_str(), || peer.ask("words", ours.tally)),
        ],
    )?;
    let rows = |series: &[Series; 2], scale: &dyn Fn(f64) -> String| -> Rows {
        let [frond, _] = series;
        series.iter().map(|one| vec![one.name.clone(), scale(one.wall()), times(one.times(frond))]).collect()
    };
    let report = &mut bench.report;
    let mut target = |what: &str, [frond, peer]: &[Series; 2], wanted: Option<f64>| {
        if let Some(wanted) = wanted {
            report.target(format!("{what}: {name} to Frond"), peer.times(frond), "×", Bound::AtLeast(wanted));
        }
    };
    target("trivial tasks", &tasks, wanted.0);
    target("word count, metered", &words, wanted.1);
    Ok([rows(&tasks, &|seconds| us(seconds / super::ours::TASKS as f64)), rows(&words, &ms)])
}

/// A framework's warm process.
struct Peer {
    process: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    version: String,
}

impl Peer {
    fn start(python: &Path, kind: &str, texts: &[PathBuf]) -> anyhow::Result<Self> {
        let mut command = Command::new(python);
        command.arg(top().join("host/bench/python/peer.py")).arg(kind).arg(cores().to_string()).args(texts);
        command.env("RAY_USAGE_STATS_ENABLED", "0").env("PYTHONWARNINGS", "ignore");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = command.spawn()?;
        let orders = process.stdin.take();
        let answers = BufReader::new(process.stdout.take().context("it has no output")?);
        let mut peer = Self { process, orders, answers, version: String::new() };
        let line = peer.line()?;
        match line.strip_prefix("ready ") {
            Some(version) => peer.version = version.to_owned(),
            None => bail!("it did not start"),
        }
        Ok(peer)
    }

    /// Runs the work `order` once. Its result must be `expected`.
    fn ask(&mut self, order: &str, expected: (u64, u64)) -> anyhow::Result<()> {
        let orders = self.orders.as_mut().context("it has ended")?;
        writeln!(orders, "{order}")?;
        orders.flush()?;
        let line = self.line()?;
        let mut found = line.split_whitespace().skip(1).map(str::parse::<u64>);
        let found = (found.next().context("no count")??, found.next().context("no count")??);
        ensure!(found == expected, "a peer counts {found:?}, native code {expected:?}");
        Ok(())
    }

    fn line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        ensure!(!line.is_empty(), "its process has ended");
        Ok(line.trim().to_owned())
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // At the end of its input, the process stops its workers and ends.
        self.orders = None;
        let _ended = self.process.wait();
    }
}

/// Returns the path of a Python with Ray and Dask in `.tools/`, which the first run installs.
fn python() -> anyhow::Result<PathBuf> {
    let venv = top().join(".tools/bench-venv");
    let python = venv.join("bin/python");
    let wanted = top().join("host/bench/python/requirements.txt");
    let mut check = Command::new(&python);
    check.args(["-c", "import ray, distributed"]).stderr(Stdio::null());
    if check.status().is_ok_and(|status| status.success()) {
        return Ok(python);
    }
    let made = Command::new("python3").args(["-m", "venv"]).arg(&venv).status().context("python3 cannot be run")?;
    ensure!(made.success(), "a virtual environment could not be made");
    let mut pip = Command::new(&python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"]).arg(wanted);
    ensure!(pip.status()?.success(), "pip could not install Ray and Dask");
    Ok(python)
}
