//! Tests of greetings: any bytes are read or ignored.

use proptest::prelude::*;

use super::*;

#[test]
fn a_greeting_arrives_as_it_was_sent() {
    let greeted = read(&greeting(PeerId(7), "the root")).unwrap();
    assert_eq!((greeted.peer.to_string(), greeted.version), ("the root-0000000000000007".to_owned(), VERSION));
}

#[test]
fn strangers_are_ignored_and_few_are_remembered() {
    let mut strangers = Strangers::default();
    let peer = |id, version| Greeted { peer: PeerName { name: "a".into(), id: PeerId(id) }, version };
    for id in 0..1000 {
        let stranger = peer(id, VERSION + 1);
        assert_eq!(strangers.is_new(&stranger, "root"), id < MAX_STRANGERS as u64);
        assert!(!strangers.is_new(&stranger, "root"), "it was met before");
        assert!(!stranger.is_known() && !strangers.is_new(&peer(id, VERSION), "root"));
    }
    assert_eq!(strangers.0.len(), MAX_STRANGERS);
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_ignored(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        if let Some(greeted) = read(&bytes.into()) {
            prop_assert!(is_label(&greeted.peer.name));
        }
    }

    #[test]
    fn almost_valid_greetings_are_read_or_ignored(
        bytes in frond_testkit::almost([greeting(PeerId(7), "the root").to_vec(), greeting(PeerId(0), "é").to_vec()]),
    ) {
        if let Some(greeted) = read(&bytes.into()) {
            prop_assert!(is_label(&greeted.peer.name));
        }
    }
}
