//! Tests of the forms that an answer's bytes take in the envelope.

use std::collections::BTreeMap;

use bytes::Bytes;
use frond_root::answer::{Attempts, Coverage, Tally, Timings, UnitTally};
use frond_root::{Answer, Floor, QueryId, Reason};
use serde_json::{Value, json};

use super::{Body, CHUNK, Envelope, envelope};
use crate::laws::Laws;

fn check(answer: &'static [u8], expect: &str) {
    check_of(answer, "text/plain", expect);
}

fn check_of(answer: &'static [u8], content_type: &str, expect: &str) {
    let body = Body::of(answer, content_type);
    let mut json = Vec::new();
    body.write(&mut json).unwrap();
    assert_eq!(String::from_utf8(json).unwrap(), expect);
    assert!(expect.len() <= body.size(), "{expect}");
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

#[test]
fn text_that_its_escapes_would_multiply_stands_in_base64() {
    check(b"\"\n\"", r#""\"\n\"""#);
    check(b"\x01\x02\x03", r#"{"base64":"AQID"}"#);
    check(b"plain text and \x1b[1mone\x1b[0m escape", "\"plain text and \\u001b[1mone\\u001b[0m escape\"");
    let long = Bytes::from(vec![1; 2 * CHUNK + 1]);
    let body = Body::of(&long, "text/plain");
    let mut json = Vec::new();
    body.write(&mut json).unwrap();
    assert_eq!(json.len(), body.size());
    assert!(json.len() < long.len() * 4 / 3 + 20);
    // As if it were encoded at once.
    assert!(json.ends_with(b"AQEBAQ==\"}"), "{}", String::from_utf8_lossy(&json));
}

fn coverage() -> Box<Coverage> {
    Box::new(Coverage {
        query: QueryId::from(1),
        complete: true,
        fraction: 1.0,
        floor: Floor::All,
        required_missing: Vec::new(),
        partitions: Tally::default(),
        weight: Tally::default(),
        covered: 0,
        missing: Vec::new(),
        missing_omitted: 0,
        failures: BTreeMap::new(),
        attempts: Attempts::default(),
        timings: Timings::default(),
        units: UnitTally::default(),
        workers: None,
        stragglers: Vec::new(),
        notes: Vec::new(),
    })
}

#[test]
fn the_envelope_is_one_line_of_the_size_that_is_told_before() {
    let bodies = [
        (&b"{\n \"a\": 1\n}"[..], json!({ "a": 1 })),
        (&b"two\nlines"[..], json!("two\nlines")),
        (&b"\x01\x02\x03"[..], json!({ "base64": "AQID" })),
        (&b"\xff"[..], json!({ "base64": "/w==" })),
    ];
    for (bytes, expect) in bodies {
        let answer = Answer::Complete { body: Bytes::from_static(bytes), coverage: coverage() };
        let size = Envelope::of(&answer, "text/plain", Laws::Hold).unwrap().size();
        let line = envelope(&answer, "text/plain", Laws::Hold).unwrap();
        assert!(line.len() <= size + 1 && line.ends_with(b"}\n"), "{line:?}");
        assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1);
        let value: Value = serde_json::from_slice(&line).unwrap();
        assert_eq!((&value["version"], &value["outcome"], &value["answer"]), (&json!(1), &json!("complete"), &expect));
        assert_eq!((&value["coverage"]["fraction"], &value["laws"]), (&json!(1.0), &json!("hold")));
        assert!(value.get("warnings").is_none(), "{value}");
    }
}

#[test]
fn an_envelope_without_an_answer_says_why() {
    let failed = Answer::Failed { reason: Reason::Deadline, coverage: coverage() };
    let line = envelope(&failed, "text/plain", Laws::Unchecked).unwrap();
    let value: Value = serde_json::from_slice(&line).unwrap();
    assert_eq!((&value["reason"], &value["answer"]), (&json!("deadline"), &Value::Null));
    let wrong = Answer::Complete { body: Bytes::from_static(b"NaN"), coverage: coverage() };
    let line = envelope(&wrong, "application/json", Laws::Unchecked).unwrap();
    let value: Value = serde_json::from_slice(&line).unwrap();
    assert!(value["warnings"][0].as_str().unwrap().contains("the answer is not JSON"), "{value}");
}

#[test]
fn a_preview_has_its_members_before_the_answer() {
    let preview = Envelope::preview(&json!({ "at": 7 }), b"[1]", "application/json").unwrap();
    assert_eq!(preview.size(), 21);
    assert_eq!(preview.write("<", ">").unwrap(), "<{\"at\":7,\"answer\":[1]}>");
}
