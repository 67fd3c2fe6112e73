//! Flow control: a slow reader holds up its peer, and memory stays bounded.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::timeout;

use super::{expect, frames, greet, pair, patient, soon};
use crate::session::{Lost, Settings};

#[tokio::test(start_paused = true)]
async fn a_slow_reader_holds_up_its_peer() {
    let settings = Settings { window: 1 << 20, ..patient() };
    let (mut one, mut other) = pair(&settings);
    greet(&mut one, &mut other).await;
    let frame = Bytes::from(vec![7; 50_000]);
    let mut sent = 0;
    // Nothing is read: the sender waits once the reader's window and its own are full.
    while timeout(Duration::from_secs(60), one.0.send(frame.clone())).await.is_ok() {
        sent += 1;
    }
    assert!((2 * settings.window / 51_000..=2 * settings.window / 50_000 + 1).contains(&sent), "{sent} frames");
    assert!(one.0.queued() <= settings.window + 51_000);
    for _ in 0..sent {
        assert_eq!(soon(other.1.recv()).await.unwrap(), frame);
    }
    soon(one.0.send(Bytes::new())).await.unwrap();
    expect(&mut other.1, &[Bytes::new()]).await;
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_pauses_gets_a_frame_larger_than_the_window() {
    let settings = Settings { window: 1 << 18, ..patient() };
    let (mut one, mut other) = pair(&settings);
    greet(&mut one, &mut other).await;
    let large = Bytes::from((0..5 << 20).map(|byte: u32| byte as u8).collect::<Vec<_>>());
    one.0.post(large.clone());
    one.0.post(Bytes::from_static(b"after"));
    tokio::time::sleep(Duration::from_secs(10)).await;
    // A read that is given up loses nothing.
    assert!(timeout(Duration::ZERO, other.1.recv()).await.is_err());
    expect(&mut other.1, &[large, Bytes::from_static(b"after")]).await;
    while one.0.queued() > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_is_gone_holds_up_nobody() {
    let settings = Settings { window: 1 << 18, ..patient() };
    let (mut one, mut other) = pair(&settings);
    greet(&mut one, &mut other).await;
    drop(other.1);
    for frame in frames(2, 60, 1 << 20) {
        soon(one.0.send(frame)).await.unwrap();
    }
    other.0.post(Bytes::from_static(b"still here"));
    expect(&mut one.1, &[Bytes::from_static(b"still here")]).await;
}

#[tokio::test(start_paused = true)]
async fn senders_that_wait_end_with_the_session() {
    let settings = Settings { window: 1 << 18, ..patient() };
    let (mut one, mut other) = pair(&settings);
    greet(&mut one, &mut other).await;
    let waiting = one.0.clone();
    let waiting = tokio::spawn(async move {
        loop {
            if let Err(lost) = waiting.send(Bytes::from(vec![0; 10_000])).await {
                return lost;
            }
        }
    });
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(!waiting.is_finished());
    other.0.close();
    assert_eq!(soon(waiting).await.unwrap(), Lost::Closed);
    assert_eq!(one.0.queued(), 0);
}

#[test]
fn frames_come_from_threads_without_a_runtime() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build().unwrap();
    let _within = runtime.enter();
    let (one, mut other) = pair(&patient());
    let threads: Vec<_> = (0..4_u8)
        .map(|thread| {
            let sender = one.0.clone();
            std::thread::spawn(move || (0..2_000_u32).for_each(|index| sender.post(message(thread, index))))
        })
        .collect();
    let mut next = [0_u32; 4];
    runtime.block_on(async {
        for _ in 0..8_000 {
            let frame = other.1.recv().await.unwrap();
            let thread = frame[0];
            assert_eq!(frame, message(thread, next[usize::from(thread)]));
            next[usize::from(thread)] += 1;
        }
    });
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

fn message(thread: u8, index: u32) -> Bytes {
    Bytes::from([&[thread][..], &index.to_le_bytes()].concat())
}

#[tokio::test(start_paused = true)]
async fn round_trips_are_measured() {
    let delay = Duration::from_millis(20)..Duration::from_millis(21);
    let with = crate::chaos::Chaos { delay, ..crate::chaos::Chaos::default() };
    let (mut one, mut other, _link) = super::chaotic_pair(&patient(), with);
    assert_eq!(one.0.round_trip(), None);
    greet(&mut one, &mut other).await;
    for _ in 0..50 {
        greet(&mut one, &mut other).await;
    }
    for sender in [one.0, other.0] {
        let measured = sender.round_trip().unwrap().as_millis();
        assert!((40..=46).contains(&measured), "{measured} ms");
    }
}
