//! Tests of names: exactly those that fit one part of a subject are valid.

use super::*;

#[test]
fn numbers_have_one_spelling() {
    let id = PeerId(0x0123_4567_89ab_cdef);
    assert_eq!(id.to_string(), "0123456789abcdef");
    assert_eq!(PeerId::parse(&id.to_string()), Some(id));
    assert_eq!(PeerId::parse(&PeerId(0).to_string()), Some(PeerId(0)));
    for text in
        ["", "0", "0123456789ABCDEF", "+123456789abcdef", "0123456789abcdef0", "0123456789abcdeg", "é123456789abcde"]
    {
        assert_eq!(PeerId::parse(text), None, "{text}");
    }
}

#[test]
fn subjects_name_sender_and_receiver() {
    let subjects = Subjects::new("gpu");
    let root = PeerId(1);
    let worker = PeerId(2);
    assert_eq!(subjects.of_root(root), "frond.gpu.r.0000000000000001.");
    assert_eq!(subjects.of_worker("me", worker), "frond.gpu.w.me.0000000000000002.");
    let name = PeerName { name: "me".into(), id: worker };
    assert_eq!(super::worker(&name.as_sender()), Some(name.clone()));
    assert_eq!(name.to_string(), "me-0000000000000002");
}

#[test]
fn workers_need_a_user_and_a_number() {
    let id = "0123456789abcdef";
    for text in ["", ".", id, &format!(".{id}"), &format!("a.b.{id}"), &format!("_.{id}"), "a.b", "a."] {
        assert_eq!(worker(text), None, "{text}");
    }
    assert!(worker(&format!("{}.{id}", "u".repeat(MAX_USER))).is_some());
    assert_eq!(worker(&format!("{}.{id}", "u".repeat(MAX_USER + 1))), None);
}

#[test]
fn pools_are_short_and_plain() {
    assert!(["a", "gpu-1", &"p".repeat(MAX_POOL)].into_iter().all(is_pool));
    assert!(!["", "A", "a.b", "*", ">", "a b", "ä", &"p".repeat(MAX_POOL + 1)].into_iter().any(is_pool));
}
