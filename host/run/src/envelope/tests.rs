//! Tests of the forms that an answer's bytes take in the envelope.

use bytes::Bytes;

use super::Body;

fn check(answer: &'static [u8], expect: &str) {
    check_of(answer, "text/plain", expect);
}

fn check_of(answer: &'static [u8], content_type: &str, expect: &str) {
    let bytes = Bytes::from_static(answer);
    assert_eq!(serde_json::to_string(&Body::of(&bytes, content_type)).unwrap(), expect);
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

#[test]
fn json_of_many_lines_stands_on_one_with_every_token_as_it_is() {
    check(b"{\n  \"b\": 1.50,\r\n  \"a\": [ 1e2,\t-0 ]\n}", r#"{"b":1.50,"a":[1e2,-0]}"#);
    check(
        br#"["two  words", "a \" b \\",
        "\n"]"#,
        r#"["two  words","a \" b \\","\n"]"#,
    );
    check(b"[340282366920938463463374607431768211457,\n1.00]", "[340282366920938463463374607431768211457,1.00]");
    check(b"\n 7 \n", "7");
}

#[test]
fn what_is_declared_json_and_is_not_is_no_string() {
    for declared in ["application/json", "application/json; charset=utf-8", "application/geo+json", "Application/JSON"]
    {
        check_of(b"{\"mean\": NaN}", declared, r#"{"base64":"eyJtZWFuIjogTmFOfQ=="}"#);
        check_of(b"{\"mean\": 1}", declared, r#"{"mean": 1}"#);
    }
    check_of(b"{\"mean\": NaN}", "text/csv", r#""{\"mean\": NaN}""#);
}
