//! Source of an app's partitions. Work is cut when a query arrives; contents are read when leaves
//! run.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use frond_root::plan::{MAX_PARTITIONS, light_enough};
use frond_root::quote::clipped;
use frond_root::{Error, Notes, Partition, PartitionKey};

use crate::app::App;
use crate::error::{AppError, Complaint, Location, Origin};
use crate::size::show_size;

pub(crate) mod caller;
mod content;
mod cut;
mod files;
mod glob;
mod inputs;
mod list;
mod open;
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
pub use files::MAX_MADE;
pub use glob::{Glob, MAX_GLOB, MAX_GLOBS};
pub use inputs::Inputs;
use inputs::SearchCancel;
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

/// Result of cutting a query's work.
#[derive(Debug)]
pub enum Cut {
    /// Ordered partitions with unique keys, each within the app's partition limit.
    Ready {
        /// The partitions.
        partitions: Vec<Partition>,
        /// The query for leaves and merges.
        query: Bytes,
        /// Notes on the inputs.
        notes: Arc<Notes>,
    },
    /// The split component has to cut the query: see [`App::from_split`].
    Split {
        /// The query for the split, leaves and merges.
        query: Bytes,
        /// Approximate number of partitions to ask for.
        wanted: u32,
    },
}

/// Rules for cutting content into pieces.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cutting {
    pub(crate) piece: PieceSize,
    pub(crate) mode: CutMode,
    pub(crate) slots: usize,
    /// Largest partition, in bytes.
    pub(crate) limit: u64,
}

impl App {
    /// Cuts a query's work into partitions. Blocks: it walks folders, samples large files and
    /// drains stdin.
    ///
    /// # Errors
    /// [`AppError::Query`] if the query contains wrong partitions. [`AppError::Input`] if the
    /// caller's input is missing, unreadable or cannot be cut; [`AppError::Manifest`] if the app's
    /// input is.
    pub fn partitions(&self, inputs: Inputs<'_>) -> Result<Cut, AppError> {
        let cutting = self.cutting(&inputs)?;
        let query = Bytes::copy_from_slice(inputs.query);
        let notes = Arc::new(Notes::default());
        let partitions = match (inputs.input, &self.source) {
            ([], Source::Stdin { .. }) => stdin::partitions(inputs.stdin, cutting)?,
            ([], Source::Files { globs, at, .. }) => {
                let origin = Origin::Written(at.clone());
                files::partitions(globs, inputs.scope(&self.dir, &origin, &notes), &notes, cutting)?
            }
            ([], Source::List(listed)) => list::partitions(listed, &self.dir, &notes, self.limits.partition)?,
            ([], Source::Range { start, end, step, at }) => {
                range::partitions(*start..*end, *step, (inputs.slots, inputs.most), &Origin::Written(at.clone()))?
            }
            ([], Source::Query) => {
                let (query, partitions) = caller::partitions(inputs.query, self.limits.partition)?;
                return Ok(Cut::Ready { partitions, query, notes });
            }
            ([], Source::Split) => {
                let wanted = PIECES_PER_SLOT.saturating_mul(inputs.slots.max(1) as u64);
                let wanted = u32::try_from(wanted).unwrap_or(u32::MAX);
                return Ok(Cut::Split { query, wanted });
            }
            ([only], _) if only == "-" => stdin::partitions(inputs.stdin, cutting)?,
            (texts, _) => {
                inputs.check()?;
                let scope = inputs.scope(Path::new("."), &Origin::Caller, &notes);
                files::partitions(&Glob::of_caller(texts)?, scope, &notes, cutting)?
            }
        };
        Ok(Cut::Ready { partitions, query, notes })
    }

    /// Checks the partitions in `query`, if this app takes its partitions from the query.
    ///
    /// # Errors
    /// [`AppError::Query`] if they are wrong.
    pub fn check_query(&self, query: &[u8]) -> Result<(), AppError> {
        match &self.source {
            Source::Query => caller::partitions(query, self.limits.partition).map(drop),
            _ => Ok(()),
        }
    }

