//! Roots, workers and exchanges of messages that the tests share.

use std::time::Duration;

use bytes::Bytes;
use frond_broker::carrier::Carrier;
use frond_broker::nats::{Options, PeerName, RootSide, WorkerSide, connect};
use frond_testkit::Nats;
use tokio::time::timeout;

/// Time after which a lost message is sent again.
const AGAIN: Duration = Duration::from_millis(100);

pub(crate) fn options(server: &Nats) -> Options {
    Options { url: server.url(), pool: "test".to_owned(), ..Options::default() }
}

pub(crate) async fn root(server: &Nats, name: &str) -> RootSide {
    connect(&options(server)).await.unwrap().root(name).await.unwrap()
}

pub(crate) async fn worker(server: &Nats) -> WorkerSide {
    connect(&options(server)).await.unwrap().worker("a worker").await.unwrap()
}

/// Sends a text until the other end has it. Texts from before may arrive meanwhile.
pub(crate) async fn pass(from: &Carrier, to: &mut Carrier, text: &str) {
    loop {
        from.sender.transmit(Bytes::copy_from_slice(text.as_bytes())).await;
        while let Ok(message) = timeout(AGAIN, to.receiver.recv()).await {
            if message.unwrap() == text {
                return;
            }
        }
    }
}

/// Sends a text from a worker until its root accepts it as a new one.
pub(crate) async fn introduce(carrier: &Carrier, root: &mut RootSide, text: &str) -> (PeerName, Carrier) {
    loop {
        carrier.sender.transmit(Bytes::copy_from_slice(text.as_bytes())).await;
        if let Ok(accepted) = timeout(AGAIN, root.accept()).await {
            let (name, mut accepted) = accepted.unwrap();
            assert_eq!(accepted.receiver.recv().await.unwrap(), text);
            return (name, accepted);
        }
    }
}

/// Connects a root and a worker: returns both with their carriers.
pub(crate) async fn pair(server: &Nats) -> (RootSide, Carrier, WorkerSide, Carrier) {
    let mut root = root(server, "the root").await;
    let mut worker = worker(server).await;
    let (_, at_worker) = worker.next_root().await.unwrap();
    let (_, at_root) = introduce(&at_worker, &mut root, "hello").await;
    (root, at_root, worker, at_worker)
}
