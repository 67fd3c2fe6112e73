//! Key `isolation` of `[leaf]`: `"thread"`, `"process"` or `{ process = "require" }`.

use std::fmt;

use frond_root::call::Isolation;
use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, Unexpected, Visitor};

/// Key `isolation` of `[leaf]`.
pub(crate) struct IsolationKey(pub(crate) Isolation);

impl<'de> Deserialize<'de> for IsolationKey {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Words).map(Self)
    }
}

/// Visitor of a word, or of a table with one key.
struct Words;

impl<'de> Visitor<'de> for Words {
    type Value = Isolation;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"thread\", \"process\" or { process = \"require\" }")
    }

    fn visit_str<E: de::Error>(self, word: &str) -> Result<Isolation, E> {
        match word {
            "thread" => Ok(Isolation::Thread),
            "process" => Ok(Isolation::Process),
            _ => Err(E::invalid_value(Unexpected::Str(word), &self)),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Isolation, A::Error> {
        let entry: Option<(String, String)> = map.next_entry()?;
        let is_only = map.next_key::<String>()?.is_none();
        match entry {
            Some((key, word)) if is_only && key == "process" && word == "require" => Ok(Isolation::WalledProcess),
            _ => Err(de::Error::invalid_value(Unexpected::Map, &self)),
        }
    }
}
