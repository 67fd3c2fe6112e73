//! Workers that keep attempts from others: none of them holds a query up for long.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use frond_broker::frames::{Ended, GivenBack, Said};
use frond_broker::session::Lost;
use frond_broker::worker::Loaded;
use frond_broker::{LeafCode, LeafLoader};
use frond_root::{
    Answer, Content, CopySettings, Failure, FailureKind, Floor, LeafRunner, Partition, Plan, Request, Units,
};
use frond_testkit::ms;
use frond_testkit::pieces::integers;
use tokio::time::{Instant, sleep};

use super::bench::{Liar, Root, ended, is_whole, patient, soon, started};

fn protocol(why: &str) -> Lost {
    Lost::Protocol(why.to_owned())
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_starts_nothing_is_asked_and_then_dropped() {
    let root = Root::new();
    let mut liar = root.liar(4096).await;
    root.honest(1).await;
    let began = Instant::now();
    let answer = root.ask(patient(), integers(&[10; 50]));
    assert!(!liar.attempts().await.is_empty());
    while !matches!(liar.hear().await, Some(Said::Return(_))) {}
    assert!(root.has("liar"));
    assert_eq!(liar.lost().await, protocol("has kept attempts without starting them"));
    is_whole(answer, &[10; 50]).await;
    assert!(began.elapsed() < Duration::from_secs(10), "long before the query's time is up: {:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_returns_everything_pauses() {
    for waits in [ms(0), ms(400), ms(700)] {
        let root = Root::new();
        let mut liar = root.liar(8).await;
        root.honest(1).await;
        let answer = root.ask(patient(), integers(&[20; 40]));
        let liar = tokio::spawn(async move {
            let mut times = 0;
            while let Some(said) = liar.hear().await {
                if let Said::Run(run) = said {
                    times += 1;
                    sleep(waits).await;
                    let of = |order: &frond_broker::frames::Order| frond_broker::frames::AttemptOf {
                        query: run.query,
                        partition: order.partition,
                        number: order.number,
                    };
                    liar.say(Said::GivenBack(GivenBack { of: run.orders.iter().map(of).collect() }));
                }
            }
            times
        });
        let began = Instant::now();
        is_whole(answer, &[20; 40]).await;
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
        assert!(root.has("liar"), "it has done nothing wrong");
        liar.abort();
    }
}

/// Loader whose leaf takes for ever to load.
struct Endless;

impl LeafLoader for Endless {
    fn known(&self, _leaf: &[u8]) -> Option<Arc<dyn LeafRunner>> {
        None
    }

    fn load(&self, _code: LeafCode) -> Loaded {
        Box::pin(std::future::pending())
    }
}

#[tokio::test(start_paused = true)]
async fn a_worker_whose_code_is_not_ready_returns_its_attempts() {
    let root = Root::new();
    root.worker("cold", 4, Arc::new(Endless)).await;
    root.honest(1).await;
    is_whole(root.ask(patient(), integers(&[10; 8])), &[10; 8]).await;
    assert!(root.has("cold"), "it is no worse than slow");
}

#[tokio::test(start_paused = true)]
async fn a_worker_alone_is_not_asked() {
    let root = Root::new();
    let mut liar = root.liar(1).await;
    let answer = root.ask(patient(), integers(&[10]));
    let (of, _) = liar.attempts().await.remove(0);
    sleep(Duration::from_secs(30)).await;
    assert!(root.has("liar"));
    // Nor is it late once it has begun.
    liar.say(started(of));
    root.honest(1).await;
    sleep(Duration::from_secs(25)).await;
    assert!(root.has("liar"));
    liar.sender.close();
    is_whole(answer, &[10]).await;
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_ends_nothing_is_dropped_after_the_time_of_its_leaves() {
    let root = Root::new();
    let mut liar = root.liar(2).await;
    root.honest(1).await;
    let request = Request { leaf_time: Some(Duration::from_secs(5)), ..patient() };
    let answer = root.ask(request, integers(&[10; 6]));
    for (of, _) in liar.attempts().await {
        liar.say(started(of));
    }
    assert_eq!(liar.lost().await, protocol("has kept attempts for long after their time"));
    is_whole(answer, &[10; 6]).await;
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_stops_nothing_keeps_no_query_in_memory() {
    let root = Root::new();
    let mut liar = root.liar(2).await;
    root.honest(1).await;
    let request = Request { floor: Floor::AtLeast(0.1), deadline: Duration::from_secs(20), ..patient() };
    let answer = root.ask(request, integers(&[10; 6]));
    for (of, _) in liar.attempts().await {
        liar.say(started(of));
    }
    let answer = soon(answer).await.unwrap().unwrap();
    assert!(matches!(answer, Answer::Partial { .. }), "{:?}", answer.coverage());
    assert_eq!(root.workers.list()[0].attempts, 2);
    assert_eq!(liar.lost().await, protocol("has kept attempts for long after their time"));
}

/// Asserts that the root gives up a worker with an attempt that never ends, within so much time.
async fn is_killed_within(liar: Liar, time: Duration) {
    let began = Instant::now();
    assert_eq!(liar.lost().await, protocol("has kept an attempt beyond its time"));
    assert!(began.elapsed() <= time, "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_leaf_that_nothing_stops_ends_at_its_deadline_with_its_worker() {
    let root = Root::new();
    let mut liar = root.expendable().liar(1).await;
    root.expendable().honest(1).await;
    let request = Request { leaf_time: Some(ms(730)), ..patient() };
    let answer = root.ask(request, integers(&[10; 6]));
    let (of, order) = liar.attempts().await.remove(0);
    liar.say(started(of));
    is_killed_within(liar, Duration::from_micros(order.left) + ms(5)).await;
    let answer = soon(answer).await.unwrap().unwrap();
    let failures: Vec<_> = answer.coverage().failures.clone().into_iter().collect();
    assert_eq!(failures, [(FailureKind::OutOfTime, 1)]);
    let tally = root.workers.tally();
    assert_eq!(tally.attempts_lost, 0, "it has ended");
    assert!(tally.attempts.contains(&("liar".to_owned(), 1)), "{tally:?}");
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_ends_its_leaf_at_the_deadline_stays() {
    let root = Root::new();
    let mut liar = root.expendable().liar(1).await;
    let request = Request { leaf_time: Some(ms(730)), ..patient() };
    let answer = root.ask(request, integers(&[10]));
    let (of, order) = liar.attempts().await.remove(0);
    liar.say(started(of));
    sleep(Duration::from_micros(order.left) + ms(1)).await;
    let own = Failure::new(FailureKind::OutOfTime, "as it says itself");
    let failure = Some(serde_json::to_vec(&own).unwrap().into());
    liar.say(Said::Ended(Ended { failure, ..ended(of, 0) }));
    let answer = soon(answer).await.unwrap().unwrap();
    assert_eq!(answer.coverage().missing[0].failure, Some(own));
    sleep(Duration::from_secs(5)).await;
    assert!(root.has("liar"));
}

#[tokio::test(start_paused = true)]
async fn what_an_expendable_worker_has_not_started_runs_elsewhere() {
    let root = Root::new();
    let mut liar = root.expendable().liar(2).await;
    let late = root.ask(Request { leaf_time: Some(ms(200)), ..patient() }, integers(&[10]));
    let (of, _) = liar.attempts().await.remove(0);
    liar.say(started(of));
    let other = root.ask(patient(), integers(&[10]));
    assert_eq!(liar.attempts().await.len(), 1);
    root.expendable().honest(1).await;
    is_killed_within(liar, ms(205)).await;
    is_whole(other, &[10]).await;
    let late = soon(late).await.unwrap().unwrap();
    assert_eq!(late.coverage().failures.get(&FailureKind::OutOfTime), Some(&1));
}

#[tokio::test(start_paused = true)]
async fn a_leaf_that_nothing_stops_ends_soon_after_its_query() {
    let root = Root::new();
    let mut liar = root.expendable().liar(1).await;
    let answer = root.ask(patient(), integers(&[10]));
    let (of, _) = liar.attempts().await.remove(0);
    liar.say(started(of));
    // Between two looks at all workers.
    sleep(ms(1330)).await;
    assert!(root.has("liar"));
    answer.abort();
    is_killed_within(liar, ms(60)).await;
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_ends_its_leaf_soon_after_the_query_stays() {
    let root = Root::new();
    let mut liar = root.expendable().liar(1).await;
    let answer = root.ask(patient(), integers(&[10]));
    let (of, _) = liar.attempts().await.remove(0);
    liar.say(started(of));
    sleep(ms(1330)).await;
    answer.abort();
    while !matches!(liar.hear().await, Some(Said::Stop(_))) {}
    sleep(ms(30)).await;
    liar.say(Said::Ended(ended(of, 0)));
    sleep(Duration::from_secs(5)).await;
    assert!(root.has("liar"));
}

/// Content of so many bytes.
#[derive(Debug)]
struct Large(u64);

impl Content for Large {
    fn size(&self) -> u64 {
        self.0
    }

    fn units(&self) -> Units {
        Units { count: 10, grain: frond_root::Grain::Integer }
    }

    fn read(&self, _offset: u64, len: usize) -> Result<Bytes, Failure> {
        Ok(vec![0; len].into())
    }

    fn whole(&self) -> Result<Bytes, Failure> {
        Ok(vec![0; usize::try_from(self.0).unwrap()].into())
    }
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_reads_nothing_gets_no_more_than_a_window() {
    let root = Root::new();
    let liar = root.liar(4096).await;
    root.honest(1).await;
    let partitions = (0..500).map(|number| Partition::new(format!("p{number}"), Large(200 << 10))).collect();
    let answer = root.ask(patient(), Plan::new(partitions).unwrap());
    let holds = |root: &Root| root.workers.list().iter().find(|worker| worker.name == "liar").map(|one| one.attempts);
    root.until(|root| holds(root).is_some_and(|held| held > 0)).await;
    sleep(ms(100)).await;
    assert!(holds(&root).is_some_and(|held| held < 60), "{:?}", holds(&root));
    let lost = soon(liar.task).await.unwrap();
    assert_eq!(lost, protocol("has kept attempts without starting them"));
    is_whole(answer, &[10; 500]).await;
}

#[tokio::test(start_paused = true)]
async fn a_worker_of_many_slots_has_no_query_refused() {
    let root = Root::new();
    let liars = [root.liar(u32::MAX).await, root.liar(u32::MAX).await];
    root.honest(1).await;
    let answer = root.ask(Request { leaf_output: 64 << 20, ..patient() }, integers(&[10; 6]));
    for liar in liars {
        assert_eq!(liar.lost().await, protocol("has kept attempts without starting them"));
    }
    is_whole(answer, &[10; 6]).await;
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_hangs_is_told_to_stop_and_costs_little() {
    let root = Root::new();
    let mut liar = root.liar(1).await;
    root.honest(4).await;
    let began = Instant::now();
    let request = Request { copies: CopySettings::ON, ..patient() };
    let answer = root.ask(request, integers(&[1; 30]));
    let (of, _) = liar.attempts().await.remove(0);
    liar.say(started(of));
    is_whole(answer, &[1; 30]).await;
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    loop {
        match liar.hear().await {
            Some(Said::Supersede(superseded)) => break assert_eq!(superseded.of, [of]),
            Some(Said::Stop(_)) | None => panic!("it was not told"),
            Some(_) => {}
        }
    }
}
