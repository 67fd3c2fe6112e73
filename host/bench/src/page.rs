//! Page load in a real browser: the time until the first paint, until the apps are listed, and
//! until a waterfall of 10,000 partitions is drawn.

use std::process::Command;

use anyhow::{Context, ensure};
use serde::Deserialize;

use crate::bench::Bench;
use crate::guests::top;
use crate::http::servers::{self, App};
use crate::measure::median;
use crate::report::figure;

const MANY: App<'_> = App { name: "many", partitions: 10_000, samples: 1, deadline: "60s" };
const CHROMIUM: &str = "/usr/bin/chromium";

/// Times of one round, in milliseconds.
#[derive(Deserialize)]
struct Round {
    paint: f64,
    ready: f64,
    took: f64,
    pause: f64,
}

pub(crate) fn run(bench: &mut Bench) -> anyhow::Result<()> {
    bench.report.section("Page: in Chromium, without a window");
    let tools = top().join(".tools/browser");
    let chromium = std::env::var("CHROMIUM").unwrap_or_else(|_| CHROMIUM.to_owned());
    if !tools.join("node_modules/playwright-core").is_dir() || !std::path::Path::new(&chromium).exists() {
        bench.report.note("Skipped: no Chromium, or no playwright-core in .tools/browser (make browser-tools).");
        return Ok(());
    }
    let server = servers::frond(&bench.guests.pi, &[MANY]).context("frond serve")?;
    let mut node = Command::new("node");
    node.arg(top().join("host/bench/page.mjs")).arg(format!("http://{}/", server.address)).arg(MANY.name);
    let ran = node.env("FROND_BROWSER_TOOLS", &tools).env("FROND_CHROMIUM", &chromium).output().context("node")?;
    ensure!(ran.status.success(), "the browser: {}", String::from_utf8_lossy(&ran.stderr));
    let rounds: Vec<Round> = serde_json::from_slice(&ran.stdout).context("what page.mjs tells")?;
    let middle = |of: fn(&Round) -> f64| figure(median(rounds.iter().map(of)));
    let rows = [
        vec!["something is drawn".to_owned(), middle(|one| one.paint)],
        vec!["the apps stand".to_owned(), middle(|one| one.ready)],
        vec!["a waterfall of 10,000 partitions is whole".to_owned(), middle(|one| one.took)],
        vec!["the longest time without a frame meanwhile".to_owned(), middle(|one| one.pause)],
    ];
    bench.report.table(&["the page, never seen before", "ms"], &rows);
    Ok(())
}
