//! Tests that content that cannot be read names its partition.

use crate::{Failure, Partition};

fn partition(data: &[u8]) -> Partition {
    Partition { key: "a".to_owned(), index: 0, data: data.to_vec() }
}

fn reason(failure: Failure) -> String {
    match failure {
        Failure::InvalidPartition(reason) => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn text_is_utf8() {
    assert_eq!(partition(b"caf\xc3\xa9").text().unwrap(), "café");
    let expected = "partition a is not text: invalid utf-8 sequence of 1 bytes from index 1";
    assert_eq!(reason(partition(b"a\xff").text().unwrap_err()), expected);
}

#[test]
fn values_are_json() {
    assert_eq!(partition(b"[1, 2]").take::<Vec<u8>>().unwrap(), [1, 2]);
    let expected = "partition a cannot be read: expected `,` or `]` at line 1 column 4";
    assert_eq!(reason(partition(b"[1 2]").take::<Vec<u8>>().unwrap_err()), expected);
}
