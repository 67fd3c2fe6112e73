//! Inputs to the cutting of a query's work.

use std::fmt;
use std::io::Read;
use std::path::Path;

use frond_root::plan::MAX_PARTITIONS;
use frond_root::{CancellationToken, Notes};

use super::pieces::PieceSize;
use super::walk::Scope;
use crate::error::{AppError, Origin};

/// Inputs to the cutting of a query's work.
pub struct Inputs<'a> {
    /// The query as the caller sent it.
    pub query: &'a [u8],
    /// Leaves that may run at once; automatic sizes depend on it.
    pub slots: usize,
    /// The most pieces of a range; other sources are checked once they are cut.
    pub most: usize,
    /// Replaces the app's piece size.
    pub piece_size: Option<PieceSize>,
    /// Globs, files or folders, relative to the current folder, that replace the app's source; `-`
    /// alone is stdin.
    pub input: &'a [String],
    /// Cancels the search for files once the query has ended.
    pub cancel: CancellationToken,
    /// Standard input; needed by [`Source::Stdin`](crate::Source::Stdin) and the input `-`.
    pub stdin: Option<Box<dyn Read + Send>>,
}

impl<'a> Inputs<'a> {
    /// Inputs of a query without piece size, input and stdin.
    #[must_use]
    pub fn new(query: &'a [u8], slots: usize) -> Self {
        Self {
            query,
            slots,
            most: MAX_PARTITIONS,
            piece_size: None,
            input: &[],
            cancel: CancellationToken::new(),
            stdin: None,
        }
    }
}

impl Inputs<'_> {
    pub(super) fn scope<'a>(&'a self, base: &'a Path, origin: &'a Origin, notes: &'a Notes) -> Scope<'a> {
        Scope { base, origin, notes, cancel: &self.cancel }
    }

    /// Checks the caller's inputs.
    ///
    /// # Errors
    /// When an input is empty, or stdin is named together with files.
    pub(super) fn check(&self) -> Result<(), AppError> {
        if self.input.iter().any(String::is_empty) {
            let hint = "name a file, a folder or a glob, or `-` for stdin";
            return Err(Origin::Caller.refuse("the input is empty", hint));
        }
        if self.input.iter().any(|one| one == "-") {
            return Err(Origin::Caller.refuse(
                "the input `-` (stdin) cannot be combined with other inputs",
                "pipe all data in, or name files",
            ));
        }
        Ok(())
    }
}

impl fmt::Debug for Inputs<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inputs")
            .field("query", &self.query.len())
            .field("slots", &self.slots)
            .field("piece_size", &self.piece_size)
            .field("input", &self.input)
            .field("stdin", &self.stdin.is_some())
            .finish()
    }
}
