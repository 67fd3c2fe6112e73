//! Time of day, as written in queries.

use serde::Deserialize;

/// Time of day, `HH:MM` from 00:00 to 23:59.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(try_from = "String")]
pub struct Clock(u32);

impl Clock {
    pub(crate) fn nine() -> Self {
        Self(9 * 60)
    }

    /// Returns the minutes since midnight.
    pub fn minutes(self) -> u32 {
        self.0
    }
}

impl TryFrom<String> for Clock {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        parse(&text).map(Self).ok_or_else(|| format!("`{text}` is not a time of day such as 09:00"))
    }
}

fn parse(text: &str) -> Option<u32> {
    let (hours, minutes) = text.split_once(':')?;
    let hours = two_digits(hours)?;
    let minutes = two_digits(minutes)?;
    (hours < 24 && minutes < 60).then_some(hours * 60 + minutes)
}

/// Parses exactly two digits: `parse` alone would accept `+9` too.
fn two_digits(text: &str) -> Option<u32> {
    (text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?
}
