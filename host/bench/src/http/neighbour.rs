//! Isolation between apps: an app's latency alone, and beside greedy clients of another app.

use std::time::Duration;

use super::load::{Loaded, closed, post};
use super::servers::{App, QUERY, Server};
use crate::bench::Bench;
use crate::report::{Bound, figure, ms};

/// The measured neighbour's app: a query takes some milliseconds on every core.
pub(super) const QUIET: App<'_> = App { name: "neighbour", partitions: 4, samples: 500_000, deadline: "10s" };
/// The greedy clients' app, with leaves of the same length.
pub(super) const GREEDY: App<'_> = App { name: "greedy", partitions: 4, samples: 500_000, deadline: "10s" };
/// Groups of greedy clients: name, number of clients, and the deadline of their queries.
const CROWDS: [(&str, usize, &str); 3] = [
    ("1 client, deadline 10 ms", 1, "10ms"),
    ("24 clients, deadline 10 s", 24, "10s"),
    ("60 clients, deadline 1 s", 60, "1s"),
];
/// Bound on the ratio of the neighbour's p99 beside any group to its p99 alone.
const MOST: f64 = 3.0;

pub(super) fn run(bench: &mut Bench, frond: &Server) -> anyhow::Result<()> {
    let time = bench.seconds(5);
    let quiet = closed(frond.address, &QUIET.query(), 1, time)?;
    let mut rows = vec![row("nobody", &quiet)];
    for (who, clients, deadline) in CROWDS {
        let greedy = post(&format!("/v1/apps/{}/query?deadline={deadline}", GREEDY.name), QUERY);
        let beside = std::thread::scope(|scope| {
            let load = scope.spawn(|| closed(frond.address, &greedy, clients, time + Duration::from_secs(1)));
            std::thread::sleep(Duration::from_millis(300));
            let beside = closed(frond.address, &QUIET.query(), 1, time);
            load.join().map_err(|_| anyhow::anyhow!("a client was lost"))??;
            beside
        })?;
        rows.push(row(who, &beside));
        let grown = beside.answered(0.99) / quiet.answered(0.99);
        bench.report.target(
            format!("a neighbour beside {who}: p99 over its quiet one"),
            grown,
            "×",
            Bound::AtMost(MOST),
        );
        let lost = 100.0 * (beside.share_refused() + beside.share_missed());
        bench.report.target(format!("a neighbour beside {who}: not answered"), lost, "%", Bound::AtMost(0.0));
    }
    bench.report.table(&["beside the neighbour", "answered a second", "not answered %", "p50 ms", "p99 ms"], &rows);
    Ok(())
}

fn row(who: &str, loaded: &Loaded) -> Vec<String> {
    let lost = 100.0 * (loaded.share_refused() + loaded.share_missed());
    vec![who.to_owned(), figure(loaded.rate()), figure(lost), ms(loaded.answered(0.5)), ms(loaded.answered(0.99))]
}
