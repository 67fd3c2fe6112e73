//! Measurement of carriers over a server on this machine.

use std::time::Instant;

use bytes::Bytes;
use frond_testkit::Nats;

use crate::common::pair;

/// Messages that are on their way at once: a carrier with more unread ones loses them.
const WINDOW: u32 = 128;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement: run it alone, with --nocapture"]
async fn messages_a_second() {
    const MESSAGES: u32 = 200_000;
    let Some(server) = Nats::start() else { return };
    let (_root, mut at_root, _worker, mut at_worker) = pair(&server).await;
    for size in [64, 1 << 10, 16 << 10, 64 << 10] {
        let message = Bytes::from(vec![7; size]);
        let count = MESSAGES / u32::try_from(1 + size / 4096).unwrap();
        let begin = Instant::now();
        let mut sent = 0;
        for received in 0..count {
            while sent < count && sent < received + WINDOW {
                at_worker.sender.transmit(message.clone()).await;
                sent += 1;
            }
            assert_eq!(at_root.receiver.recv().await.unwrap().len(), size);
        }
        let each = begin.elapsed() / count;
        println!("{size} bytes: {each:?} a message, {:.0} messages/s", 1.0 / each.as_secs_f64());
    }
    let rounds = 5_000;
    let begin = Instant::now();
    let message = Bytes::from(vec![7; 1 << 10]);
    for _ in 0..rounds {
        at_worker.sender.transmit(message.clone()).await;
        at_root.receiver.recv().await.unwrap();
        at_root.sender.transmit(message.clone()).await;
        at_worker.receiver.recv().await.unwrap();
    }
    println!("1 KiB there and back: {:?}", begin.elapsed() / rounds);
}
