//! Queries of one process share slots, pools and an engine, but do not affect each other.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests stop where it is wrong")]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use frond_root::call::Limits;
use frond_root::{CancellationToken, EventKind, Floor, Request, flow};

use common::{App, ENDLESS, Host, ObservedRunner, PATIENCE, alone, ms, plan};

/// Number of times that the victim is stopped.
const ROUNDS: usize = 1000;

/// Runs queries whose leaves work for a while, in the guest and in the host, until `done`. Each
/// must succeed without a failed attempt. Returns the number of queries.
async fn neighbour(app: App, done: Arc<AtomicBool>) -> usize {
    let mut rounds = 0;
    while !done.load(Ordering::SeqCst) {
        let request = Request { deadline: PATIENCE, floor: Floor::All, ..app.request("{}") };
        let asked = app.ask(request, plan(["burn:3-1", "sleep-ms:2-1", "ok-1", "burn:1-2"])).await;
        let failures = asked.record.all(|event| match &event.kind {
            EventKind::AttemptEnded { failure, .. } => failure.clone(),
            _ => None,
        });
        assert_eq!((asked.answer.outcome(), failures), ("complete", vec![]));
        assert_eq!(asked.json()["count"], 4);
        rounds += 1;
    }
    rounds
}

/// Runs `victim` beside neighbours on the same slots. Returns the number of the neighbours'
/// queries.
fn beside(host: &Host, app: &App, victim: impl Future<Output = ()> + Send + 'static) -> usize {
    let done = Arc::new(AtomicBool::new(false));
    let neighbours = [(); 2].map(|()| host.runtime.spawn(neighbour(app.clone(), done.clone())));
    let ended = host.runtime.block_on(host.runtime.spawn(victim));
    done.store(true, Ordering::SeqCst);
    ended.unwrap();
    neighbours.into_iter().map(|one| host.runtime.block_on(one).unwrap()).sum()
}

fn stage() -> (Host, App) {
    let limits = Limits { fuel: ENDLESS, ..Limits::default() };
    let host = Host::new(4, limits);
    let app = host.faulty(limits, Limits::default());
    (host, app)
}

#[test]
fn a_neighbour_of_leaves_that_are_always_stopped_at_their_deadline_is_never_harmed() {
    let _alone = alone();
    let (host, app) = stage();
    let victim = app.clone();
    let rounds = beside(&host, &app, async move {
        for round in 0..ROUNDS {
            let query = format!(r#"{{"fault": "{}"}}"#, ["spin", "sleep"][round % 2]);
            let request = Request { deadline: ms(12), ..victim.request(&query) };
            let asked = victim.ask(request, plan(["a", "b"])).await;
            let tally = asked.answer.coverage().partitions;
            assert_eq!((asked.answer.body(), tally.succeeded), (None, 0));
            assert!(tally.is_closed());
        }
    });
    assert!(rounds > 100, "{rounds}");
}

#[test]
fn a_neighbour_of_cancelled_queries_is_never_harmed() {
    let _alone = alone();
    let (host, app) = stage();
    let victim = app.clone();
    let rounds = beside(&host, &app, async move {
        for round in 0..ROUNDS {
            let query = format!(r#"{{"fault": "{}"}}"#, ["spin", "sleep", "poll-forever"][round % 3]);
            let request = Request { deadline: PATIENCE, ..victim.request(&query) };
            let cancel = CancellationToken::new();
            let seen = ObservedRunner::of(&victim);
            let later = cancel.clone();
            let running = seen.clone();
            let cancelling = tokio::spawn(async move {
                while running.running() == 0 {
                    tokio::task::yield_now().await;
                }
                later.cancel();
            });
            let plan = plan(["a", "b", "c"]);
            let answer = flow::run(request, async { Ok(plan) }, victim.root(&seen), cancel).await.unwrap();
            cancelling.await.unwrap();
            let tally = answer.coverage().partitions;
            assert_eq!(tally.cancelled + tally.not_started, 3, "{tally:?}");
        }
    });
    assert!(rounds > 10, "{rounds}");
}

#[test]
fn short_and_long_deadlines_keep_apart_on_one_engine() {
    let _alone = alone();
    let (host, app) = stage();
    let ask = |deadline: Duration| {
        let app = app.clone();
        host.runtime.spawn(async move {
            let request = Request { deadline, ..app.request(r#"{"fault": "spin"}"#) };
            app.ask(request, plan(["a"])).await
        })
    };
    let asked = [ms(40), ms(80), ms(160), ms(320)].map(ask).map(|asked| host.runtime.block_on(asked).unwrap());
    for asked in asked {
        // Each ran for most of its time limit, also with longer ones beside: only the merge's
        // reserve was kept back.
        let timings = asked.answer.coverage().timings;
        assert!(timings.total > timings.deadline / 2.0, "{timings:?}");
        assert_eq!(asked.answer.coverage().partitions.timed_out, 1);
    }
}
