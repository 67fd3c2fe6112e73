//! Lies of workers: the worker is dropped for each, or nothing happens.

use bytes::Bytes;
use frond_broker::frames::{
    AttemptOf, Drain, Emitted, Ended, GivenBack, Join, MAX_PULL, More, Need, Order, Pull, Refuse, Said, Stop, Waits,
};
use frond_broker::session::{Lost, Settings};
use frond_testkit::ms;
use frond_testkit::pieces::integers;
use tokio::time::sleep;

use super::bench::{Root, ended, is_whole, kept, patient, soon, started};

const COUNTS: [u64; 6] = [40, 7, 90, 1, 25, 60];

/// Lies about the first attempt that a worker gets.
type Lies = fn(AttemptOf, &Order) -> Vec<Said>;

/// Tells lies to a root beside an honest worker, whose answer must be whole. Returns the reason for
/// which the liar was dropped.
async fn told(lies: Lies) -> String {
    let root = Root::new();
    let mut liar = root.liar(2).await;
    root.honest(1).await;
    let answer = root.ask(patient(), integers(&COUNTS));
    let (of, order) = liar.attempts().await.remove(0);
    lies(of, &order).into_iter().for_each(|said| liar.say(said));
    let Lost::Protocol(why) = liar.lost().await else { panic!("it was dropped for what it said") };
    is_whole(answer, &COUNTS).await;
    assert!(!root.has("liar") && root.has("honest"));
    why
}

/// Tells lies that change nothing. The worker lives until it keeps its attempts for too long.
async fn ignored(lies: Lies) {
    let why = told(lies).await;
    assert_eq!(why, "has kept attempts without starting them");
}

fn waits(of: AttemptOf, is_waiting: bool) -> Said {
    Said::Waits(Waits { of, is_waiting })
}

fn other(of: AttemptOf) -> AttemptOf {
    AttemptOf { partition: of.partition + 100, ..of }
}

#[tokio::test(start_paused = true)]
async fn an_attempt_begins_and_ends_once() {
    let cannot = "ended an attempt in a way that cannot be";
    assert_eq!(told(|of, _| vec![Said::Ended(ended(of, 0))]).await, cannot);
    assert_eq!(told(|of, _| vec![started(of), started(of)]).await, "started an attempt twice");
    let twice: Lies = |of, _| {
        let failed = Ended { failure: Some(Bytes::from_static(b"?")), ..ended(of, 0) };
        vec![started(of), Said::Ended(failed.clone()), Said::Ended(failed)]
    };
    assert!(told(twice).await.starts_with("spoke of an attempt that it does not have"));
    let after: Lies = |of, _| {
        let failed = Ended { failure: Some(Bytes::from_static(b"?")), ..ended(of, 0) };
        vec![started(of), Said::Ended(failed), started(of)]
    };
    assert!(told(after).await.starts_with("spoke of an attempt that it does not have"));
}

#[tokio::test(start_paused = true)]
async fn the_attempts_of_others_are_none_of_its_business() {
    let lies: [Lies; 9] = [
        |of, _| vec![started(other(of))],
        |of, _| vec![started(AttemptOf { query: 7, ..of })],
        |of, _| vec![started(AttemptOf { number: 7, ..of })],
        |of, _| vec![Said::Ended(ended(other(of), 0))],
        |of, _| vec![Said::Emitted(kept(other(of), 0))],
        |of, _| vec![Said::More(More { of: other(of), rate: None })],
        |of, _| vec![waits(other(of), true)],
        |of, _| vec![Said::GivenBack(GivenBack { of: vec![other(of)] })],
        |of, _| vec![Said::Pull(Pull { of: other(of), ..Pull::default() })],
    ];
    for lie in lies {
        assert!(told(lie).await.starts_with("spoke of an attempt that it does not have"));
    }
}

#[tokio::test(start_paused = true)]
async fn waits_are_balanced() {
    let lies: [Lies; 4] = [
        |of, _| vec![waits(of, true)],
        |of, _| vec![started(of), waits(of, false)],
        |of, _| vec![started(of), waits(of, true), waits(of, true)],
        |of, _| vec![started(of), waits(of, true), waits(of, false), waits(of, false)],
    ];
    for lie in lies {
        assert_eq!(told(lie).await, "waited in a way that cannot be");
    }
}

