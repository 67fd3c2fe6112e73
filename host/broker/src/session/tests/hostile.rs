//! Hostile peers: no packet panics, and memory is bounded.

use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;
use tokio::time::Instant;

use super::by_hand;
use crate::carrier::MAX_MESSAGE;
use crate::session::body::Body;
use crate::session::engine::Engine;
use crate::session::wire::{Kind, MAX_FLIGHT, PACKET_COST, Packet, VERSION};
use crate::session::{Lost, Settings, accept};

const SESSION: u64 = 5;

fn settings() -> Settings {
    Settings { window: 1 << 20, frame: 4 << 20, ..Settings::default() }
}

/// An accepter with a session that a hostile opener opened, and the accepter's number.
fn victim(now: Instant) -> (Engine, u64) {
    let mut engine = Engine::accepter(settings(), now);
    let opening = Packet { version: VERSION, ..Packet::new(SESSION, 0, Kind::Open) };
    engine.receive(opening.to_message(), now);
    let welcome: Packet = prost::Message::decode(engine.transmit(now).unwrap()).unwrap();
    assert_eq!((welcome.kind(), welcome.session), (Kind::Welcome, SESSION));
    engine.receive(
        Packet { number: 1, limit: 1 << 20, ..Packet::new(SESSION, welcome.answer, Kind::Live) }.to_message(),
        now,
    );
    assert_eq!(engine.lost(), None);
    (engine, welcome.answer)
}

/// A packet with a body, of a hostile opener.
fn with_body(answer: u64, seq: u64, body: Body) -> Packet {
    let mut packet = Packet { number: seq, seq, ..Packet::new(SESSION, answer, Kind::Live) };
    match body {
        Body::Packed(packed) => packet.packed = packed,
        Body::Part(part, of) => {
            packet.part = part;
            packet.of = of;
        }
    }
    packet
}

fn part(length: usize, of: u64) -> Body {
    Body::Part(Bytes::from(vec![1; length]), of)
}

/// Reason for which the victim gives up, if these bodies come.
fn fate(bodies: Vec<(u64, Body)>) -> Option<Lost> {
    let now = Instant::now();
    let (mut engine, answer) = victim(now);
    for (seq, body) in bodies {
        engine.receive(with_body(answer, seq, body).to_message(), now);
    }
    let lost = engine.lost().cloned();
    let packet: Packet = prost::Message::decode(engine.transmit(now).unwrap()).unwrap();
    assert_eq!(packet.kind() == Kind::Reset, lost.is_some(), "a peer that is given up is told");
    lost
}

#[tokio::test(start_paused = true)]
async fn breaches_of_the_protocol_are_named() {
    let packed = |bytes: &'static [u8]| Body::Packed(Bytes::from_static(bytes));
    let breaches = [
        (vec![(1, part(1, 1 << 40))], "announced a frame of 1099511627776 bytes"),
        (vec![(1, part(1, (4 << 20) + 1))], "announced a frame"),
        (vec![(1, part(0, 9))], "part that does not belong"),
        (vec![(1, part(10, 9))], "part that does not belong"),
        (vec![(1, part(5, 9)), (2, part(5, 9))], "part that does not belong"),
        (vec![(1, part(5, 9)), (2, part(4, 10))], "part that does not belong"),
        (vec![(1, part(5, 9)), (2, packed(&[0]))], "between the parts"),
        (vec![(1, packed(&[]))], "not whole"),
        (vec![(1, packed(&[9, 1]))], "not whole"),
        (vec![(u64::MAX, packed(&[0]))], "while 0 was the last"),
        (vec![(MAX_FLIGHT as u64 + 1, packed(&[0]))], "while 0 was the last"),
        ((2..9).map(|seq| (seq, part(200_000, 300_000))).collect(), "more bytes than it may"),
        ((1..9).map(|seq| (seq, part(200_000, 2_000_000))).collect(), "more bytes than it may"),
    ];
    for (bodies, words) in breaches {
        let Some(Lost::Protocol(wrong)) = fate(bodies) else { panic!("{words}") };
        assert!(wrong.contains(words), "{wrong}");
    }
    assert_eq!(fate(vec![(1, part(5, 9)), (2, part(4, 9)), (MAX_FLIGHT as u64 + 2, packed(&[0]))]), None);
    assert_eq!(fate(vec![(2, part(4, 9)), (1, part(5, 9)), (1, packed(&[])), (2, packed(&[]))]), None);
}

#[tokio::test(start_paused = true)]
async fn a_small_body_in_a_large_message_keeps_none_of_it() {
    let now = Instant::now();
    let (mut engine, answer) = victim(now);
    let mut message = with_body(answer, 1, Body::Packed(Bytes::from_static(&[1, 7]))).to_message().to_vec();
    // A field that nobody knows: tag 100, length-delimited.
    let padding = 300_000;
    prost::encoding::encode_key(100, prost::encoding::WireType::LengthDelimited, &mut message);
    prost::encoding::encode_varint(padding, &mut message);
    message.resize(message.len() + padding as usize, 0);
    let message = Bytes::from(message);
    let whole = message.as_ptr_range();
    engine.receive(message.clone(), now);
    let bodies: Vec<Body> = engine.ready().collect();
    assert_eq!(bodies, [Body::Packed(Bytes::from_static(&[1, 7]))]);
    assert!(!whole.contains(&bodies[0].bytes().as_ptr()));
}

