//! How an answer's bytes stand in the envelope.

use bytes::Bytes;

use super::Body;

fn check(answer: &'static [u8], expect: &str) {
    let bytes = Bytes::from_static(answer);
    assert_eq!(serde_json::to_string(&Body::from(&bytes)).unwrap(), expect);
}

#[test]
fn json_stands_as_it_is() {
    check(br#"{"b": 1.50, "a": [1e2]}"#, r#"{"b": 1.50, "a": [1e2]}"#);
    check(b"null", "null");
}

#[test]
fn text_stands_as_a_string() {
    check(b"two\nlines\n", r#""two\nlines\n""#);
    check(b"{\"a\": 1} {}", r#""{\"a\": 1} {}""#);
    check(b"", r#""""#);
}

#[test]
fn anything_else_stands_in_base64() {
    check(&[0xff, 0xfe], r#"{"base64":"//4="}"#);
}
