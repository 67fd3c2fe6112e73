//! Sizes and times, in the notation of the settings.

use std::time::Duration;

use frond_app::size::show_size;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A number of bytes, written like `16MiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size(pub u64);

/// A duration, written like `30s`.
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

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        frond_app::Size::deserialize(from).map(|size| Self(size.0))
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        frond_app::Time::deserialize(from).map(|time| Self(time.0))
    }
}
