//! Reader of the settings that `host/docs/limits.md` lists, for tests of members with settings.

use std::path::Path;
use std::time::Duration;

use serde::Deserializer;
use serde::de::{DeserializeOwned, Error as _, Visitor};

/// Path of the list, relative to the tree's root.
pub const LISTED: &str = "host/docs/limits.md";

/// Rows of `host/docs/limits.md`, each with its cells.
pub struct Listed(Vec<Vec<String>>);

impl Listed {
    /// Reads the list of this tree.
    #[must_use]
    pub fn read() -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(LISTED);
        Self::parse(&std::fs::read_to_string(path).expect("host/docs/limits.md is there"))
    }

    /// Reads the tables of a Markdown text.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let rows = text.lines().filter(|line| line.starts_with('|'));
        Self(rows.map(|row| row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()).collect())
    }

    /// Rows that the list lacks: for each setting without a row that begins with its key and
    /// default.
    #[must_use]
    pub fn missing(&self, settings: impl IntoIterator<Item = (String, String)>) -> Vec<String> {
        let has = |key: &str, default: &str| self.0.iter().any(|row| row[0] == format!("`{key}`") && row[1] == default);
        let settings = settings.into_iter().filter(|(key, default)| !has(key, default));
        settings.map(|(key, default)| format!("| `{key}` | {default} | … |")).collect()
    }

    /// Listed settings with this prefix that are not in `keys`.
    #[must_use]
    pub fn unknown(&self, prefix: &str, keys: &[String]) -> Vec<String> {
        let listed = self.0.iter().filter_map(|row| row[0].strip_prefix('`')?.strip_suffix('`'));
        let unknown = listed
            .filter(|key| key.starts_with(prefix) && !key.contains('`') && !keys.iter().any(|known| known == key));
        unknown.map(str::to_owned).collect()
    }
}

/// Keys of a settings table: the field names that its struct deserialises.
///
/// # Panics
/// For a type that is not a struct with named fields.
#[must_use]
pub fn keys<T: DeserializeOwned>() -> &'static [&'static str] {
    let mut keys: &'static [&'static str] = &[];
    let read = T::deserialize(Keys(&mut keys));
    assert!(read.is_err() && !keys.is_empty(), "only a struct has keys");
    keys
}

/// Formats a number as the list does: with a comma before each group of three digits.
#[must_use]
pub fn number(number: u64) -> String {
    let digits: Vec<char> = number.to_string().chars().rev().collect();
    let groups: Vec<String> = digits.chunks(3).map(|group| group.iter().collect()).collect();
    groups.join(",").chars().rev().collect()
}

/// Formats bytes as the list does: in the largest unit that divides them.
#[must_use]
pub fn size(bytes: u64) -> String {
    whole(bytes, &[(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")])
        .unwrap_or_else(|| format!("{} bytes", number(bytes)))
}

/// Formats a time as the list does.
#[must_use]
pub fn time(time: Duration) -> String {
    let units = [(86_400_000, "days"), (3_600_000, "h"), (60_000, "min"), (1_000, "s"), (1, "ms")];
    let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    // Exceptions: one day is written as 24 h, one minute as 60 s.
    let units =
        units.iter().copied().filter(|(unit, name)| *unit != ms || matches!(*name, "s" | "ms")).collect::<Vec<_>>();
    whole(ms, &units).unwrap_or_else(|| format!("{time:?}"))
}

fn whole(value: u64, units: &[(u64, &str)]) -> Option<String> {
    let unit = units.iter().find(|(unit, _)| value >= *unit && value.is_multiple_of(*unit));
    unit.map(|(unit, name)| format!("{} {name}", number(value / unit)))
}

/// Deserializer that records the fields that a struct asks for, and fails.
struct Keys<'a>(&'a mut &'static [&'static str]);

impl<'de> Deserializer<'de> for Keys<'_> {
    type Error = serde::de::value::Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Self::Error> {
        Err(Self::Error::custom("nothing is read"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        *self.0 = fields;
        self.deserialize_any(visitor)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}
