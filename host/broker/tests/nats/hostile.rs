//! Messages that no root and no worker would send.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;

use bytes::Bytes;
use frond_broker::nats::{RootSide, WorkerSide};
use frond_testkit::Nats;

use crate::common::{pair, pass, root, worker};

/// Every subject that a root or a worker hears, and some that nobody should use.
fn subjects(root: &RootSide, worker: &WorkerSide) -> Vec<String> {
    let root = root.id();
    let own = worker.name();
    let mut all = vec!["frond.test.roots".to_owned(), "frond.test.hello".to_owned()];
    for from in ["any.x", "any.0123456789ABCDEF", "any.01234567", "_.0123456789abcdef", "é.0123456789abcdef"] {
        all.push(format!("frond.test.r.{root}.{from}"));
    }
    all.push(format!("frond.test.r.{root}.{}.0123456789abcdef", "u".repeat(65)));
    for from in ["x", "0123456789abcdef", "0123456789ABCDEF", "é", &"r".repeat(1000)] {
        all.push(format!("frond.test.w.{}.{}.{from}", own.name, own.id));
    }
    all
}

#[tokio::test]
async fn garbage_on_every_subject_is_ignored() {
    let Some(server) = Nats::start() else { return };
    let (mut root, mut at_root, mut worker, mut at_worker) = pair(&server).await;
    let client = async_nats::connect(server.url()).await.unwrap();
    let control = b"\x09\x01\0\0\0\0\0\0\0\x10\x01\x1a\x03a\nb";
    let empty_name = b"\x09\x01\0\0\0\0\0\0\0\x10\x01";
    let other_version = b"\x09\x01\0\0\0\0\0\0\0\x10\x02\x1a\x01a";
    let mut payloads: Vec<Bytes> = vec![Bytes::new(), Bytes::from_static(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff")];
    payloads.extend([Bytes::from_static(control), Bytes::from_static(empty_name), Bytes::from_static(other_version)]);
    // A name that is too long, and a message that is too large.
    payloads.push([b"\x09\x01\0\0\0\0\0\0\0\x10\x01\x1a\xff\x07".as_slice(), &[b'a'; 1023]].concat().into());
    payloads.push(vec![b'a'; 1 << 20].into());
    for subject in subjects(&root, &worker) {
        for payload in &payloads {
            client.publish(subject.clone(), payload.clone()).await.unwrap();
        }
    }
    // Of the same names that are known, only what is too large is lost.
    let known = format!("frond.test.r.{}.{}.{}", root.id(), worker.name().name, worker.name().id);
    client.publish(known, vec![b'a'; 1 << 20].into()).await.unwrap();
    // From here the server has seen all of it: later messages come after it.
    client.flush().await.unwrap();
    let reply = client.new_inbox();
    let mut replies = client.subscribe(reply.clone()).await.unwrap();
    client.publish_with_reply("nobody.hears.this", reply, Bytes::new()).await.unwrap();
    futures_util::StreamExt::next(&mut replies).await.unwrap();
    at_worker.sender.transmit(Bytes::from_static(b"next")).await;
    assert_eq!(at_root.receiver.recv().await.unwrap(), "next");
    at_root.sender.transmit(Bytes::from_static(b"next")).await;
    assert_eq!(at_worker.receiver.recv().await.unwrap(), "next");
    assert!(is_idle(root.accept()).await && is_idle(worker.next_root()).await);
}

/// True if nobody new was heard.
async fn is_idle<T>(found: impl Future<Output = T>) -> bool {
    tokio::select! { biased; _ = found => false, () = std::future::ready(()) => true }
}

#[tokio::test]
async fn broken_headers_cost_a_connection_and_no_carrier() {
    let Some(server) = Nats::start() else { return };
    let (root, mut at_root, _worker, mut at_worker) = pair(&server).await;
    let mut attacker = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    attacker.write_all(b"CONNECT {\"verbose\":false,\"headers\":true}\r\n").unwrap();
    for header in [&b"XXXXX"[..], b"NATS/1.0\r\n\xff\xff: a\r\n\r\n", b"NATS/1.0 x\r\n\r\n", b"NATS/1.0\r\nx\r\n\r\n"] {
        let to = root.id();
        let length = header.len();
        write!(attacker, "HPUB frond.test.r.{to}.any.0123456789abcdef {length} {length}\r\n").unwrap();
        attacker.write_all(header).unwrap();
        attacker.write_all(b"\r\n").unwrap();
    }
    attacker.write_all(b"PING\r\n").unwrap();
    let answers = BufReader::new(attacker).lines().map_while(Result::ok);
    assert!(answers.into_iter().any(|line| line == "PONG"));
    pass(&at_worker, &mut at_root, "to the root").await;
    pass(&at_root, &mut at_worker, "to the worker").await;
}

#[tokio::test]
async fn invented_workers_wait_for_their_turn_within_bounds() {
    let Some(server) = Nats::start() else { return };
    let mut root = root(&server, "the root").await;
    let client = async_nats::connect(server.url()).await.unwrap();
    for worker in 0..1000 {
        let subject = format!("frond.test.r.{}.any.{worker:016x}", root.id());
        client.publish(subject, Bytes::from_static(b"hello")).await.unwrap();
    }
    // Those that found no room must send again, as honest workers do.
    let (_name, mut carrier) = root.accept().await.unwrap();
    assert_eq!(carrier.receiver.recv().await.unwrap(), "hello");
    let mut honest = worker(&server).await;
    let (_, at_worker) = honest.next_root().await.unwrap();
    loop {
        at_worker.sender.transmit(Bytes::from_static(b"honest")).await;
        let (name, _carrier) = root.accept().await.unwrap();
        if name == *honest.name() {
            return;
        }
    }
}
