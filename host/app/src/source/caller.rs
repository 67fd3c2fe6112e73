//! The source `query`: the request body is JSON that holds the query and the partitions.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use bytes::Bytes;
use frond_root::Partition;
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::check::checked;
use crate::error::AppError;

#[cfg(test)]
mod tests;

const SHAPE: &str = "this app takes {\"query\": any JSON, \"partitions\": \
                     [{\"key\": \"a\", \"data\": a string or any JSON, \"weight\": 1}]}; `weight` may be left out";

/// JSON of a query with its partitions.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body<'a> {
    #[serde(borrow)]
    query: &'a RawValue,
    #[serde(borrow)]
    partitions: Vec<Object<InlinePartition<'a>>>,
}

/// Partition as the caller's JSON gives it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct InlinePartition<'a> {
    #[serde(borrow)]
    key: Cow<'a, str>,
    #[serde(borrow)]
    data: &'a RawValue,
    weight: Option<u64>,
}

/// A JSON object, and nothing else: a derived struct would also accept an array of its fields.
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(Fields(PhantomData)).map(Self)
    }
}

/// Deserializer that accepts an object only.
struct Fields<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Fields<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map))
    }
}

/// Parses a request body. Returns the inner query, byte for byte, and the partitions. A JSON
/// string's content is its text; the content of any other JSON value is its source text.
pub(crate) fn partitions(body: &[u8], limit: u64) -> Result<(Bytes, Vec<Partition>), AppError> {
    let text = std::str::from_utf8(body)
        .map_err(|error| AppError::query(format!("the query is not UTF-8 at byte {}", error.valid_up_to()), SHAPE))?;
    let Object(body): Object<Body<'_>> = serde_json::from_str(text).map_err(|error| wrong(&error))?;
    let mut given = Vec::with_capacity(body.partitions.len());
    for Object(one) in body.partitions {
        given.push((one.key.into_owned(), content(one.data)?, one.weight));
    }
    let partitions = checked(given.into_iter(), limit).map_err(|complaint| AppError::Query { complaint })?;
    Ok((Bytes::copy_from_slice(body.query.get().as_bytes()), partitions))
}

fn content(data: &RawValue) -> Result<Bytes, AppError> {
    let text = data.get();
    if text.starts_with('"') {
        let text: String = serde_json::from_str(text).map_err(|error| wrong(&error))?;
        return Ok(Bytes::from(text));
    }
    Ok(Bytes::copy_from_slice(text.as_bytes()))
}

fn wrong(error: &serde_json::Error) -> AppError {
    AppError::query(format!("the query does not fit: {error}"), SHAPE)
}
