//! The server goes away and returns: carriers go on.

use bytes::Bytes;
use frond_testkit::Nats;

use crate::common::{introduce, pair, pass};

#[tokio::test]
async fn carriers_outlive_a_killed_server() {
    let Some(mut server) = Nats::start() else { return };
    let (_root, mut at_root, _worker, mut at_worker) = pair(&server).await;
    for round in 0..3 {
        server.kill9();
        // Lost, but nothing waits for the server.
        for _ in 0..1000 {
            at_worker.sender.transmit(Bytes::from_static(b"lost")).await;
        }
        server.start_again();
        pass(&at_worker, &mut at_root, &format!("{round} to the root")).await;
        pass(&at_root, &mut at_worker, &format!("{round} to the worker")).await;
    }
}

#[tokio::test]
async fn carriers_outlive_a_server_that_stops_in_order() {
    let Some(mut server) = Nats::start() else { return };
    let (_root, mut at_root, _worker, mut at_worker) = pair(&server).await;
    server.stop();
    server.start_again();
    pass(&at_worker, &mut at_root, "to the root").await;
    pass(&at_root, &mut at_worker, "to the worker").await;
}

#[tokio::test]
async fn carriers_outlive_a_pause() {
    let Some(server) = Nats::start() else { return };
    let (_root, mut at_root, _worker, mut at_worker) = pair(&server).await;
    server.pause();
    // More than the client and the sockets hold: each of the last ones is given up.
    let large = Bytes::from(vec![7; 512 << 10]);
    for _ in 0..200 {
        let sent = at_worker.sender.transmit(large.clone());
        if tokio::time::timeout(std::time::Duration::from_millis(500), sent).await.is_err() {
            break;
        }
    }
    server.proceed();
    pass(&at_worker, &mut at_root, "to the root").await;
    pass(&at_root, &mut at_worker, "to the worker").await;
}

#[tokio::test]
async fn a_root_that_returns_is_found_after_an_outage() {
    let Some(mut server) = Nats::start() else { return };
    let (root, _at_root, mut worker, _at_worker) = pair(&server).await;
    drop(root);
    server.kill9();
    server.start_again();
    let mut root = crate::common::root(&server, "the next root").await;
    let (name, at_worker) = worker.next_root().await.unwrap();
    assert_eq!(name.id, root.id());
    introduce(&at_worker, &mut root, "hello").await;
}
