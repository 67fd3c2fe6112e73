//! Partitions that the query contains.

use super::partitions;
use crate::testing::table;

fn refused(body: &[u8]) -> String {
    let error = partitions(body, 8).unwrap_err();
    assert!(error.is_query());
    // Most messages end with the same shape.
    error.to_string().replace(super::SHAPE, "SHAPE")
}

#[test]
fn the_inner_query_and_content_are_passed_as_written() {
    let body = br#"{"query": {"b": 1.0,  "a": [ ]}, "partitions": [
        {"key": "text", "data": "a\nb"},
        {"key": "json", "data": {"x" : 1}, "weight": 9},
        {"key": "\u00e9", "data": null}
    ]}"#;
    let (query, partitions) = partitions(body, 100).unwrap();
    assert_eq!(&query[..], br#"{"b": 1.0,  "a": [ ]}"#);
    insta::assert_snapshot!(table(&partitions), @r#"
    text (3) "a\nb"
    json (9) "{\"x\" : 1}"
    é (4) "null"
    "#);
}

#[test]
fn a_string_query_is_json_too() {
    let (query, partitions) = partitions(br#"{"query":"x","partitions":[]}"#, 1).unwrap();
    assert_eq!((&query[..], partitions.len()), (&b"\"x\""[..], 0));
}

#[test]
fn what_does_not_fit_is_the_query_s_fault() {
    insta::assert_snapshot!(partitions(b"", 8).unwrap_err(), @r#"
    the query does not fit: EOF while parsing a value at line 1 column 0
    (this app takes {"query": any JSON, "partitions": [{"key": "a", "data": a string or any JSON, "weight": 1}]}; `weight` may be left out)
    "#);
    insta::assert_snapshot!(refused(b"[]"), @r"
    the query does not fit: invalid type: sequence, expected an object at line 1 column 0
    (SHAPE)
    ");
    insta::assert_snapshot!(refused(br#"{"query": 1, "partitions": [["a", 1, 1]]}"#), @r"
    the query does not fit: invalid type: sequence, expected an object at line 1 column 28
    (SHAPE)
    ");
    insta::assert_snapshot!(refused(b"{\"query\": \xff}"), @r"
    the query is not UTF-8 at byte 10
    (SHAPE)
    ");
    insta::assert_snapshot!(refused(br#"{"query": 1, "partition": []}"#), @r"
    the query does not fit: unknown field `partition`, expected `query` or `partitions` at line 1 column 24
    (SHAPE)
    ");
    insta::assert_snapshot!(refused(br#"{"partitions": []}"#), @r"
    the query does not fit: missing field `query` at line 1 column 18
    (SHAPE)
    ");
    insta::assert_snapshot!(refused(br#"{"query": 1, "partitions": [{"key": "a", "data": 1, "wait": 1}]}"#), @r"
    the query does not fit: unknown field `wait`, expected one of `key`, `data`, `weight` at line 1 column 58
    (SHAPE)
    ");
    insta::assert_snapshot!(refused(br#"{"query": 1, "partitions": [{"key": "a"}]}"#), @r"
    the query does not fit: missing field `data` at line 1 column 40
    (SHAPE)
    ");
    insta::assert_snapshot!(refused(br#"{"query": 1, "partitions": [{"key": "a", "data": 1, "weight": -1}]}"#), @r"
    the query does not fit: invalid value: integer `-1`, expected u64 at line 1 column 64
    (SHAPE)
    ");
    insta::assert_snapshot!(refused(br#"{"query": 1, "partitions": [{"key": "a", "data": 1, "weight": 0}]}"#), @r"
    the partition `a` weighs 0, and could be missing unnoticed
    (write a weight of 1 or more, or leave the weight out to weigh the partition by its bytes)
    ");
    insta::assert_snapshot!(
        refused(br#"{"query": 1, "partitions": [{"key": "a", "data": 1, "weight": 17592186044417}]}"#),
        @r"
    the partition `a` weighs 17592186044417, and a weight is 1 to 17592186044416
    (weigh it in a larger unit, or leave the weight out to weigh its bytes)
    "
    );
    insta::assert_snapshot!(refused(br#"{"query": 1, "partitions": [{"key": "", "data": 1}]}"#), @"the partition at index 0 has an empty key");
    insta::assert_snapshot!(refused(br#"{"query": 1, "partitions": [{"key": "a", "data": 1}, {"key": "a", "data": 2}]}"#), @r"
    two partitions have the key `a`
    (keys name what is missing from an answer, so each must be unique)
    ");
    insta::assert_snapshot!(refused(br#"{"query": 1, "partitions": [{"key": "a", "data": "123456789"}]}"#), @r"
    the partition `a` has 9 bytes, more than the 8 bytes allowed
    (make it smaller, or raise limits.leaf.partition)
    ");
    insta::assert_snapshot!(refused(br#"{"query": 1, "partitions": []} more"#), @r"
    the query does not fit: trailing characters at line 1 column 32
    (SHAPE)
    ");
}
