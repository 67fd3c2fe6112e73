//! Roots and workers find each other, in any order and number.

use std::collections::BTreeSet;

use frond_testkit::Nats;

use crate::common::{introduce, options, pair, pass, root, worker};

#[tokio::test]
async fn a_worker_finds_a_root_that_was_there_before() {
    let Some(server) = Nats::start() else { return };
    let mut root = root(&server, "the root").await;
    let mut worker = worker(&server).await;
    let (name, mut at_worker) = worker.next_root().await.unwrap();
    assert_eq!((&*name.name, name.id), ("the root", root.id()));
    let (name, at_root) = introduce(&at_worker, &mut root, "hello").await;
    assert_eq!(name, *worker.name());
    assert_eq!(&*name.name, "any");
    pass(&at_root, &mut at_worker, "welcome").await;
}

#[tokio::test]
async fn a_worker_finds_a_root_that_comes_later() {
    let Some(server) = Nats::start() else { return };
    let mut worker = worker(&server).await;
    let mut root = root(&server, "the root").await;
    let (name, mut at_worker) = worker.next_root().await.unwrap();
    assert_eq!(name.to_string(), format!("the root-{}", root.id()));
    let (_, at_root) = introduce(&at_worker, &mut root, "hello").await;
    pass(&at_root, &mut at_worker, "welcome").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_roots_share_many_workers() {
    const ROOTS: usize = 3;
    const WORKERS: usize = 8;
    let Some(server) = Nats::start() else { return };
    let mut workers = Vec::new();
    for _ in 0..WORKERS {
        workers.push(worker(&server).await);
    }
    let mut roots = Vec::new();
    for at in 0..ROOTS {
        roots.push(root(&server, &format!("root {at}")).await);
    }
    for worker in &mut workers {
        let mut seen = BTreeSet::new();
        for _ in 0..ROOTS {
            let (name, mut at_worker) = worker.next_root().await.unwrap();
            let root = roots.iter_mut().find(|root| root.id() == name.id).unwrap();
            let text = format!("{} speaks", worker.name());
            let (peer, at_root) = introduce(&at_worker, root, &text).await;
            assert_eq!(peer, *worker.name());
            let answer = format!("{name} answers {peer}");
            pass(&at_root, &mut at_worker, &answer).await;
            seen.insert(name.id);
        }
        assert_eq!(seen.len(), ROOTS);
    }
}

#[tokio::test]
async fn a_dropped_carrier_makes_the_peer_new() {
    let Some(server) = Nats::start() else { return };
    let (mut root, at_root, mut worker, at_worker) = pair(&server).await;
    drop(at_root);
    let (name, at_root) = introduce(&at_worker, &mut root, "hello again").await;
    assert_eq!(name, *worker.name());
    drop(at_worker);
    let (name, mut at_worker) = worker.next_root().await.unwrap();
    assert_eq!(name.id, root.id());
    pass(&at_root, &mut at_worker, "welcome back").await;
}

#[tokio::test]
async fn carriers_end_with_their_side() {
    let Some(server) = Nats::start() else { return };
    let (root, mut at_root, worker, mut at_worker) = pair(&server).await;
    drop(root);
    assert_eq!(at_root.receiver.recv().await, None);
    drop(worker);
    assert_eq!(at_worker.receiver.recv().await, None);
}

#[tokio::test]
async fn pools_do_not_see_each_other() {
    let Some(server) = Nats::start() else { return };
    let mut other = options(&server);
    other.pool = "gpu".to_owned();
    let _other = frond_broker::nats::connect(&other).await.unwrap().root("other").await.unwrap();
    let mut worker = worker(&server).await;
    let own = root(&server, "own").await;
    let (name, _carrier) = worker.next_root().await.unwrap();
    assert_eq!(name.id, own.id());
}
