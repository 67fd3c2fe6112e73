//! Parts of a session by themselves: packing, loss detection, the clock of beats.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::frames;
use crate::session::body::{Body, Frames, is_whole, split};
use crate::session::engine::Engine;
use crate::session::outgoing::{Acknowledgement, FRAME_COST, Outgoing};
use crate::session::round_trip::RoundTrip;
use crate::session::wire::{Kind, Packet, VERSION};
use crate::session::{Lost, Settings};

fn outgoing(frames: impl IntoIterator<Item = Bytes>) -> Outgoing {
    let mut outgoing = Outgoing::new(8 << 20, Instant::now());
    outgoing.open(u64::MAX);
    outgoing.take(&mut frames.into_iter().collect::<VecDeque<_>>());
    outgoing
}

fn small(count: usize) -> Vec<Bytes> {
    vec![Bytes::from_static(b"frame"); count]
}

#[tokio::test(start_paused = true)]
async fn small_frames_are_packed_and_large_ones_cut() {
    let sent: Vec<Bytes> = [small(130), vec![Bytes::from(vec![0; 600 << 10])], small(1)].concat();
    let mut outgoing = outgoing(sent.clone());
    let mut bodies = Vec::new();
    while let Some((_, body)) = outgoing.next(bodies.len() as u64 + 1, Instant::now()) {
        bodies.push(body);
    }
    let lengths: Vec<usize> = bodies.iter().map(|body| body.bytes().len()).collect();
    assert_eq!(lengths, [64 * 6, 64 * 6, 2 * 6, 256 << 10, 256 << 10, 88 << 10, 6]);
    let mut frames = Frames::default();
    let mut got = Vec::new();
    for body in bodies {
        got.extend(frames.take(body));
        got.extend(std::iter::from_fn(|| frames.next()));
    }
    assert!(got == sent);
    assert!(!outgoing.is_done() && outgoing.wants_frames());
    let all = Acknowledgement { ack: 7, early: &[], newest: 7, limit: 0 };
    let progress = outgoing.acknowledge(&all, 7, Instant::now()).unwrap();
    assert_eq!(progress.freed, sent.iter().map(|frame| frame.len() + FRAME_COST).sum::<usize>());
    assert!(outgoing.is_done());
}

#[tokio::test(start_paused = true)]
async fn only_what_is_missing_is_sent_again() {
    let now = Instant::now();
    let mut outgoing = outgoing(small(64 * 10));
    let mut number = 0;
    let mut send = |outgoing: &mut Outgoing| {
        number += 1;
        outgoing.next(number, now).map(|(seq, _)| seq)
    };
    assert_eq!(std::iter::from_fn(|| send(&mut outgoing)).take(10).collect::<Vec<_>>(), (1..=10).collect::<Vec<_>>());
    // 3 and 5 are missing; 9 and 10 are under way.
    let by = Acknowledgement { ack: 2, early: &[0b11_1010], newest: 8, limit: 0 };
    let progress = outgoing.acknowledge(&by, 10, now).unwrap();
    assert_eq!(progress.freed, 6 * 64 * (5 + FRAME_COST));
    assert_eq!([send(&mut outgoing), send(&mut outgoing), send(&mut outgoing)], [Some(3), Some(5), None]);
    // The repetition of 3, transmission 11, is lost, too; that of 5, 12, arrives.
    let by = Acknowledgement { ack: 2, early: &[0b1111_1110], newest: 14, limit: 0 };
    outgoing.acknowledge(&by, 14, now).unwrap();
    assert_eq!([send(&mut outgoing), send(&mut outgoing)], [Some(3), None]);
    // An old acknowledgement changes nothing.
    let by = Acknowledgement { ack: 1, early: &[], newest: 2, limit: 0 };
    assert_eq!(outgoing.acknowledge(&by, 16, now).unwrap().freed, 0);
    let by = Acknowledgement { ack: 10, early: &[], newest: 15, limit: 0 };
    outgoing.acknowledge(&by, 16, now).unwrap();
    assert!(outgoing.is_done());
}

