//! Throughput, for people: nothing is asserted.

use bytes::Bytes;

use super::pair;
use crate::session::Settings;

/// Prints µs per frame and MiB/s, over a carrier within this process.
#[test]
#[ignore = "it measures: run it with `--no-capture`, built for release"]
fn frames_per_second() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap();
    for (size, count) in [(64, 2_000_000_usize), (1 << 10, 500_000), (64 << 10, 20_000), (4 << 20, 400)] {
        let frame = Bytes::from(vec![1; size]);
        let (posted, took) = runtime.block_on(async {
            let (one, mut other) = pair(&Settings::default());
            one.0.send(frame.clone()).await.unwrap();
            other.1.recv().await.unwrap();
            let start = tokio::time::Instant::now();
            let sender = one.0.clone();
            let posting = tokio::spawn(async move {
                for _ in 0..count {
                    sender.send(frame.clone()).await.unwrap();
                }
                start.elapsed()
            });
            for _ in 0..count {
                other.1.recv().await.unwrap();
            }
            (posting.await.unwrap(), start.elapsed())
        });
        let each = |took: std::time::Duration| took.as_secs_f64() * 1e6 / count as f64;
        let rate = (size * count) as f64 / took.as_secs_f64() / f64::from(1 << 20);
        println!("{size:>8} bytes: {:.3} µs a frame, sent after {:.3}; {rate:.0} MiB/s", each(took), each(posted));
    }
    let took = runtime.block_on(async {
        let (one, other) = pair(&Settings::default());
        let (mut one, mut other) = (one, other);
        let start = tokio::time::Instant::now();
        for _ in 0..20_000 {
            one.0.post(Bytes::from_static(b"ping"));
            other.0.post(other.1.recv().await.unwrap());
            one.1.recv().await.unwrap();
        }
        start.elapsed()
    });
    println!("there and back: {:.1} µs", took.as_secs_f64() * 1e6 / 20_000.0);
}