#[tokio::test(start_paused = true)]
async fn units_are_those_that_it_was_given() {
    let kept_more: [Lies; 3] = [
        |of, _| vec![started(of), Said::Emitted(kept(of, u64::MAX))],
        |of, order| vec![started(of), Said::Emitted(kept(of, order.share.unwrap().leased + 1))],
        // Less than before.
        |of, order| {
            let leased = order.share.unwrap().leased;
            let partial = Bytes::from(format!("{}:0-{leased}", of.partition));
            let first = Emitted { partial, ..kept(of, leased) };
            vec![started(of), Said::Emitted(first), Said::Emitted(kept(of, leased - 1))]
        },
    ];
    for lie in kept_more {
        assert_eq!(told(lie).await, "kept units that it does not have");
    }
    let ended_wrong: [Lies; 4] = [
        |of, _| vec![started(of), Said::Ended(ended(of, u64::MAX))],
        |of, order| vec![started(of), Said::Ended(ended(of, order.share.unwrap().leased + 1))],
        |of, _| vec![started(of), Said::Ended(Ended { took: None, ..ended(of, 0) })],
        |of, _| vec![started(of), Said::Ended(Ended { partial: vec![0; 1025].into(), ..ended(of, 0) })],
    ];
    for lie in ended_wrong {
        assert_eq!(told(lie).await, "ended an attempt in a way that cannot be");
    }
    let emitted_wrong: [Lies; 2] = [
        |of, _| vec![Said::Emitted(kept(of, 0))],
        |of, _| vec![started(of), Said::Emitted(Emitted { partial: vec![0; 1025].into(), ..kept(of, 0) })],
    ];
    for lie in emitted_wrong {
        assert_eq!(told(lie).await, "emitted a partial that cannot be");
    }
}

#[tokio::test(start_paused = true)]
async fn attempts_are_given_back_before_they_begin() {
    let begun: Lies = |of, _| vec![started(of), Said::GivenBack(GivenBack { of: vec![of] })];
    assert_eq!(told(begun).await, "gave an attempt back that had begun");
    let twice: Lies = |of, _| vec![Said::GivenBack(GivenBack { of: vec![of, of] })];
    assert!(told(twice).await.starts_with("spoke of an attempt that it does not have"));
}

#[tokio::test(start_paused = true)]
async fn contents_and_code_are_those_that_it_needs() {
    let lies: [Lies; 3] = [
        |of, order| vec![Said::Pull(Pull { pull: 1, of, offset: 0, len: order.size + 1 })],
        |of, _| vec![Said::Pull(Pull { pull: 1, of, offset: u64::MAX, len: u64::MAX })],
        |of, _| vec![Said::Pull(Pull { pull: 1, of, offset: 0, len: MAX_PULL + 1 })],
    ];
    for lie in lies {
        assert_eq!(told(lie).await, "reads what is not in its content");
    }
    let many: Lies = |of, _| vec![Said::Pull(Pull { pull: 1, of, offset: 0, len: 0 }); 100_000];
    assert_eq!(told(many).await, "reads too much at once");
    let twice: Lies = |_, _| vec![Said::Need(Need { leaf: Bytes::from_static(b"leaf") }); 2];
    assert_eq!(told(twice).await, "asked twice for the code of a leaf");
}

#[tokio::test(start_paused = true)]
async fn harmless_lies_change_nothing() {
    ignored(|_, _| Vec::new()).await;
    ignored(|_, _| vec![Said::Need(Need { leaf: Bytes::from_static(b"secret") }); 100]).await;
    let refuse: Lies = |_, _| {
        let why = "x".repeat(10_000);
        let leaf = |number: u32| Bytes::copy_from_slice(&number.to_le_bytes());
        (0..20_000).map(|number| Said::Refuse(Refuse { leaf: leaf(number), why: why.clone() })).collect()
    };
    ignored(refuse).await;
    // Frames for workers.
    ignored(|of, _| vec![Said::Stop(Stop { query: of.query, is_late: true, ..Stop::default() })]).await;
    ignored(|_, _| vec![Said::Drain(Drain {}); 10]).await;
    // A wish for all units of an attempt that does not begin.
    ignored(|of, _| vec![Said::More(More { of, rate: Some(f64::NAN) }); 1000]).await;
}

