//! Cuts a query's work into partitions, by the kind of the app's source.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use frond_root::{Notes, Partition};

use super::check::checked;
use super::cut::{Cutting, PIECES_PER_SLOT};
use super::glob::Glob;
use super::inputs::Inputs;
use super::pieces::{CutMode, PieceSize};
use super::{Source, caller, files, list, range, stdin};
use crate::app::App;
use crate::error::{AppError, Origin};

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
            ([], Source::List(listed)) => list::partitions(listed, &self.dir, &notes, cutting)?,
            ([], Source::Range { start, end, step, at }) => {
                range::partitions(*start..*end, *step, (inputs.slots, inputs.most), &Origin::Written(at.clone()))?
            }
            ([], Source::Query) => {
                let (query, partitions) = caller::partitions(inputs.query, self.largest_partition())?;
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
            Source::Query => caller::partitions(query, self.largest_partition()).map(drop),
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
        checked(pieces, self.largest_partition()).map_err(|wrong| component.misfit(wrong))
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
        let limit = self.largest_partition();
        let piece = inputs.piece_size.unwrap_or(piece).check(limit);
        Ok(Cutting {
            piece: piece.map_err(|(text, hint)| Origin::Caller.refuse(text, hint))?,
            mode,
            slots: inputs.slots,
            limit,
            pulls: self.pulls,
        })
    }
}
