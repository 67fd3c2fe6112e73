//! Parser for sizes and durations: `64MiB`, `1.5 GB`, `500ms`, `1m30s`.

use std::time::Duration;

use frond_root::quote::clipped;

#[cfg(test)]
mod tests;

/// Longest accepted duration: a year, so that no later sum with a clock can overflow.
pub const MAX_DURATION: Duration = Duration::from_secs(365 * 24 * 3600);

const SIZES: [(&str, u64); 9] = [
    ("B", 1),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
];

const TIMES: [(&str, u64); 7] = [
    ("ns", 1),
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
];

/// Reason why a text is not a size or not a duration.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum UnitError {
    /// The text does not begin with a number, or continues after its unit.
    #[error("`{}` is not a size\n(write a number of bytes, or one with a unit: 4KiB, 64MiB, 1GB)", clipped(.0))]
    NotASize(String),
    /// The unit is not a unit of size.
    #[error("`{}` in `{}` is not a unit of size\n(the units are B, KB, MB, GB, TB and KiB, MiB, GiB, TiB)", clipped(.unit), clipped(.text))]
    NotAUnitOfSize {
        /// The whole text.
        text: String,
        /// The unknown unit.
        unit: String,
    },
    /// The size is 2^64 bytes or more.
    #[error("`{}` is 2^64 bytes or more", clipped(.0))]
    SizeTooLarge(String),
    /// The text is not a sequence of numbers, each with a unit.
    #[error("`{}` is not a duration\n(write a number with a unit: 500ms, 2s, 1m30s)", clipped(.0))]
    NotADuration(String),
    /// The unit is not a unit of time.
    #[error("`{}` in `{}` is not a unit of time\n(the units are ns, us, ms, s, m, h and d)", clipped(.unit), clipped(.text))]
    NotAUnitOfTime {
        /// The whole text.
        text: String,
        /// The unknown unit.
        unit: String,
    },
    /// The duration is longer than [`MAX_DURATION`].
    #[error("`{}` is more than a year", clipped(.0))]
    DurationTooLong(String),
}

/// Parses a size, in bytes. Case does not matter; `K`, `M` and `G` alone are refused as ambiguous.
///
/// # Errors
/// [`UnitError`], which says what the text should look like.
pub fn parse_size(text: &str) -> Result<u64, UnitError> {
    let (number, rest) = Number::read(text.trim()).ok_or_else(|| UnitError::NotASize(text.to_owned()))?;
    let unit = rest.trim_start();
    if unit.is_empty() && number.decimals == 0 {
        return u64::try_from(number.digits).map_err(|_| UnitError::SizeTooLarge(text.to_owned()));
    }
    if unit.is_empty() || !unit.chars().all(char::is_alphabetic) {
        return Err(UnitError::NotASize(text.to_owned()));
    }
    let bytes = SIZES
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(unit))
        .map(|(_, bytes)| *bytes)
        .ok_or_else(|| UnitError::NotAUnitOfSize { text: text.to_owned(), unit: unit.to_owned() })?;
    number.times(bytes).ok_or_else(|| UnitError::SizeTooLarge(text.to_owned()))
}

/// Parses a duration: the sum of one or more numbers, each with its unit.
///
/// # Errors
/// [`UnitError`], which says what the text should look like.
pub fn parse_duration(text: &str) -> Result<Duration, UnitError> {
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(UnitError::NotADuration(text.to_owned()));
    }
    let mut nanos = 0_u64;
    while !rest.is_empty() {
        let (number, after) = Number::read(rest).ok_or_else(|| UnitError::NotADuration(text.to_owned()))?;
        let after = after.trim_start();
        let end = after.find(|c: char| c.is_ascii_digit() || c.is_whitespace() || c == '.').unwrap_or(after.len());
        let (unit, next) = after.split_at(end);
        nanos = unit_of_time(text, unit)
            .map(|unit| number.times(unit).and_then(|more| nanos.checked_add(more)))?
            .filter(|sum| Duration::from_nanos(*sum) <= MAX_DURATION)
            .ok_or_else(|| UnitError::DurationTooLong(text.to_owned()))?;
        rest = next.trim_start();
    }
    Ok(Duration::from_nanos(nanos))
}

fn unit_of_time(text: &str, unit: &str) -> Result<u64, UnitError> {
    if unit.is_empty() {
        return Err(UnitError::NotADuration(text.to_owned()));
    }
    TIMES
        .iter()
        .find(|(name, _)| *name == unit)
        .map(|(_, nanos)| *nanos)
        .ok_or_else(|| UnitError::NotAUnitOfTime { text: text.to_owned(), unit: unit.to_owned() })
}

/// Formats a size in the largest binary unit that divides it.
#[must_use]
pub fn show_size(bytes: u64) -> String {
    let whole = |(name, unit): &(&str, u64)| {
        (name.ends_with("iB") && bytes >= *unit && bytes.is_multiple_of(*unit))
            .then(|| format!("{} {name}", bytes / unit))
    };
    SIZES.iter().rev().find_map(whole).unwrap_or_else(|| format!("{bytes} bytes"))
}

/// An unsigned decimal number: `digits` over ten to the power of `decimals`.
struct Number {
    digits: u128,
    decimals: u32,
}

impl Number {
    /// Reads the number at the start of `text` and returns it with the rest. `None` if there is no
    /// number, or it has more than 20 digits.
    fn read(text: &str) -> Option<(Self, &str)> {
        let mut number = Self { digits: 0, decimals: 0 };
        let mut count = 0_u32;
        let mut in_fraction = false;
        let mut end = text.len();
        for (at, c) in text.char_indices() {
            match c.to_digit(10) {
                Some(digit) => {
                    number.digits = number.digits * 10 + u128::from(digit);
                    number.decimals += u32::from(in_fraction);
                    count += 1;
                }
                None if c == '_' && count > 0 => {}
                None if c == '.' && count > 0 && !in_fraction => in_fraction = true,
                None => {
                    end = at;
                    break;
                }
            }
            if count > 20 {
                return None;
            }
        }
        let complete = count > 0 && (!in_fraction || number.decimals > 0);
        complete.then(|| (number, text.get(end..).unwrap_or_default()))
    }

    /// Multiplies the number by `unit` and rounds down.
    fn times(&self, unit: u64) -> Option<u64> {
        let scaled = self.digits.checked_mul(u128::from(unit))? / 10_u128.checked_pow(self.decimals)?;
        u64::try_from(scaled).ok()
    }
}
