//! Size of pieces and positions of cuts, in the notation of `frond.toml` and the command line.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;

use crate::size::{UnitError, parse_size, show_size};

/// Size of the pieces that content is cut into.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum PieceSize {
    /// Chosen by the amount of work and the number of slots: see
    /// [`auto_piece`](super::auto_piece).
    #[default]
    Auto,
    /// At most this many bytes, at least 1; a longer line makes a longer piece.
    Bytes(u64),
}

impl PieceSize {
    /// Returns the size itself if pieces of it fit the partition `limit`, or else the problem and
    /// its remedy.
    pub(crate) fn check(self, limit: u64) -> Result<Self, (String, String)> {
        match self {
            Self::Bytes(0) => Err((
                "pieces of 0 bytes never reach the end".to_owned(),
                "write a size above 0, or \"auto\"".to_owned(),
            )),
            Self::Bytes(bytes) if bytes > limit => Err((
                format!("pieces of {} are larger than a partition may be", show_size(bytes)),
                format!("limits.leaf.partition is {}: raise it, or make the pieces smaller", show_size(limit)),
            )),
            fits => Ok(fits),
        }
    }
}

impl FromStr for PieceSize {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        match text.trim() {
            "auto" => Ok(Self::Auto),
            size => parse_size(size).map(Self::Bytes),
        }
    }
}

impl fmt::Display for PieceSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Bytes(bytes) => f.write_str(&show_size(*bytes)),
        }
    }
}

/// Positions at which content may be cut.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CutMode {
    /// After line feeds only.
    #[default]
    Lines,
    /// At any byte.
    Bytes,
    /// Nowhere: each file is one partition, and so is all of stdin.
    None,
}
