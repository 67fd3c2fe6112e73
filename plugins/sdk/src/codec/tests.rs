//! Tests that values survive the boundary, and that a value without an encoding says why.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use super::{Decode, Encode, Raw};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sample {
    name: String,
    counts: Vec<u64>,
}

/// A type with a custom encoding, beside serde's blanket implementations.
#[derive(Debug, PartialEq)]
struct Byte(u8);

impl Decode for Byte {
    fn decode(bytes: Vec<u8>) -> Result<Self, String> {
        match bytes.as_slice() {
            [byte] => Ok(Self(*byte)),
            _ => Err(format!("expected one byte, got {}", bytes.len())),
        }
    }
}

impl Encode for Byte {
    fn encode(self) -> Result<Vec<u8>, String> {
        Ok(vec![self.0])
    }
}

#[test]
fn raw_bytes_pass_untouched() {
    let bytes = b"\x00\xffnot json".to_vec();
    assert_eq!(Raw::decode(bytes.clone()), Ok(Raw(bytes.clone())));
    assert_eq!(Raw(bytes.clone()).encode(), Ok(bytes));
    assert_eq!(Raw::from("plain").encode(), Ok(b"plain".to_vec()));
}

#[test]
fn own_forms_are_used() {
    assert_eq!(Byte(7).encode(), Ok(vec![7]));
    assert_eq!(Byte::decode(vec![7]), Ok(Byte(7)));
    assert_eq!(Byte::decode(vec![]), Err("expected one byte, got 0".to_owned()));
}

#[test]
fn errors_tell_the_place() {
    let error = Sample::decode(b"{\"name\": \"a\",\n  \"count\": [1]}".to_vec()).unwrap_err();
    assert_eq!(error, "unknown field `count`, expected `name` or `counts` at line 2 column 9");
    let error = Sample::decode(Vec::new()).unwrap_err();
    assert_eq!(error, "EOF while parsing a value at line 1 column 0");
    let error = Sample::decode(b"{\"name\":\"a\",\"counts\":[]} x".to_vec()).unwrap_err();
    assert_eq!(error, "trailing characters at line 1 column 26");
}

#[test]
fn a_value_without_json_says_why() {
    let map = BTreeMap::from([((1, 2), 3)]);
    assert_eq!(map.encode(), Err("key must be a string".to_owned()));
}

#[test]
fn a_query_that_is_left_out_has_its_defaults() {
    #[derive(Debug, PartialEq, Deserialize)]
    struct Query {
        #[serde(default)]
        top: u32,
    }
    assert_eq!(Query::decode_query(Vec::new()), Ok(Query { top: 0 }));
    assert_eq!(<()>::decode_query(Vec::new()), Ok(()));
    assert_eq!(Raw::decode_query(Vec::new()), Ok(Raw(Vec::new())));
    let error = Sample::decode_query(Vec::new()).unwrap_err();
    assert_eq!(error, "missing field `name` at line 1 column 2");
}

proptest! {
    #[test]
    fn json_round_trips(name in ".*", counts in prop::collection::vec(any::<u64>(), 0..8)) {
        let sample = Sample { name, counts };
        prop_assert_eq!(Sample::decode(sample.clone().encode().unwrap()).unwrap(), sample);
    }
}
