//! Tests of the bounds of peers: number, share of a user, unread bytes.

use super::*;

fn user(name: &str) -> Arc<str> {
    name.into()
}

fn message(size: usize) -> Bytes {
    Bytes::from(vec![7; size])
}

/// Messages that wait in a receiver.
fn drain(receiver: &mut mpsc::Receiver<Bytes>) -> usize {
    std::iter::from_fn(|| receiver.try_recv().ok()).count()
}

#[test]
fn the_least_recently_heard_is_forgotten() {
    let mut peers = Peers::default();
    let user = user(ANY);
    let mut receivers: Vec<_> = (0..MAX_PEERS).map(|at| peers.add(&at.to_string(), &user).unwrap()).collect();
    peers.tick();
    // All but the peer 3 are heard again.
    for at in (0..MAX_PEERS).filter(|at| *at != 3) {
        peers.deliver(&at.to_string(), message(1));
    }
    let _next = peers.add("next", &user).unwrap();
    assert!(!peers.knows("3"));
    assert_eq!(receivers[3].try_recv(), Err(mpsc::error::TryRecvError::Disconnected));
    // Within one time, the order of arrival decides.
    let _another = peers.add("another", &user).unwrap();
    assert!(!peers.knows("0") && peers.knows("1") && peers.knows("next"));
    assert_eq!((peers.all.len(), peers.by_age.len()), (MAX_PEERS, MAX_PEERS));
    assert_eq!(drain(&mut receivers[0]), 1);
}

#[test]
fn a_user_has_its_share() {
    let mut peers = Peers::default();
    let greedy = user("greedy");
    let other = user("other");
    let mut kept = Vec::new();
    for at in 0..MAX_OF_USER {
        kept.push(peers.add(&at.to_string(), &greedy).unwrap());
    }
    assert!(peers.add("more", &greedy).is_none());
    assert!(peers.add("other", &other).is_some());
    // A peer that is added again replaces itself.
    assert!(peers.add("0", &greedy).is_some());
    // A dropped carrier makes room.
    kept.truncate(MAX_OF_USER - 10);
    peers.tick();
    assert!(peers.add("more", &greedy).is_some());
}

#[test]
fn a_dropped_carrier_is_forgotten() {
    let mut peers = Peers::default();
    let receiver = peers.add("a", &user(ANY)).unwrap();
    assert!(peers.knows("a"));
    drop(receiver);
    assert!(!peers.knows("a"));
    peers.deliver("a", message(1));
    peers.tick();
    assert!(peers.all.is_empty() && peers.by_age.is_empty() && peers.of_users.is_empty());
}

#[test]
fn unread_messages_of_a_peer_are_bounded() {
    let mut peers = Peers::default();
    let mut receiver = peers.add("a", &user(ANY)).unwrap();
    for _ in 0..1000 {
        peers.deliver("a", message(1));
    }
    assert_eq!(drain(&mut receiver), crate::carrier::UNREAD);
    for _ in 0..1000 {
        peers.deliver("a", message(MAX_MESSAGE));
    }
    // Reading makes room.
    for _ in 0..2 {
        assert_eq!(drain(&mut receiver), MAX_UNREAD / MAX_MESSAGE);
        for _ in 0..1000 {
            peers.deliver("a", message(MAX_MESSAGE));
        }
    }
    peers.deliver("b", message(1));
    peers.deliver("a", message(MAX_MESSAGE + 1));
    assert_eq!(drain(&mut receiver), MAX_UNREAD / MAX_MESSAGE);
}

#[test]
fn unread_messages_of_all_peers_are_bounded() {
    let mut peers = Peers::default();
    let user = user(ANY);
    let mut receivers: Vec<_> = (0..100).map(|at| peers.add(&at.to_string(), &user).unwrap()).collect();
    let shared = message(MAX_MESSAGE);
    let fill = |peers: &mut Peers| {
        for at in 0..100 {
            for _ in 0..100 {
                peers.deliver(&at.to_string(), shared.clone());
            }
        }
    };
    for _ in 0..3 {
        fill(&mut peers);
        let unread: usize = receivers.iter_mut().map(drain).sum();
        assert_eq!(unread, MAX_UNREAD_OF_ALL / MAX_MESSAGE);
    }
    // Forgotten peers take their messages with them.
    fill(&mut peers);
    receivers.truncate(8);
    peers.tick();
    assert_eq!(peers.unread, 8 * MAX_UNREAD);
}

#[test]
fn small_messages_keep_no_large_buffer() {
    let mut peers = Peers::default();
    let mut receiver = peers.add("a", &user(ANY)).unwrap();
    let buffer = message(1 << 20);
    peers.deliver("a", buffer.slice(0..100));
    let copy = receiver.try_recv().unwrap();
    assert_eq!(copy, buffer.slice(0..100));
    drop(copy);
    assert!(buffer.is_unique());
}
