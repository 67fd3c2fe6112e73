//! Benchmarks of the HTTP root: one-partition queries beside `wasmtime serve` and a bare axum
//! handler, health checks while leaves keep every core busy, overload, the cost of event listeners,
//! and the isolation of an app from its neighbours' clients.

pub(crate) mod load;
mod neighbour;
pub(crate) mod servers;
mod swap;
pub(crate) mod talk;

use std::time::Duration;

use anyhow::Context;

use crate::bench::Bench;
use crate::report::{Bound, figure, ms, times};

use load::{Loaded, closed, get, open, paced, post};
use servers::{App, ONE, QUERY, Server};

pub(crate) use servers::{AXUM, be_axum};

/// Numbers of concurrent connections.
const CONNECTIONS: [usize; 4] = [1, 8, 64, 256];
/// Queries of a thousand trivial partitions.
const MANY: App<'_> = App { name: "many", partitions: 1000, samples: 1, deadline: "10s" };
/// Queries that keep every core busy for some milliseconds.
const BUSY: App<'_> = App { name: "busy", partitions: 4, samples: 500_000, deadline: "250ms" };
pub(crate) fn run(bench: &mut Bench) -> anyhow::Result<()> {
    bench.report.section("HTTP: one process serves, this one asks, on the same cores");
    let frond = servers::frond(&bench.guests.pi, &[ONE, MANY, BUSY, neighbour::QUIET, neighbour::GREEDY])
        .context("frond serve")?;
    one_partition(bench, &frond)?;
    health(bench, &frond)?;
    overload(bench, &frond)?;
    watching(bench, &frond)?;
    neighbour::run(bench, &frond)?;
    swap::run(bench, &frond)
}

fn one_partition(bench: &mut Bench, frond: &Server) -> anyhow::Result<()> {
    let axum = servers::axum()?;
    let wasmtime = servers::wasmtime()?;
    let mut all = vec![("frond serve", frond, ONE.query()), ("axum, an instance a request", &axum, post("/", QUERY))];
    all.push(("axum, nothing", &axum, get("/empty")));
    match &wasmtime {
        Some(wasmtime) => all.push(("wasmtime serve", wasmtime, post("/", QUERY))),
        None => bench
            .report
            .note("`wasmtime serve`: skipped, as it is not in .tools/wasmtime (cargo install wasmtime-cli --version 48.0.8 --locked --root .tools/wasmtime)."),
    }
    let time = bench.seconds(2);
    let mut rows = Vec::new();
    let mut rates = Vec::new();
    for connections in CONNECTIONS {
        let mut runs: Vec<Vec<Loaded>> = all.iter().map(|_| Vec::new()).collect();
        for _ in 0..bench.rounds(3) {
            for ((_, server, request), runs) in all.iter().zip(&mut runs) {
                runs.push(closed(server.address, request, connections, time)?);
            }
        }
        let middle = |runs: &[Loaded], of: &dyn Fn(&Loaded) -> f64| crate::measure::median(runs.iter().map(of));
        for ((name, ..), runs) in all.iter().zip(&runs) {
            let rate = middle(runs, &Loaded::rate);
            rates.push((*name, connections, rate));
            let p50 = middle(runs, &|one| one.answered(0.5));
            let p99 = middle(runs, &|one| one.answered(0.99));
            rows.push(vec![(*name).to_owned(), connections.to_string(), figure(rate), ms(p50), ms(p99)]);
        }
    }
    bench.report.table(&["a query of one partition", "connections", "a second", "p50 ms", "p99 ms"], &rows);
    let rate = |name: &str, at: usize| rates.iter().find(|one| one.0 == name && one.1 == at).map(|one| one.2);
    for connections in CONNECTIONS {
        if let Some((ours, theirs)) = rate("frond serve", connections).zip(rate("wasmtime serve", connections)) {
            let what = format!("one partition over HTTP, {connections} connections: over wasmtime serve");
            bench.report.target(what, ours / theirs, "×", Bound::AtLeast(1.8));
        }
    }
    Ok(())
}