#[tokio::test(start_paused = true)]
async fn acknowledgements_of_the_future_are_refused() {
    let now = Instant::now();
    for (ack, early, newest) in
        [(2, vec![], 1), (u64::MAX, vec![], 1), (0, vec![2], 1), (0, vec![0, 0, 0, 1], 1), (1, vec![], 2)]
    {
        let mut outgoing = outgoing(small(1));
        outgoing.next(1, now).unwrap();
        let by = Acknowledgement { ack, early: &early, newest, limit: 0 };
        outgoing.acknowledge(&by, 1, now).unwrap_err();
    }
}

#[test]
fn packed_frames_are_checked() {
    assert!(is_whole(&[0], 10) && is_whole(&[0, 0, 2, 7, 7], 10) && is_whole(&[3, 1, 1, 1], 3));
    let broken: [&[u8]; 6] = [&[], &[1], &[3, 1, 1], &[0, 0x80], &[0xff; 12], &[3, 1, 1, 1]];
    for packed in broken {
        assert!(!is_whole(packed, 2), "{packed:?}");
        let mut packed = Bytes::copy_from_slice(packed);
        // Whoever splits them all the same gets an end.
        while split(&mut packed).is_some() {}
    }
}

#[test]
fn memory_of_a_large_frame_grows_with_its_parts() {
    let mut frames = Frames::default();
    assert_eq!(frames.take(Body::Part(Bytes::from_static(b"a"), 1 << 40)), None);
    let sent = super::frames(9, 20, 100_000).concat();
    let mut frames = Frames::default();
    let mut whole = None;
    for part in sent.chunks(70_000) {
        assert_eq!(whole, None);
        whole = frames.take(Body::Part(Bytes::copy_from_slice(part), sent.len() as u64));
    }
    assert!(whole.unwrap() == sent);
}

#[test]
fn timeouts_follow_the_round_trip() {
    let ms = Duration::from_millis;
    let mut time = RoundTrip::default();
    assert_eq!([time.timeout(0), time.timeout(1), time.timeout(99)], [ms(100), ms(200), ms(1_000)]);
    time.measured(Duration::from_micros(100));
    assert_eq!([time.timeout(0), time.timeout(3)], [ms(30), ms(240)]);
    for _ in 0..100 {
        time.measured(ms(200));
    }
    assert!((ms(199)..=ms(200)).contains(&time.smoothed().unwrap()));
    assert!((ms(200)..ms(210)).contains(&time.timeout(0)), "{:?}", time.timeout(0));
}

#[tokio::test(start_paused = true)]
async fn an_end_that_did_not_run_blames_nobody() {
    let mut now = Instant::now();
    let mut engine = Engine::accepter(Settings::default(), now);
    // A stranger that keeps still: the first packets of `hostile`.
    let opening = Packet { version: VERSION, ..Packet::new(5, 0, Kind::Open) };
    engine.receive(opening.to_message(), now);
    let welcome: Packet = prost::Message::decode(engine.transmit(now).unwrap()).unwrap();
    let live = Packet { number: 1, next: 1_000, is_busy: true, ..Packet::new(5, welcome.answer, Kind::Live) };
    engine.receive(live.to_message(), now);
    for _ in 0..5 {
        while engine.transmit(now).is_some() {}
        engine.deadline(true);
        now += Duration::from_secs(60);
        engine.tick(now);
        assert_eq!(engine.lost(), None);
    }
    let stalled = now;
    while engine.lost().is_none() {
        while engine.transmit(now).is_some() {}
        now = engine.deadline(true);
        engine.tick(now);
    }
    assert_eq!(engine.lost(), Some(&Lost::Silent));
    // Only the time until each stall counts: what the engine meant to wait.
    assert!((2_500..=3_000).contains(&(now - stalled).as_millis()), "{:?}", now - stalled);
}

#[test]
fn random_frames_are_the_same_each_time() {
    assert!(frames(3, 50, 10_000) == frames(3, 50, 10_000));
}
