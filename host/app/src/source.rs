//! Source of an app's partitions. Work is cut when a query arrives; contents are read when leaves
//! run.

use std::path::PathBuf;

use bytes::Bytes;
use frond_root::PartitionKey;

use crate::error::Location;

mod beneath;
pub(crate) mod caller;
mod check;
mod content;
mod cut;
mod data;
mod files;
mod glob;
mod inputs;
mod integers;
mod list;
mod memory;
mod open;
mod partitions;
mod pattern;
mod pieces;
mod range;
mod sniff;
mod stamp;
mod stdin;
mod walk;

#[cfg(test)]
mod tests;

pub use content::reopen;
pub use cut::{MAX_PIECE, MIN_PIECE, PIECES_PER_SLOT, auto_piece};
pub use data::{DataFolder, DataFolderError, DataFolders};
pub use files::MAX_MADE;
pub use glob::{Glob, MAX_GLOB, MAX_GLOBS};
pub use inputs::Inputs;
pub use memory::of_bytes;
pub use partitions::Cut;
pub use pieces::{CutMode, PieceSize};
pub use range::{STEPS_PER_SLOT, auto_step};
pub use stdin::{MAX_STDIN, STDIN_PIECE};

/// Most partitions that are cut in a few microseconds.
const QUICK_PARTITIONS: usize = 64;
/// Largest query, in bytes, that is read in a few microseconds.
const QUICK_BYTES: usize = 16 << 10;

/// Source of an app's partitions.
#[derive(Clone, Debug)]
pub enum Source {
    /// The partitions that `frond.toml` lists.
    List(Vec<Listed>),
    /// Files; large ones are cut into pieces.
    Files {
        /// Globs, files and folders, relative to the app's folder.
        globs: Vec<Glob>,
        /// Size of the pieces.
        piece: PieceSize,
        /// Positions at which files may be cut.
        cut: CutMode,
        /// Place of the globs in `frond.toml`.
        at: Location,
    },
    /// The caller's standard input, cut into pieces.
    Stdin {
        /// Size of the pieces.
        piece: PieceSize,
        /// Positions at which the input may be cut.
        cut: CutMode,
    },
    /// The whole numbers from `start` to `end`, exclusive, cut into pieces.
    Range {
        /// First number.
        start: i64,
        /// Number after the last one, at least `start`.
        end: i64,
        /// Numbers per piece, at least 1; `None` is automatic.
        step: Option<u64>,
        /// Place of the step in `frond.toml`, or of the start if there is no step.
        at: Location,
    },
    /// The partitions that the query contains.
    Query,
    /// The partitions that the app's split component makes of the query.
    Split,
}

impl Source {
    /// Name of the kind, as `frond.toml` spells it.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::List(_) => "list",
            Self::Files { .. } => "files",
            Self::Stdin { .. } => "stdin",
            Self::Range { .. } => "range",
            Self::Query => "query",
            Self::Split => "split",
        }
    }

    /// True if cutting the source for a query of `query` bytes reads no file and takes only
    /// microseconds, so that it needs no separate thread.
    #[must_use]
    pub fn is_quick(&self, query: usize) -> bool {
        match self {
            Self::List(listed) => {
                let inline = |one: &Listed| matches!(one.content, ListedContent::Inline(_));
                listed.len() <= QUICK_PARTITIONS && listed.iter().all(inline)
            }
            Self::Range { start, end, step, .. } => {
                step.is_none_or(|step| end.abs_diff(*start) / step.max(1) <= QUICK_PARTITIONS as u64)
            }
            Self::Query | Self::Split => query <= QUICK_BYTES,
            Self::Files { .. } | Self::Stdin { .. } => false,
        }
    }
}

/// One partition that `frond.toml` lists.
#[derive(Clone, Debug)]
pub struct Listed {
    /// Key of the partition, unique in the list.
    pub key: PartitionKey,
    /// Content of the partition.
    pub content: ListedContent,
    /// Weight of the partition, at least 1; `None` means its size in bytes.
    pub weight: Option<u64>,
    /// Place of the content in `frond.toml`.
    pub at: Location,
}

/// Content of a listed partition.
#[derive(Clone, Debug)]
pub enum ListedContent {
    /// Content written in `frond.toml` itself.
    Inline(Bytes),
    /// Path of a file, usable from the current folder.
    File(PathBuf),
}
