//! Values of `frond.toml` with several notations. A visitor reads each and names what it expects.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use frond_root::Floor;
use frond_root::quote::clipped;
use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};
use serde::{Serialize, Serializer};

use crate::size::{parse_duration, parse_size, show_size};
use crate::source::PieceSize;

/// A number of bytes: `4096` or `"4KiB"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size(pub u64);

/// A duration: `"1m30s"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Time(pub Duration);

impl Size {
    /// The bytes, as a length in memory; saturates at `usize::MAX`.
    #[must_use]
    pub fn len(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }

    /// True for 0 bytes.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        // A unit is used only if the number is a whole multiple of it: nothing is rounded.
        to.serialize_str(&show_size(self.0).replace(" bytes", "B").replace(' ', ""))
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let seconds = self.0.as_secs();
        let nanos = self.0.subsec_nanos();
        match nanos {
            0 => to.collect_str(&format_args!("{seconds}s")),
            _ if nanos.is_multiple_of(1_000_000) => to.collect_str(&format_args!("{}ms", self.0.as_millis())),
            _ => to.collect_str(&format_args!("{}ns", self.0.as_nanos())),
        }
    }
}

/// A coverage floor: `"all"`, `"best-effort"` or a fraction such as `0.9`, not yet range-checked.
#[derive(Clone, Copy, Debug)]
pub struct Share(pub Floor);

/// One glob or several.
pub(crate) struct Globs(pub(crate) Vec<String>);

/// Length of a range's pieces, not yet range-checked; `None` is `"auto"`.
#[derive(Clone, Copy)]
pub(crate) struct Step(pub(crate) Option<i64>);

/// A value with several notations: text, number or list. A refused notation becomes "expected …,
/// found …".
trait Forms: Sized {
    const EXPECTED: &'static str;
    const TAKES_LISTS: bool = false;

    fn from_text(_text: &str) -> Option<Result<Self, String>> {
        None
    }

    fn from_whole(_number: i64) -> Option<Result<Self, String>> {
        None
    }

    fn from_fraction(_number: f64) -> Option<Self> {
        None
    }

    fn from_list(_texts: Vec<String>) -> Option<Self> {
        None
    }
}

/// Deserializer of a value with its place, as one of the forms that a key allows.
struct Reader<T>(PhantomData<T>);

impl<'de, T: Forms> Visitor<'de> for Reader<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::EXPECTED)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        T::from_text(text).ok_or_else(|| E::invalid_type(serde::de::Unexpected::Str(text), &self))?.map_err(E::custom)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<T, E> {
        T::from_whole(number)
            .ok_or_else(|| E::invalid_type(serde::de::Unexpected::Signed(number), &self))?
            .map_err(E::custom)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<T, E> {
        match i64::try_from(number) {
            Ok(number) => self.visit_i64(number),
            Err(_) => Err(E::invalid_value(serde::de::Unexpected::Unsigned(number), &self)),
        }
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<T, E> {
        T::from_fraction(number).ok_or_else(|| E::invalid_type(serde::de::Unexpected::Float(number), &self))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<T, A::Error> {
        if !T::TAKES_LISTS {
            return Err(A::Error::invalid_type(serde::de::Unexpected::Seq, &self));
        }
        let mut texts = Vec::new();
        while let Some(text) = seq.next_element()? {
            texts.push(text);
        }
        T::from_list(texts).ok_or_else(|| A::Error::invalid_type(serde::de::Unexpected::Seq, &self))
    }
}

fn bytes(number: i64) -> Result<u64, String> {
    u64::try_from(number).map_err(|_| format!("`{number}` is not a size\n(a size is 0 bytes or more)"))
}

impl Forms for Size {
    const EXPECTED: &'static str = "a size such as \"64MiB\", or a number of bytes";

    fn from_text(text: &str) -> Option<Result<Self, String>> {
        Some(parse_size(text).map(Self).map_err(|error| error.to_string()))
    }

    fn from_whole(number: i64) -> Option<Result<Self, String>> {
        Some(bytes(number).map(Self))
    }
}

impl Forms for PieceSize {
    const EXPECTED: &'static str = "\"auto\", a size such as \"1MiB\", or a number of bytes";

    fn from_text(text: &str) -> Option<Result<Self, String>> {
        Some(text.parse().map_err(|error: crate::size::UnitError| error.to_string()))
    }

    fn from_whole(number: i64) -> Option<Result<Self, String>> {
        Some(bytes(number).map(Self::Bytes))
    }
}

impl Forms for Time {
    const EXPECTED: &'static str = "a duration such as \"500ms\", \"2s\" or \"1m30s\"";

    fn from_text(text: &str) -> Option<Result<Self, String>> {
        Some(parse_duration(text).map(Self).map_err(|error| error.to_string()))
    }
}

impl Forms for Share {
    const EXPECTED: &'static str = "\"all\", \"best-effort\", or a fraction above 0 and at most 1";

    fn from_text(text: &str) -> Option<Result<Self, String>> {
        Some(match text {
            "all" => Ok(Self(Floor::All)),
            "best-effort" => Ok(Self(Floor::BestEffort)),
            _ => Err(format!("`{}` is not a floor\n(write {})", clipped(text), Self::EXPECTED)),
        })
    }

    fn from_whole(number: i64) -> Option<Result<Self, String>> {
        // Only 1 is in range; every other whole number stays out of range after rounding.
        Some(Ok(Self(Floor::AtLeast(number as f64))))
    }

    fn from_fraction(number: f64) -> Option<Self> {
        Some(Self(Floor::AtLeast(number)))
    }
}

impl Forms for Globs {
    const EXPECTED: &'static str = "a glob such as \"data/**/*.txt\", or a list of them";
    const TAKES_LISTS: bool = true;

    fn from_text(text: &str) -> Option<Result<Self, String>> {
        Some(Ok(Self(vec![text.to_owned()])))
    }

    fn from_list(texts: Vec<String>) -> Option<Self> {
        Some(Self(texts))
    }
}

impl Forms for Step {
    const EXPECTED: &'static str = "\"auto\", or a whole number above 0";

    fn from_text(text: &str) -> Option<Result<Self, String>> {
        Some(match text {
            "auto" => Ok(Self(None)),
            _ => Err(format!("`{}` is not a step\n(write {})", clipped(text), Self::EXPECTED)),
        })
    }

    fn from_whole(number: i64) -> Option<Result<Self, String>> {
        Some(Ok(Self(Some(number))))
    }
}

macro_rules! deserialize_forms {
    ($($value:ty),*) => {$(
        impl<'de> Deserialize<'de> for $value {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                from.deserialize_any(Reader(PhantomData))
            }
        }
    )*};
}

deserialize_forms!(Size, PieceSize, Time, Share, Globs, Step);
