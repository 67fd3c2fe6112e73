//! JSON values with integers of any length: as 64-bit floats, 2^128 and 2^128 + 1 would be equal.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

/// A JSON value. Two values are equal when they have the same structure, strings and numbers.
/// Numbers with a fraction or an exponent are compared as 64-bit floats.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Json {
    /// Null, a boolean, a string, or a number that fits 64 bits.
    Scalar(Value),
    /// An integer beyond 64 bits, as its digits.
    Integer(Box<RawInteger>),
    List(Vec<Json>),
    Map(BTreeMap<String, Json>),
}

/// Digits of an integer. JSON allows one spelling of each integer.
#[derive(Clone, Debug)]
pub(crate) struct RawInteger(Box<RawValue>);

impl PartialEq for RawInteger {
    fn eq(&self, other: &Self) -> bool {
        self.0.get() == other.0.get()
    }
}

impl Json {
    /// Reads a value.
    ///
    /// # Errors
    /// Bytes that are no JSON, or are nested deeper than 128 levels.
    pub(crate) fn read(bytes: &[u8]) -> serde_json::Result<Self> {
        // Refuses nesting beyond serde_json's recursion limit.
        serde_json::from_slice::<Value>(bytes)?;
        Self::of(serde_json::from_slice(bytes)?)
    }

    fn of(raw: &RawValue) -> serde_json::Result<Self> {
        let text = raw.get();
        match text.bytes().next() {
            Some(b'{') => {
                let members: BTreeMap<String, &RawValue> = Deserialize::deserialize(raw)?;
                let read = members.into_iter().map(|(name, member)| Ok((name, Self::of(member)?)));
                Ok(Self::Map(read.collect::<serde_json::Result<_>>()?))
            }
            Some(b'[') => {
                let items: Vec<&RawValue> = Deserialize::deserialize(raw)?;
                Ok(Self::List(items.into_iter().map(Self::of).collect::<serde_json::Result<_>>()?))
            }
            _ => match Value::deserialize(raw)? {
                Value::Number(number) if number.is_f64() && !text.contains(['.', 'e', 'E']) && text != "-0" => {
                    Ok(Self::Integer(Box::new(RawInteger(raw.to_owned()))))
                }
                scalar => Ok(Self::Scalar(scalar)),
            },
        }
    }

    /// Formats the value over several lines, with members sorted by name.
    pub(crate) fn pretty(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default()
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Scalar(scalar) => scalar.serialize(to),
            Self::Integer(integer) => integer.0.serialize(to),
            Self::List(items) => items.serialize(to),
            Self::Map(members) => members.serialize(to),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(one: &str, other: &str) -> bool {
        Json::read(one.as_bytes()).unwrap() == Json::read(other.as_bytes()).unwrap()
    }

    #[test]
    fn integers_of_any_length_are_compared_digit_by_digit() {
        assert!(!same("[340282366920938463463374607431768211456]", "[340282366920938463463374607431768211457]"));
        assert!(same("[340282366920938463463374607431768211456]", "[ 340282366920938463463374607431768211456 ]"));
        assert!(!same("-18446744073709551617", "18446744073709551617"));
        assert!(!same("9007199254740993", "9007199254740992"));
        assert!(!same(r#"{"a":{"b":18446744073709551616}}"#, r#"{"a":{"b":18446744073709551617}}"#));
    }

    #[test]
    fn other_numbers_are_what_they_were() {
        assert!(same("[1.50, 1e2, -0]", "[1.5, 100.0, -0]"));
        assert!(!same("1", "1.0"));
        assert!(same(r#"{"b": [true, null, "x\u0041"], "a": 1}"#, r#"{"a":1,"b":[true,null,"xA"]}"#));
    }

    #[test]
    fn a_value_is_printed_as_it_was_but_for_its_order() {
        let read = Json::read(br#"{"b": 18446744073709551616, "a": [1.50, "x"]}"#).unwrap();
        assert_eq!(read.pretty(), "{\n  \"a\": [\n    1.5,\n    \"x\"\n  ],\n  \"b\": 18446744073709551616\n}");
    }

    #[test]
    fn a_value_that_is_nested_too_deeply_is_refused() {
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(Json::read(deep.as_bytes()).is_err());
        assert!(Json::read(b"{\"mean\": NaN}").is_err());
    }
}