#[tokio::test(start_paused = true)]
async fn strangers_get_few_resets_and_welcomes_cost_nothing() {
    let now = Instant::now();
    let (mut engine, _) = victim(now);
    while engine.transmit(now).is_some() {}
    let mut resets = 0;
    for stranger in 1_000..2_000 {
        engine.receive(Packet { number: 1, ..Packet::new(stranger, 9, Kind::Live) }.to_message(), now);
        engine.receive(Packet::new(stranger, 9, Kind::Reset).to_message(), now);
        engine.receive(Packet::new(SESSION, 9, Kind::Goodbye).to_message(), now);
        while let Some(message) = engine.transmit(now) {
            let packet: Packet = prost::Message::decode(message).unwrap();
            resets += usize::from(packet.kind() == Kind::Reset);
        }
    }
    assert_eq!((resets, engine.lost()), (1, None));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_promises_nothing_is_found_silent_all_the_same() {
    let (carrier, mut peer) = by_hand();
    let (sender, _receiver) = accept(carrier, Settings::default());
    peer.sender.transmit(Packet { version: VERSION, ..Packet::new(SESSION, 0, Kind::Open) }.to_message()).await;
    let welcome: Packet = prost::Message::decode(peer.receiver.recv().await.unwrap()).unwrap();
    let live = Packet { number: 1, next: u32::MAX, ..Packet::new(SESSION, welcome.answer, Kind::Live) };
    peer.sender.transmit(live.to_message()).await;
    let reading = tokio::spawn(async move { while peer.receiver.recv().await.is_some() {} });
    let lost = tokio::time::timeout(Duration::from_secs(181), sender.closed()).await;
    assert_eq!(lost, Ok(Lost::Silent));
    drop(sender);
    reading.abort();
}

prop_compose! {
    /// Any packet, near to what could be valid.
    fn any_packet()(
        ids in (prop::sample::select(vec![0, SESSION, 6]), prop::option::weighted(0.9, Just(())), 0..8_i32),
        version in 0..3_u32,
        numbers in (prop::num::u64::ANY, 0..20_u64, prop::num::u64::ANY, 0..20_u64, prop::bool::weighted(0.1)),
        early in prop::collection::vec(any::<u8>(), 0..40),
        limit in any::<u64>(),
        seq in prop_oneof![0..20_u64, 200..600_u64, any::<u64>()],
        packed in prop::collection::vec(0..4_u8, 0..200),
        part in 0..300_000_usize,
        of in prop_oneof![4 => Just(0), 2 => 0..1_000_000_u64, 1 => any::<u64>()],
        next in any::<u32>(),
        flags in (any::<bool>(), any::<bool>()),
    ) -> (bool, Packet) {
        let (session, is_own, kind) = ids;
        let (wild_ack, ack, wild_number, number, is_wild) = numbers;
        let packet = Packet {
            session, kind, version, next,
            is_busy: flags.0,
            asks: flags.1,
            number: if is_wild { wild_number } else { number },
            newest: if is_wild { wild_ack } else { ack / 4 },
            ack: if is_wild { wild_ack } else { ack / 4 },
            early: if is_wild { early.into() } else { Bytes::new() },
            limit, seq, of,
            packed: packed.into(),
            part: if of > 0 { vec![0; part].into() } else { Bytes::new() },
            ..Packet::default()
        };
        (is_own.is_some(), packet)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, rng_seed: prop::test_runner::RngSeed::Fixed(8), ..ProptestConfig::default() })]

    #[test]
    fn no_packets_panic_or_take_more_than_the_window(packets in prop::collection::vec(any_packet(), 1..60), pauses: u64) {
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(async {
            let mut now = Instant::now();
            let (mut engine, answer) = victim(now);
            engine.take(&mut super::frames(pauses, 40, 60_000).into());
            let mut unread = 0;
            for (index, (is_own, mut packet)) in packets.into_iter().enumerate() {
                packet.answer = if is_own { answer } else { index as u64 };
                engine.receive(packet.to_message(), now);
                unread += engine.ready().map(|body| body.charge()).sum::<u64>();
                assert!(unread <= settings().window as u64 + PACKET_COST);
                now += Duration::from_millis(pauses.rotate_left(index as u32) & 63);
                engine.tick(now);
                let mut sent = 0;
                while let Some(message) = engine.transmit(now) {
                    assert!(message.len() <= MAX_MESSAGE);
                    sent += 1;
                    assert!(sent <= MAX_FLIGHT + 2, "it stops");
                }
                engine.deadline(true);
            }
        });
    }

    #[test]
    fn no_bytes_panic(messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..50)) {
        let now = Instant::now();
        let (mut engine, _) = victim(now);
        for message in messages {
            engine.receive(message.into(), now);
        }
        assert_eq!(engine.lost(), None);
    }
}