#[tokio::test(start_paused = true)]
async fn shares_that_are_no_numbers_count_for_nothing() {
    for share in [f64::NAN, f64::INFINITY, -1.0, 1e300] {
        let root = Root::new();
        let mut liar = root.liar(2).await;
        root.honest(1).await;
        let answer = root.ask(patient(), integers(&COUNTS));
        for (of, _) in liar.attempts().await {
            liar.say(started(of));
            liar.say(Said::Emitted(Emitted { share: Some(share), partial: Bytes::from_static(b"!"), ..kept(of, 0) }));
        }
        sleep(ms(100)).await;
        liar.sender.close();
        assert_eq!(liar.lost().await, Lost::Closed);
        is_whole(answer, &COUNTS).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_introduction_comes_first_and_can_be_shown() {
    let join = |name: &str| Join { name: name.to_owned(), slots: u32::MAX, waiting: u32::MAX, ..Join::default() };
    let long = "x".repeat(1000);
    let wrong = [
        join("two\nlines"),
        join("\u{1b}[31mred"),
        join(&long),
        Join { version: long.clone(), ..join("a") },
        Join { engine: long.clone(), ..join("a") },
    ];
    let root = Root::new();
    for join in wrong {
        let liar = root.stranger();
        liar.say(Said::Join(join));
        assert_eq!(liar.lost().await, Lost::Protocol("introduced itself with names that are none".to_owned()));
    }
    let liar = root.stranger();
    liar.say(Said::Drain(Drain {}));
    assert_eq!(liar.lost().await, Lost::Protocol("did not introduce itself first".to_owned()));
    let silent = root.stranger();
    assert_eq!(silent.lost().await, Lost::Protocol("did not introduce itself".to_owned()));
    let twice = root.liar(1).await;
    twice.say(Said::Join(join("twice")));
    assert_eq!(twice.lost().await, Lost::Protocol("introduced itself twice".to_owned()));
    assert!(root.workers.list().is_empty());
    // Any number of slots is bounded.
    let liar = root.stranger();
    liar.say(Said::Join(join("large")));
    root.until(|root| root.has("large")).await;
    assert_eq!(root.workers.list()[0].slots, 4096);
}

#[tokio::test(start_paused = true)]
async fn bytes_that_are_no_frames_end_the_session() {
    let root = Root::new();
    for bytes in [&b"\xff"[..], b"\x82\x01\x05abc", &[0xb2, 0x01, 0x02, 0x0a, 0x05]] {
        let liar = root.liar(1).await;
        liar.sender.post(Bytes::copy_from_slice(bytes));
        let Lost::Protocol(why) = liar.lost().await else { panic!("it was dropped") };
        assert!(why.starts_with("sent what is no frame"), "{why}");
    }
    let liar = root.liar(1).await;
    liar.say(Said::GivenBack(GivenBack { of: vec![AttemptOf::default(); 1_000_000] }));
    assert_eq!(liar.lost().await, Lost::Protocol("sent a frame of too many fields".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_asks_and_does_not_read_is_dropped() {
    let root = Root::with(Settings { window: 64 << 10, frame: 64 << 10, ..Settings::default() });
    let mut liar = root.liar(2).await;
    root.honest(1).await;
    let answer = root.ask(patient(), integers(&COUNTS));
    let (of, _) = liar.attempts().await.remove(0);
    for _ in 0..100_000 {
        liar.say(Said::More(More { of, rate: Some(f64::NAN) }));
    }
    // Its own end keeps what it does not read within the window.
    let lost = soon(&mut liar.task).await.unwrap();
    assert_eq!(lost, Lost::Protocol("does not read what it asks for".to_owned()));
    is_whole(answer, &COUNTS).await;
}
