//! Beginnings and ends of sessions.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::{Ends, by_hand, chaotic_pair, expect, frames, greet, pair, patient, soon};
use crate::carrier::{Carrier, in_process};
use crate::chaos::{Chaos, chaos};
use crate::session::wire::{Kind, Packet, VERSION};
use crate::session::{Lost, Settings, accept, open};

#[tokio::test(start_paused = true)]
async fn a_silent_peer_is_lost_after_the_announced_time_and_not_before() {
    for (is_busy, beat) in [(false, 1_000), (true, 100)] {
        for end in 0..2 {
            let (mut one, mut other, link) = chaotic_pair(&Settings::default(), Chaos::default());
            greet(&mut one, &mut other).await;
            [&one.0, &other.0][end].set_busy(is_busy);
            tokio::time::sleep(Duration::from_secs(100)).await;
            assert_eq!((one.0.lost(), other.0.lost()), (None, None));
            let cut = Instant::now();
            link.cut();
            for sender in [one.0, other.0] {
                assert_eq!(soon(sender.closed()).await, Lost::Silent);
                let took = cut.elapsed().as_millis();
                // The last packet came within one beat before the cut; a timer has 1 ms.
                assert!((2 * beat..=3 * beat + 2).contains(&took), "{took} ms");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_on_which_much_begins_to_depend_has_the_short_time() {
    let (mut one, mut other, link) = chaotic_pair(&Settings::default(), Chaos::default());
    greet(&mut one, &mut other).await;
    link.cut();
    let cut = Instant::now();
    one.0.set_busy(true);
    assert_eq!(soon(one.0.closed()).await, Lost::Silent);
    assert!((300..=302).contains(&cut.elapsed().as_millis()), "{:?}", cut.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_lost_session_frees_its_memory_and_leaves_its_carrier() {
    let (mut one, mut other, link) = chaotic_pair(&Settings::default(), Chaos::default());
    greet(&mut one, &mut other).await;
    link.cut();
    let sent = frames(4, 40, 1 << 20);
    for frame in &sent {
        one.0.post(frame.clone());
    }
    assert_eq!(soon(one.0.closed()).await, Lost::Silent);
    assert_eq!(soon(other.0.closed()).await, Lost::Silent);
    one.0.post(sent[1].clone());
    assert!(sent.iter().all(|frame| frame.is_empty() || frame.is_unique()));
    assert_eq!(one.0.queued(), 0);
    link.heal();
    let mut one = open(one.1.into_carrier().unwrap(), Settings::default());
    let mut other = other.1.accept_next().unwrap();
    greet(&mut one, &mut other).await;
}

#[tokio::test(start_paused = true)]
async fn nobody_answers_an_opener_and_nobody_opens() {
    let (worker, _root) = in_process();
    let started = Instant::now();
    let (sender, mut receiver) = open(worker, Settings::default());
    sender.post(Bytes::from_static(b"never"));
    assert_eq!(soon(receiver.recv()).await, Err(Lost::Silent));
    assert_eq!(sender.queued(), 0);
    let (_worker, root) = in_process();
    assert_eq!(soon(accept(root, Settings::default()).1.recv()).await, Err(Lost::Silent));
    assert_eq!(started.elapsed().as_secs(), 20);
}

#[tokio::test(start_paused = true)]
async fn closing_sends_what_is_queued_first() {
    let delay = Duration::from_millis(5)..Duration::from_millis(9);
    let with = Chaos { drop: 0.2, delay, ..Chaos::default() };
    let (one, mut other, _link) = chaotic_pair(&patient(), with);
    let sent = frames(5, 200, 100 << 10);
    for frame in &sent {
        one.0.post(frame.clone());
    }
    one.0.close();
    one.0.post(Bytes::from_static(b"too late"));
    assert_eq!(one.0.send(Bytes::from_static(b"too late")).await, Err(Lost::Closed));
    expect(&mut other.1, &sent).await;
    assert_eq!(soon(other.1.recv()).await, Err(Lost::Closed));
    assert_eq!(soon(one.0.closed()).await, Lost::Closed);
}

#[tokio::test(start_paused = true)]
async fn dropping_both_halves_closes() {
    let (mut one, mut other) = pair(&Settings::default());
    greet(&mut one, &mut other).await;
    let (sender, receiver) = one;
    drop(receiver);
    sender.send(Bytes::from_static(b"last")).await.unwrap();
    drop(sender);
    expect(&mut other.1, &[Bytes::from_static(b"last")]).await;
    assert_eq!(soon(other.1.recv()).await, Err(Lost::Closed));
}

#[tokio::test(start_paused = true)]
async fn closing_towards_a_dead_peer_ends_in_time() {
    let settings = Settings { missed: 1_000, ..Settings::default() };
    let (mut one, mut other, link) = chaotic_pair(&settings, Chaos::default());
    greet(&mut one, &mut other).await;
    link.cut();
    one.0.post(Bytes::from_static(b"never arrives"));
    let started = Instant::now();
    one.0.close();
    assert_eq!(soon(one.0.closed()).await, Lost::Closed);
    assert!((1_000..=1_002).contains(&started.elapsed().as_millis()));
}

#[tokio::test(start_paused = true)]
async fn a_session_that_nobody_opened_closes_at_once() {
    let started = Instant::now();
    let (worker, root) = in_process();
    let ends = [open(worker, Settings::default()), accept(root, Settings::default())];
    for (sender, _receiver) in &ends {
        sender.close();
        assert_eq!(soon(sender.closed()).await, Lost::Closed);
    }
    assert_eq!(started.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_broken_carrier_ends_the_session() {
    let (carrier, peer) = by_hand();
    let (sender, mut receiver) = open(carrier, Settings::default());
    drop(peer);
    assert_eq!(soon(receiver.recv()).await, Err(Lost::Broken));
    assert_eq!(sender.lost(), Some(Lost::Broken));
    assert_eq!(sender.send(Bytes::new()).await, Err(Lost::Broken));
    assert!(receiver.into_carrier().is_none());
}

#[test]
fn the_end_of_the_runtime_ends_the_session() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let (worker, _root) = in_process();
    let (sender, _receiver) = runtime.block_on(async { open(worker, Settings::default()) });
    sender.post(Bytes::from_static(b"queued"));
    drop(runtime);
    assert_eq!((sender.lost(), sender.queued()), (Some(Lost::Broken), 0));
}

/// Connection of one root to workers that come and go, as a broker's.
struct Broker {
    root: Carrier,
    /// Messages of the workers so far.
    seen: Arc<Mutex<Vec<Bytes>>>,
}

impl Broker {
    /// A broker, and the root's end.
    fn new() -> (Self, Carrier) {
        let (root, ours) = in_process();
        (Self { root: ours, seen: Arc::default() }, root)
    }

    /// Connects a worker, until the task is aborted.
    async fn connect(mut self, mut until: oneshot::Receiver<()>, connected: oneshot::Sender<Carrier>) -> Self {
        let (worker, mut ours) = in_process();
        connected.send(worker).unwrap();
        loop {
            tokio::select! {
                _ = &mut until => return self,
                Some(message) = ours.receiver.recv() => {
                    self.seen.lock().push(message.clone());
                    self.root.sender.transmit(message).await;
                }
                Some(message) = self.root.receiver.recv() => ours.sender.transmit(message).await,
            }
        }
    }
}

/// Worker that the test can kill: its session goes on, but nobody hears it.
struct Worker {
    ends: Ends,
    kill: oneshot::Sender<()>,
    broker: JoinHandle<Broker>,
}

impl Worker {
    async fn start(broker: Broker) -> Self {
        let (kill, until) = oneshot::channel();
        let (connected, carrier) = oneshot::channel();
        let broker = tokio::spawn(broker.connect(until, connected));
        Self { ends: open(carrier.await.unwrap(), Settings::default()), kill, broker }
    }

    async fn kill(self) -> Broker {
        self.kill.send(()).unwrap();
        self.broker.await.unwrap()
    }
}

#[tokio::test(start_paused = true)]
async fn a_restarted_opener_replaces_the_session() {
    let (broker, root) = Broker::new();
    let mut accepted = accept(root, Settings::default());
    let mut worker = Worker::start(broker).await;
    greet(&mut worker.ends, &mut accepted).await;
    for round in 0..3_u8 {
        // Packets for the dead worker reach the next one, which does not know them.
        let broker = worker.kill().await;
        accepted.0.post(Bytes::from_static(b"for nobody"));
        worker = Worker::start(broker).await;
        worker.ends.0.post(Bytes::from(vec![round]));
        assert_eq!(soon(accepted.1.recv()).await, Err(Lost::Replaced));
        accepted = accepted.1.accept_next().unwrap();
        expect(&mut accepted.1, &[Bytes::from(vec![round])]).await;
        greet(&mut worker.ends, &mut accepted).await;
    }
}

#[tokio::test(start_paused = true)]
async fn delayed_packets_of_an_earlier_session_replace_nothing() {
    let (broker, root) = Broker::new();
    let replay = broker.root.sender.clone();
    let seen = broker.seen.clone();
    let mut accepted = accept(root, Settings::default());
    let mut worker = Worker::start(broker).await;
    for _ in 0..3 {
        greet(&mut worker.ends, &mut accepted).await;
        worker = Worker::start(worker.kill().await).await;
        assert_eq!(soon(accepted.1.recv()).await, Err(Lost::Replaced));
        accepted = accepted.1.accept_next().unwrap();
        greet(&mut worker.ends, &mut accepted).await;
        let messages = seen.lock().clone();
        for message in messages {
            replay.transmit(message).await;
            // More than the time between two resets.
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    }
    greet(&mut worker.ends, &mut accepted).await;
}

#[tokio::test(start_paused = true)]
async fn a_frame_that_is_too_large_ends_the_session() {
    let settings = Settings { frame: 1_000, ..Settings::default() };
    let (mut one, mut other) = pair(&settings);
    greet(&mut one, &mut other).await;
    one.0.post(Bytes::from(vec![0; 1_000]));
    assert_eq!(soon(other.1.recv()).await.unwrap().len(), 1_000);
    one.0.post(Bytes::from(vec![0; 1_001]));
    assert_eq!(soon(one.0.closed()).await, Lost::TooLarge(1_001));
    assert_eq!(soon(other.1.recv()).await, Err(Lost::Unknown));
}

#[tokio::test(start_paused = true)]
async fn an_end_without_the_session_resets_it_at_once() {
    let (worker, root) = in_process();
    let mut one = open(worker, Settings::default());
    let mut other = accept(root, Settings::default());
    greet(&mut one, &mut other).await;
    let started = Instant::now();
    // The accepter is lost, and waits for another opener on the same carrier.
    other.0.post(Bytes::from(vec![0; Settings::default().frame + 1]));
    assert!(matches!(soon(other.1.recv()).await, Err(Lost::TooLarge(_))));
    let mut other = other.1.accept_next().unwrap();
    one.0.post(Bytes::from_static(b"whom?"));
    assert_eq!(soon(one.1.recv()).await, Err(Lost::Unknown));
    assert_eq!(started.elapsed(), Duration::ZERO);
    let mut again = open(one.1.into_carrier().unwrap(), Settings::default());
    greet(&mut again, &mut other).await;
}

/// Packets of another peer, as they come.
async fn next_packet(from: &mut Carrier) -> Packet {
    prost::Message::decode(soon(from.receiver.recv()).await.unwrap()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn another_version_is_refused_by_name() {
    let words = |theirs: u32, ours: u32| Lost::Protocol(format!("the peer speaks version {theirs}, this one {ours}"));
    let (carrier, mut peer) = by_hand();
    let (_sender, mut receiver) = accept(carrier, Settings::default());
    let opening = Packet { version: 2, ..Packet::new(5, 0, Kind::Open) };
    peer.sender.transmit(opening.to_message()).await;
    assert_eq!(soon(receiver.recv()).await, Err(words(2, VERSION)));
    let refusal = next_packet(&mut peer).await;
    assert_eq!((refusal.kind(), refusal.session, refusal.version), (Kind::Refuse, 5, VERSION));

    let (carrier, mut peer) = by_hand();
    let (_sender, mut receiver) = open(carrier, Settings::default());
    let opening = next_packet(&mut peer).await;
    assert_eq!((opening.kind(), opening.version), (Kind::Open, VERSION));
    let refusal = Packet { version: 7, ..Packet::new(opening.session, 0, Kind::Refuse) };
    peer.sender.transmit(refusal.to_message()).await;
    assert_eq!(soon(receiver.recv()).await, Err(words(7, VERSION)));
}

#[tokio::test(start_paused = true)]
async fn an_opener_of_another_version_does_not_end_a_live_session() {
    let (worker, root) = in_process();
    let (worker, _link) = chaos(worker, Chaos::default());
    let intruder = worker.sender.clone();
    let mut one = open(worker, Settings::default());
    let mut other = accept(root, Settings::default());
    greet(&mut one, &mut other).await;
    intruder.transmit(Packet { version: 2, ..Packet::new(5, 0, Kind::Open) }.to_message()).await;
    intruder.transmit(Packet { version: VERSION, ..Packet::new(6, 0, Kind::Open) }.to_message()).await;
    greet(&mut one, &mut other).await;
}
