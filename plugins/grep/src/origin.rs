//! Origin of a partition's content, parsed from its key.

#[cfg(test)]
mod tests;

/// A file, or a piece of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin<'a> {
    /// The file's path.
    pub file: &'a str,
    /// The piece's offset in the file in bytes; `None` for a whole file.
    pub offset: Option<u64>,
}

impl<'a> Origin<'a> {
    /// Parses `path` or `path#OFFSET+LENGTH`. The length must be a number; its value is ignored,
    /// since the content has it.
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

/// Parses digits only: `parse` alone would accept a sign too.
fn number(digits: &str) -> Option<u64> {
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}
