//! Benchmarks of jobs: the cost of journalling each partial (write-ahead), the accuracy of the
//! estimated end, the time to resume after kill -9, and the latency of queries beside a job.
#![allow(clippy::indexing_slicing, reason = "what a JSON value lacks is null")]

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use frond_testkit::Postgres;
use serde_json::Value;

use crate::bench::Bench;
use crate::http::load::{closed, post};
use crate::http::servers::{self, App, Folder, Server};
use crate::http::talk::{json, talk};
use crate::measure::{median, quantile};
use crate::report::{Bound, figure, ms};
use crate::work::texts;

/// The query that all of these apps accept.
const QUERY: &[u8] = b"{}";
const DURABLE: [(&str, u64); 3] = [("k1", 1_000), ("k10", 10_000), ("k100", 100_000)];
/// App of a job that takes about six seconds on two cores.
const LONG: App<'_> = App { name: "long", partitions: 600, samples: 1_500_000, deadline: "60s" };
const ONE: App<'_> = App { name: "one", partitions: 1, samples: 1, deadline: "2s" };

pub(crate) fn run(bench: &mut Bench) -> anyhow::Result<()> {
    bench.report.section("Jobs: through HTTP, the server's process beside this one");
    durable(bench)?;
    let others = if bench.quick { Vec::new() } else { vec![uneven(bench)?, chancy(bench)] };
    let mut server = servers::frond_with(&bench.guests.pi, &[LONG, ONE], &others, "").context("frond serve")?;
    expected(bench, &server, &others)?;
    beside(bench, &server)?;
    killed(bench, &mut server)
}

fn submit(address: SocketAddr, app: &str) -> anyhow::Result<String> {
    let job = json(address, "POST", &format!("/v1/apps/{app}/jobs"), QUERY)?;
    Ok(job["id"].as_str().context("a job without an id")?.to_owned())
}

fn look(address: SocketAddr, id: &str) -> anyhow::Result<Value> {
    json(address, "GET", &format!("/v1/jobs/{id}"), b"")
}

fn ended(address: SocketAddr, id: &str) -> anyhow::Result<Value> {
    loop {
        let job = json(address, "GET", &format!("/v1/jobs/{id}?wait=30s"), b"")?;
        if !job["finished_unix_ms"].is_null() {
            ensure!(job["state"] == "succeeded", "a job that did not succeed: {job}");
            return Ok(job);
        }
    }
}

/// Returns a job's run time, and when it began as Unix time, both in seconds.
fn span(job: &Value) -> anyhow::Result<(f64, f64)> {
    let at = |key: &str| job[key].as_f64().map(|ms| ms / 1e3).context("a job without its times");
    let began = at("started_unix_ms")?;
    Ok((at("finished_unix_ms")? - began, began))
}

fn durable(bench: &mut Bench) -> anyhow::Result<()> {
    let mut rows = durable_on(bench, "SQLite", "")?;
    match Postgres::start_durable() {
        Some(database) => {
            let settings = format!("[jobs]\nstore = \"{}\"\n", database.url("postgres"));
            rows.extend(durable_on(bench, "PostgreSQL", &settings)?);
        }
        None => bench.report.note("PostgreSQL: skipped, as it is not here."),
    }
    let head = [
        "store",
        "trivial partitions",
        "a query, µs each",
        "a job, µs each",
        "for keeping it",
        "resident MiB, idle",
        "after the jobs",
    ];
    bench.report.table(&head, &rows);
    bench.report.note(
        "Both stores as they come: every batch of partials is on disk before any of it counts (SQLite in WAL mode with \
         `synchronous = FULL`; NORMAL would not keep what it has acknowledged through a loss of power, and cannot be chosen).",
    );
    Ok(())
}

