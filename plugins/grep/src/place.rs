//! Where a partition's content comes from, as its key says.

#[cfg(test)]
mod tests;

/// A file or a piece of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place<'a> {
    /// The file's path.
    pub file: &'a str,
    /// Where the piece begins in the file, in bytes; `None` for a whole file.
    pub offset: Option<u64>,
}

impl<'a> Place<'a> {
    /// Reads `path` or `path#OFFSET+LENGTH`. The length is the content's, so it is only checked to be a number.
    pub fn of(key: &'a str) -> Self {
        Self::piece(key).unwrap_or(Self { file: key, offset: None })
    }

    fn piece(key: &'a str) -> Option<Self> {
        let (file, range) = key.rsplit_once('#')?;
        let (offset, length) = range.split_once('+')?;
        number(length)?;
        Some(Self { file, offset: Some(number(offset)?) })
    }
}

/// Digits only: `parse` alone would take a sign too.
fn number(digits: &str) -> Option<u64> {
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}
