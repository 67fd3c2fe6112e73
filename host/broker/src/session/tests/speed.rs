//! Throughput, for people: nothing is asserted.

use bytes::Bytes;
use tokio::time::Instant;

use super::pair;
use crate::session::Settings;

/// Prints µs per frame and MiB/s, over a carrier within this process: with two threads, and with
/// one, which shows what all the work takes.
#[test]
#[ignore = "it measures: run it with `--no-capture`, built for release"]
fn frames_per_second() {
    let two = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap();
    let one = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    for (threads, runtime) in [(2, two), (1, one)] {
        for (size, count) in [(64, 2_000_000), (1 << 10, 500_000), (64 << 10, 20_000), (4 << 20, 400)] {
            let each = runtime.block_on(stream(size, count)) * 1e6 / f64::from(count);
            let rate = size as f64 / each * 1e6 / f64::from(1 << 20);
            println!("{threads} threads, {size:>8} bytes: {each:.3} µs a frame, {rate:.0} MiB/s");
        }
        let each = runtime.block_on(ping(50_000)) * 1e6 / 50_000.0;
        println!("{threads} threads, there and back: {each:.1} µs");
    }
}

/// Seconds for so many frames in one direction.
async fn stream(size: usize, count: u32) -> f64 {
    let (one, mut other) = pair(&Settings::default());
    let frame = Bytes::from(vec![1; size]);
    one.0.send(frame.clone()).await.unwrap();
    other.1.recv().await.unwrap();
    let start = Instant::now();
    let sender = one.0.clone();
    let posting = tokio::spawn(async move {
        for _ in 0..count {
            sender.send(frame.clone()).await.unwrap();
        }
    });
    for _ in 0..count {
        other.1.recv().await.unwrap();
    }
    posting.await.unwrap();
    start.elapsed().as_secs_f64()
}

/// Seconds for so many frames that go there and back.
async fn ping(count: u32) -> f64 {
    let (mut one, mut other) = pair(&Settings::default());
    let start = Instant::now();
    for _ in 0..count {
        one.0.post(Bytes::from_static(b"ping"));
        other.0.post(other.1.recv().await.unwrap());
        one.1.recv().await.unwrap();
    }
    start.elapsed().as_secs_f64()
}