fn durable_on(bench: &Bench, store: &str, settings: &str) -> anyhow::Result<Vec<Vec<String>>> {
    let apps = DURABLE.map(|(name, partitions)| App { name, partitions, samples: 1, deadline: "60s" });
    let count = if bench.quick { 1 } else { DURABLE.len() };
    let mut rows = Vec::new();
    for (app, partitions) in DURABLE.into_iter().take(count) {
        // A new server each time: its resident memory is that of its jobs alone until it gets
        // queries.
        let server = servers::frond_with(&bench.guests.pi, &apps, &[], settings).context("frond serve")?;
        let mut query_times = Vec::new();
        let mut job_times = Vec::new();
        let idle = server.resident();
        for _ in 0..bench.rounds(3) {
            job_times.push(span(&ended(server.address, &submit(server.address, app)?)?)?.0);
        }
        let resident = server.resident();
        for _ in 0..bench.rounds(3) {
            let start = Instant::now();
            talk(server.address, "POST", &format!("/v1/apps/{app}/query"), QUERY)?;
            query_times.push(start.elapsed().as_secs_f64());
        }
        let query_time = median(query_times.into_iter());
        let job_time = median(job_times.into_iter());
        let each = |seconds: f64| figure(seconds * 1e6 / partitions as f64);
        rows.push(vec![
            store.to_owned(),
            partitions.to_string(),
            each(query_time),
            each(job_time),
            each(job_time - query_time),
            format!("{idle:.0}"),
            format!("{resident:.0}"),
        ]);
    }
    Ok(rows)
}

/// Makes an app that counts words of files of uneven sizes, up to a ratio of 64. The partitions'
/// weights are their sizes, so they predict the work.
fn uneven(bench: &Bench) -> anyhow::Result<Folder> {
    let poems = crate::guests::top().join("examples/wordcount/data");
    let text = texts(1, 8 << 20, &poems)?.into_iter().next().context("no text")?.data;
    let file = |at: usize| {
        let size = (128 << 10) << (at * 7 % 13 / 2);
        (format!("{at:03}.txt"), text.slice(..size.min(text.len())))
    };
    let source = "[source]\nkind = \"files\"\nglob = [\"*.txt\"]\npiece-size = \"8MiB\"\ncut = \"lines\"\n";
    Ok(Folder::new("uneven", &bench.guests.wordcount, source, (0..240).map(file).collect()))
}

/// Makes an app of leaves that sleep for 7 to 84 ms, most of them briefly. The partitions' weights
/// do not predict the time.
fn chancy(bench: &Bench) -> Folder {
    let wait = |at: u64| 4 + 80 / (1 + at * 37 % 101 / 5);
    let one = |at: u64| format!("{{ key = \"sleep-ms:{}-{at}\", data = \"\" }},\n", wait(at));
    let partitions: String = (0..300).map(one).collect();
    Folder::new(
        "chancy",
        &bench.guests.faulty,
        &format!("[source]\nkind = \"list\"\npartitions = [\n{partitions}]\n"),
        Vec::new(),
    )
}

/// One estimate of a running job's remaining time: when it was read, its median, and its 90th
/// percentile, in seconds.
struct Expected(f64, f64, f64);

fn watch(address: SocketAddr, id: &str) -> anyhow::Result<(Vec<Expected>, f64)> {
    let mut all = Vec::new();
    let mut began = None;
    loop {
        let now = Instant::now();
        let job = look(address, id)?;
        if !job["finished_unix_ms"].is_null() {
            ensure!(job["state"] == "succeeded", "a job that did not succeed: {job}");
            return Ok((all, span(&job)?.0));
        }
        if !job["started_unix_ms"].is_null() {
            let since = now.duration_since(*began.get_or_insert(now)).as_secs_f64();
            if let Some((p50, p90)) = job["eta"]["p50_ms"].as_f64().zip(job["eta"]["p90_ms"].as_f64()) {
                all.push(Expected(since, p50 / 1e3, p90 / 1e3));
            }
        }
        thread::sleep(Duration::from_millis(50));
    }
}