    /// Checks the pairs of key and content that the split component returned, and makes partitions
    /// of them.
    ///
    /// # Errors
    /// An empty or duplicate key, a content that is too large, too many partitions. All errors
    /// point at the component.
    pub fn from_split<T: Into<Bytes>>(
        &self,
        pieces: impl IntoIterator<Item = (String, T)>,
    ) -> Result<Vec<Partition>, AppError> {
        let component = self.split.as_ref().unwrap_or(&self.leaf);
        let pieces = pieces.into_iter().map(|(key, data)| (key, data.into(), None));
        checked(pieces, self.limits.partition).map_err(|wrong| component.misfit(wrong))
    }

    fn cutting(&self, inputs: &Inputs<'_>) -> Result<Cutting, AppError> {
        let (piece, mode) = match &self.source {
            Source::Files { cut: CutMode::None, .. } | Source::Stdin { cut: CutMode::None, .. }
                if inputs.piece_size.is_some() =>
            {
                let text = "each file is one partition, without pieces: the app has source.cut = \"none\"";
                return Err(Origin::Caller.refuse(text, "leave the piece size out"));
            }
            Source::Files { piece, cut, .. } | Source::Stdin { piece, cut } => (*piece, *cut),
            other if inputs.piece_size.is_some() && inputs.input.is_empty() => {
                let text = format!("a source of the kind \"{}\" is not cut into pieces of a size", other.kind());
                return Err(Origin::Caller.refuse(text, "leave the piece size out"));
            }
            _ => (PieceSize::Auto, CutMode::Lines),
        };
        let limit = self.limits.partition;
        let piece = inputs.piece_size.unwrap_or(piece).check(limit);
        Ok(Cutting {
            piece: piece.map_err(|(text, hint)| Origin::Caller.refuse(text, hint))?,
            mode,
            slots: inputs.slots,
            limit,
        })
    }
}

/// Checks partitions made by a caller or a split: each a key, a content and an optional weight.
fn checked(
    pieces: impl Iterator<Item = (String, Bytes, Option<u64>)>,
    limit: u64,
) -> Result<Vec<Partition>, Complaint> {
    let mut partitions = Vec::new();
    let mut keys = HashSet::new();
    for (at, (key, data, weight)) in pieces.enumerate() {
        let key = PartitionKey::from(key);
        let size = data.len();
        if key.as_str().is_empty() {
            return Err(Complaint::new(format!("the partition at index {at} has an empty key"), ""));
        }
        if key.has_nul() {
            return Err(split_hint(&Error::NulInKey(key)));
        }
        if size as u64 > limit {
            let quoted = clipped(key.as_str());
            let text = format!("the partition `{quoted}` has {size} bytes, more than the {} allowed", show_size(limit));
            return Err(Complaint::new(text, "make it smaller, or raise limits.leaf.partition"));
        }
        if weight == Some(0) {
            let text = format!("the partition `{}` weighs 0, and could be missing unnoticed", clipped(key.as_str()));
            return Err(Complaint::new(
                text,
                "write a weight of 1 or more, or leave the weight out to weigh the partition by its bytes",
            ));
        }
        light_enough(&key, weight.unwrap_or(1)).map_err(|error| split_hint(&error))?;
        if !keys.insert(key.clone()) {
            return Err(split_hint(&Error::DuplicateKey(key)));
        }
        let partition = Partition::new(key, data);
        partitions.push(match weight {
            Some(weight) => partition.weighing(weight),
            None => partition,
        });
        few_enough(partitions.len(), MAX_PARTITIONS).map_err(|error| split_hint(&error))?;
    }
    Ok(partitions)
}

/// Refuses early a plan that the root would refuse.
///
/// # Errors
/// The root's error for too many partitions.
fn few_enough(count: usize, most: usize) -> Result<(), Error> {
    if count > most {
        return Err(Error::TooManyPartitions { count, limit: most });
    }
    Ok(())
}

/// Converts the root's error to a complaint, with the hint separate.
fn split_hint(error: &Error) -> Complaint {
    let text = error.to_string();
    match text.split_once("\n(") {
        Some((text, hint)) => Complaint::new(text, hint.strip_suffix(')').unwrap_or(hint)),
        None => Complaint::new(text, ""),
    }
}
