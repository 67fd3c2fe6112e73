//! Trivial tasks on two worker processes of Ray, Dask and HyperQueue.

use std::process::{Command, Stdio};

use anyhow::{Context, ensure};
use serde::Deserialize;

use crate::bench::Bench;
use crate::guests::top;
use crate::report::{Bound, figure};

/// Result of a peer, as the script prints it.
#[derive(Deserialize)]
struct Line {
    peer: String,
    #[serde(default)]
    version: String,
    #[serde(default)]
    micros_a_task: f64,
    skipped: Option<String>,
}

/// Measures the peers, and compares them with `own`: seconds of an attempt on two workers of ours.
pub(super) fn run(bench: &mut Bench, own: f64) -> anyhow::Result<()> {
    let Some(python) = python()? else {
        bench.report.note("Ray, Dask and HyperQueue: skipped, as they cannot be installed here.");
        return Ok(());
    };
    let mut command = Command::new(python);
    command.arg(top().join("host/bench/peers/tasks.py"));
    if bench.quick {
        command.args(["--tasks", "500", "--rounds", "1"]);
    }
    let output = command.stderr(Stdio::inherit()).output().context("the peers cannot be measured")?;
    ensure!(output.status.success(), "the peers could not be measured");
    let lines = String::from_utf8(output.stdout)?;
    let mut rows = vec![vec!["Frond, two workers behind NATS".to_owned(), figure(own * 1e6), String::new()]];
    for line in lines.lines() {
        let Line { peer, version, micros_a_task, skipped } = serde_json::from_str(line)?;
        if let Some(why) = skipped {
            bench.report.note(&format!("{peer}: skipped: {why}"));
            continue;
        }
        let ratio = micros_a_task / (own * 1e6);
        rows.push(vec![format!("{peer} {version}"), figure(micros_a_task), format!("{ratio:.0}")]);
        let wanted = [("ray", 10.0), ("dask-unqueued", 50.0), ("hyperqueue", 100.0)];
        if let Some((_, least)) = wanted.iter().find(|(name, _)| *name == peer) {
            bench.report.target(format!("a trivial task of {peer}, over ours"), ratio, "×", Bound::AtLeast(*least));
        }
    }
    bench.report.table(&["trivial tasks on two worker processes", "µs a task", "times ours"], &rows);
    Ok(())
}

/// Path of the Python that has the peers; `None` if they cannot be installed.
fn python() -> anyhow::Result<Option<String>> {
    let install = top().join(".ci/install-task-peers");
    let output = Command::new(install).stderr(Stdio::inherit()).output().context("the peers cannot be installed")?;
    let path = String::from_utf8(output.stdout)?.trim().to_owned();
    Ok(output.status.success().then_some(path))
}