fn expected(bench: &mut Bench, server: &Server, others: &[Folder]) -> anyhow::Result<()> {
    let apps: Vec<&str> = std::iter::once(LONG.name).chain(others.iter().map(|app| app.name)).collect();
    let mut rows = Vec::new();
    let mut near = Vec::new();
    let mut held = Vec::new();
    let mean = |shares: &[f64]| shares.iter().sum::<f64>() / shares.len().max(1) as f64;
    for (run, app) in (0..bench.rounds(4)).flat_map(|run| apps.iter().map(move |app| (run, *app))) {
        let (all, took) = watch(server.address, &submit(server.address, app)?)?;
        let late: Vec<_> = all.iter().filter(|Expected(at, ..)| *at >= took / 2.0).collect();
        let errors: Vec<f64> = late.iter().map(|Expected(at, p50, _)| (at + p50 - took).abs() / took).collect();
        let share = |some: usize| some as f64 / late.len().max(1) as f64;
        let within = share(errors.iter().filter(|error| **error <= 0.2).count());
        let holds = share(late.iter().filter(|Expected(at, _, p90)| at + p90 >= took).count());
        near.push(within);
        held.push(holds);
        rows.push(vec![
            format!("{app}, run {}", run + 1),
            format!("{took:.2}"),
            all.len().to_string(),
            figure(100.0 * quantile(errors.clone(), 0.5)),
            figure(100.0 * quantile(errors, 1.0)),
            figure(100.0 * holds),
        ]);
    }
    let head = ["job", "took s", "looks", "median error %", "worst error %", "p90 held %"];
    bench.report.note(
        "The expected end from halfway on; errors as shares of the whole time. *long*: 600 even partitions of samples. *uneven*: \
         words of 240 files of 128 KiB to 8 MiB, told by their weights. *chancy*: 300 waits of 8 to 84 ms, of which no weight tells.",
    );
    bench.report.table(&head, &rows);
    bench.report.target("expected end within 20 % from halfway on, share", mean(&near), "", Bound::AtLeast(0.95));
    bench.report.target("the end no later than its p90, share", mean(&held), "", Bound::AtLeast(0.85));
    Ok(())
}

fn beside(bench: &mut Bench, server: &Server) -> anyhow::Result<()> {
    let time = Duration::from_secs(if bench.quick { 1 } else { 4 });
    let request = post("/v1/apps/one/query", "{\"seed\":1}");
    let alone = closed(server.address, &request, 2, time)?;
    let id = submit(server.address, LONG.name)?;
    while look(server.address, &id)?["state"] != "running" {
        thread::sleep(Duration::from_millis(5));
    }
    let beside = closed(server.address, &request, 2, time)?;
    ended(server.address, &id)?;
    let row = |name: &str, loaded: &crate::http::load::Loaded| {
        vec![name.to_owned(), figure(loaded.rate()), ms(loaded.answered(0.5)), ms(loaded.answered(0.99))]
    };
    let rows = [row("alone", &alone), row("a job beside them", &beside)];
    bench.report.table(&["queries on two connections", "a second", "p50 ms", "p99 ms"], &rows);
    Ok(())
}

/// Measures recovery after kill -9: the time until the new server is ready, the time until it
/// completes a partition, and the share of attempts that are repeated.
fn killed(bench: &mut Bench, server: &mut Server) -> anyhow::Result<()> {
    let mut ready = Vec::new();
    let mut resumed = Vec::new();
    let mut twice = Vec::new();
    for _ in 0..bench.rounds(3) {
        let id = submit(server.address, LONG.name)?;
        let done = |server: &Server| anyhow::Ok(look(server.address, &id)?["partitions"]["done"].as_u64().unwrap_or(0));
        while done(server)? < LONG.partitions / 3 {
            thread::sleep(Duration::from_millis(10));
        }
        let start = Instant::now();
        server.again()?;
        ready.push(start.elapsed().as_secs_f64());
        let before = done(server)?;
        while done(server)? <= before {
            thread::sleep(Duration::from_millis(1));
        }
        resumed.push(start.elapsed().as_secs_f64());
        let attempts = ended(server.address, &id)?["attempts"].as_u64().context("a job without its attempts")?;
        twice.push((attempts.saturating_sub(LONG.partitions)) as f64 / LONG.partitions as f64);
    }
    let rows = [
        vec!["the new server is ready".to_owned(), ms(median(ready.into_iter()))],
        vec!["it has added a partition".to_owned(), ms(median(resumed.into_iter()))],
    ];
    bench.report.table(&["after kill -9", "ms"], &rows);
    bench.report.note(&format!("Work done twice: {} % of the job's.", figure(100.0 * median(twice.into_iter()))));
    Ok(())
}