/// Measures health checks on one connection, on an idle server and while leaves keep every core
/// busy.
fn health(bench: &mut Bench, frond: &Server) -> anyhow::Result<()> {
    let time = bench.seconds(8);
    let mut rows = Vec::new();
    let pause = Duration::from_millis(10);
    let idle = paced(frond.address, &get("/healthz"), pause, time)?;
    let busy = std::thread::scope(|scope| {
        let load = scope.spawn(|| closed(frond.address, &BUSY.query(), 4, time + Duration::from_secs(1)));
        std::thread::sleep(Duration::from_millis(300));
        let busy = paced(frond.address, &get("/healthz"), pause, time);
        let load = load.join().map_err(|_| anyhow::anyhow!("a client was lost"))??;
        Ok::<_, anyhow::Error>((busy?, load))
    })?;
    for (name, loaded) in [("idle", &idle), ("leaves on every core", &busy.0)] {
        rows.push(vec![name.to_owned(), ms(loaded.answered(0.5)), ms(loaded.answered(0.99)), ms(loaded.answered(1.0))]);
    }
    bench.report.table(&["/healthz", "p50 ms", "p99 ms", "worst ms"], &rows);
    bench.report.target(
        "/healthz while leaves keep every core busy, p99",
        busy.0.answered(0.99) * 1e3,
        "ms",
        Bound::AtMost(2.0),
    );
    Ok(())
}

/// Measures an overload: four times as many queries as the server can answer.
fn overload(bench: &mut Bench, frond: &Server) -> anyhow::Result<()> {
    let time = bench.seconds(5);
    let request = BUSY.query();
    let deadline = 0.25;
    let alone = closed(frond.address, &request, 2, time)?;
    let capacity = alone.rate();
    let before = frond.resident();
    let rate = 4.0 * capacity;
    // Enough connections that no request waits for a free one, even if each takes its whole
    // deadline.
    let connections = (rate * deadline) as usize + 64;
    let over = open(frond.address, &request, connections, rate, time)?;
    let held = frond.resident();
    let after = closed(frond.address, &request, 2, bench.seconds(2))?;
    let row = |name: &str, loaded: &Loaded| {
        vec![
            name.to_owned(),
            figure(loaded.rate()),
            figure(100.0 * loaded.share_refused()),
            figure(100.0 * loaded.share_missed()),
            ms(loaded.answered(0.5)),
            ms(loaded.answered(0.99)),
            ms(loaded.refused(0.99)),
            loaded.failed.to_string(),
        ]
    };
    let rows = [row("what it carries", &alone), row("four times that", &over), row("after it", &after)];
    bench.report.table(
        &[
            "queries of some milliseconds, deadline 250 ms",
            "answered a second",
            "refused %",
            "missed %",
            "p50 ms",
            "p99 ms",
            "refusal p99 ms",
            "lost",
        ],
        &rows,
    );
    bench.report.note(&format!("Resident: {before:.0} MiB before, {held:.0} MiB after.",));
    bench.report.target(
        "overload: answers a second over what it carries",
        over.rate() / capacity,
        "×",
        Bound::AtLeast(0.8),
    );
    bench.report.target(
        "overload: an answer's p99 over its deadline",
        over.answered(0.99) / deadline,
        "×",
        Bound::AtMost(1.0),
    );
    bench.report.target("overload: taken on and not answered", 100.0 * over.share_missed(), "%", Bound::AtMost(1.0));
    bench.report.target("overload: more memory", held - before, "MiB", Bound::AtMost(64.0));
    Ok(())
}

/// Measures the cost of 100 clients that listen to all events.
fn watching(bench: &mut Bench, frond: &Server) -> anyhow::Result<()> {
    let time = bench.seconds(3);
    let one = ONE.query();
    let many = MANY.query();
    let quiet = (closed(frond.address, &one, 8, time)?, closed(frond.address, &many, 1, time)?);
    let heard = with_listeners(frond, 100, || {
        Ok((closed(frond.address, &one, 8, time)?, closed(frond.address, &many, 1, time)?))
    })?;
    let rows = [("nobody", &quiet), ("100 listeners to all news", &heard)].map(|(name, (one, many))| {
        vec![name.to_owned(), figure(one.rate()), ms(many.answered(0.5)), figure(many.answered(0.5) * 1e3)]
    });
    bench.report.table(&["who watches", "one-partition queries a second", "1,000 leaves, ms", "µs a leaf"], &rows);
    bench.report.note(&format!("Listeners cost {} of the rate.", times(1.0 - heard.0.rate() / quiet.0.rate())));
    Ok(())
}

fn with_listeners<T>(frond: &Server, count: usize, work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let address = frond.address;
    runtime.block_on(async {
        for _ in 0..count {
            let mut stream = tokio::net::TcpStream::connect(address).await?;
            tokio::io::AsyncWriteExt::write_all(&mut stream, &get("/v1/events")).await?;
            tokio::spawn(async move { tokio::io::copy(&mut stream, &mut tokio::io::sink()).await });
        }
        anyhow::Ok(())
    })?;
    work()
}
