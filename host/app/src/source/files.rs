//! Files as partitions: small ones whole, large ones in pieces. A file that cannot be read becomes
//! a missing partition.

use std::collections::HashSet;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use frond_root::plan::MAX_PARTITIONS;
use frond_root::share::FIRST_BYTES;
use frond_root::{Error, Notes, Partition};

use super::check::{few_enough, split_hint};
use super::content::{Missing, Piece, PlanContext, PlannedFile};
use super::cut::{CutError, Cutting, Span};
use super::glob::Glob;
use super::open::{Input, Problem, look};
use super::pieces::CutMode;
use super::sniff;
use super::stamp::Identity;
use super::walk::{self, FoundFile, Scope};
use crate::error::{AppError, Origin};
use crate::size::show_size;

#[cfg(test)]
mod tests;

/// Most bytes held in memory for files that do not report their size.
pub const MAX_MADE: u64 = 64 << 20;

/// Note on a link to a file that is already a partition.
const ONCE: &str = "left out: a link to a file that is a partition under another name";
/// Note on a CSV file in pieces.
const QUOTED: &str =
    "cut at line ends, also inside quoted fields (set source.cut = \"none\" if fields may contain line ends)";

/// Reason why a file is not a partition.
#[derive(Debug)]
pub(super) struct FileProblem {
    text: String,
    hint: String,
    cause: Option<io::Error>,
    size: u64,
}

impl FileProblem {
    fn refused(refused: Problem, path: &Path, origin: &Origin) -> Self {
        let size = refused.size();
        let is_special = matches!(refused, Problem::Special(_));
        let (text, hint, cause) = refused.complaint(path);
        let hint = match origin {
            Origin::Caller if is_special => format!("{hint}; pipe anything else in, with the input `-`"),
            _ => hint.to_owned(),
        };
        Self { text, hint, cause, size }
    }

    /// Returns the problem of a file that `frond.toml` names but that does not exist.
    pub(super) fn absent(path: &Path) -> Self {
        let text = format!("there is no file `{}`", path.display());
        Self { text, hint: "paths are relative to frond.toml".to_owned(), cause: None, size: 0 }
    }

    /// Converts the problem to an error that ends the query.
    pub(super) fn into_error(self, origin: &Origin) -> AppError {
        match self.cause {
            Some(cause) => origin.failed(self.text, self.hint, cause),
            None => origin.refuse(self.text, self.hint),
        }
    }

    /// Converts the problem to the content of a missing partition.
    pub(super) fn content(&self) -> Missing {
        let remedy = if self.hint.is_empty() { String::new() } else { format!(" ({})", self.hint) };
        let cause = self.cause.as_ref().map(|cause| format!(": {cause}")).unwrap_or_default();
        Missing::new(format!("{}{cause}{remedy}", self.text), self.size)
    }
}

/// Plans the files of one query.
pub(super) struct Planning<'a> {
    origin: &'a Origin,
    home: Arc<PlanContext>,
    now: SystemTime,
    /// Largest partition, in bytes.
    limit: u64,
    /// Bytes that may still be held in memory.
    room: u64,
}

/// A file that was examined.
pub(super) struct Candidate {
    identity: Identity,
    pub(super) body: Body,
}

/// Content of a file.
pub(super) enum Body {
    /// A file that is cut now and read when leaves run.
    File(PlannedFile),
    /// Bytes that were read already.
    Bytes(bytes::Bytes),
}

impl<'a> Planning<'a> {
    pub(super) fn new(base: &Path, origin: &'a Origin, notes: &Arc<Notes>, limit: u64) -> Self {
        let is_app = matches!(origin, Origin::Written(_));
        let home = Arc::new(PlanContext::new(base, is_app, notes));
        Self { origin, home, now: SystemTime::now(), limit, room: MAX_MADE }
    }

    /// Examines the file `name`. `is_regular` is true if its folder lists it as a regular file.
    pub(super) fn look(&mut self, name: &Path, is_regular: bool) -> Result<Candidate, FileProblem> {
        let path = self.home.path(name);
        let refused = |refused| FileProblem::refused(refused, &path, self.origin);
        Ok(match look(&path, is_regular, self.limit.min(self.room), self.now).map_err(refused)? {
            Input::File(stamp, identity) => {
                Candidate { identity, body: Body::File(PlannedFile::new(&self.home, name, stamp)) }
            }
            Input::Bytes(bytes, identity) => {
                self.room -= bytes.len() as u64;
                Candidate { identity, body: Body::Bytes(bytes) }
            }
        })
    }
}

/// Partitions of the files that `globs` name, sorted by path. The key of a whole file is its path
/// as the glob leads to it; the key of a piece is `path#OFFSET+LEN`.
///
/// # Errors
/// Errors of the globs; too many files or pieces; no readable file.
pub(super) fn partitions(
    globs: &[Glob],
    scope: Scope<'_>,
    notes: &Arc<Notes>,
    cutting: Cutting,
) -> Result<Vec<Partition>, AppError> {
    let origin = scope.origin;
    let found = walk::expand(globs, scope)?;
    let too_many = |error: Error| {
        let complaint = split_hint(&error);
        origin.refuse(complaint.text, complaint.hint)
    };
    few_enough(found.len(), MAX_PARTITIONS).map_err(too_many)?;
    let mut planning = Planning::new(scope.base, origin, notes, cutting.limit);
    let mut candidates = Vec::with_capacity(found.len());
    for mut one in found {
        scope.check()?;
        let what = match one.unread.take() {
            Some(cause) => Err(unread_folder(&one, cause, &planning)),
            None => planning.look(&one.name, one.is_regular),
        };
        candidates.push((what, one));
    }
    once(&mut candidates, notes);
    let sizes = || candidates.iter().filter_map(|(what, _)| what.as_ref().ok()).map(Candidate::size);
    let piece = cutting.piece_for(sizes().fold(0, u64::saturating_add));
    // Counts first: with a piece size of a few bytes, the pieces might not fit in memory.
    let least = sizes().map(|size| size.div_ceil(piece).max(1)).fold(0, u64::saturating_add);
    few_enough(usize::try_from(least).unwrap_or(usize::MAX), MAX_PARTITIONS).map_err(too_many)?;
    let partitions = Cutter { cutting, piece, notes, scope }.cut(candidates)?;
    few_enough(partitions.len(), MAX_PARTITIONS).map_err(too_many)?;
    Ok(partitions)
}

impl Candidate {
    fn size(&self) -> u64 {
        match &self.body {
            Body::File(file) => file.size(),
            Body::Bytes(_) => 0,
        }
    }
}

fn unread_folder(found: &FoundFile, cause: io::Error, planning: &Planning<'_>) -> FileProblem {
    let text = format!("cannot read the folder `{}`", planning.home.path(&found.name).display());
    FileProblem { text, hint: String::new(), cause: Some(cause), size: 0 }
}

/// Drops links to files that are present under another name.
fn once(candidates: &mut Vec<(Result<Candidate, FileProblem>, FoundFile)>, notes: &Notes) {
    let identity = |one: &Result<Candidate, FileProblem>| one.as_ref().ok().map(|candidate| candidate.identity);
    if candidates.iter().all(|(_, found)| !found.is_linked) {
        return;
    }
    let by_name = candidates.iter().filter(|(_, found)| !found.is_linked);
    let mut there: HashSet<Identity> = by_name.filter_map(|(one, _)| identity(one)).collect();
    candidates.retain(|(one, found)| {
        let is_again = found.is_linked && identity(one).is_some_and(|identity| !there.insert(identity));
        if is_again {
            notes.add(ONCE, &found.key());
        }
        !is_again
    });
}

/// Makes partitions of files.
struct Cutter<'a> {
    cutting: Cutting,
    piece: u64,
    notes: &'a Notes,
    scope: Scope<'a>,
}

impl Cutter<'_> {
    /// Cuts `files` into partitions.
    ///
    /// # Errors
    /// The first file's problem, if no file can be read.
    fn cut(&self, files: Vec<(Result<Candidate, FileProblem>, FoundFile)>) -> Result<Vec<Partition>, AppError> {
        let mut partitions = Vec::with_capacity(files.len());
        let mut first = None;
        let mut read = false;
        for (what, found) in files {
            self.scope.check()?;
            match what.and_then(|candidate| self.add(&mut partitions, candidate.body, &found)) {
                Ok(()) => read = true,
                Err(loss) => {
                    partitions.push(Partition::new(found.key(), loss.content()));
                    first.get_or_insert(loss);
                }
            }
        }
        match first {
            Some(loss) if !read => Err(loss.into_error(self.scope.origin)),
            _ => Ok(partitions),
        }
    }

    fn add(&self, partitions: &mut Vec<Partition>, body: Body, found: &FoundFile) -> Result<(), FileProblem> {
        let name = found.key();
        let file = match body {
            Body::Bytes(bytes) => {
                partitions.push(Partition::new(name, bytes));
                return Ok(());
            }
            Body::File(file) => file,
        };
        let is_compressed = has_compressed_name(&found.name) || self.cutting.is_compressed(&file);
        let is_undivided = is_compressed && self.cutting.pulls;
        if file.size() <= self.piece || is_undivided {
            let whole = Piece::whole(file);
            let is_one = self.cutting.mode == CutMode::None || is_compressed;
            partitions.push(Partition::new(name, if is_one { whole.undivided() } else { whole }));
            return Ok(());
        }
        let spans = self.spans(&file)?;
        if self.cutting.mode == CutMode::Lines && is_csv(&found.name) {
            self.notes.add(QUOTED, &name);
        }
        let file = Arc::new(file);
        partitions.extend(spans.into_iter().map(|span| {
            let key = format!("{name}#{}+{}", span.offset, span.len);
            Partition::new(key, Piece::new(&file, span))
        }));
        Ok(())
    }

    fn spans(&self, file: &PlannedFile) -> Result<Vec<Span>, FileProblem> {
        let path = file.path();
        let size = file.size();
        let loss = |text: String, hint: &str| FileProblem { text, hint: hint.to_owned(), cause: None, size };
        let limit = show_size(self.cutting.limit);
        if self.cutting.mode == CutMode::None {
            return Err(too_large(&path, size, &limit, "cut the file: source.cut = \"lines\""));
        }
        let again = "run the query again when nothing writes to it";
        let open = file.reopen().map_err(|failure| loss(failure.message, again))?;
        let read = |offset, buffer: &mut [u8]| open.read_exact_at(buffer, offset);
        self.cutting.spans(size, self.piece, read).map_err(|error| match error {
            CutError::Read(cause) => FileProblem::refused(Problem::Io(cause, size), &path, self.scope.origin),
            CutError::LongLine(at) => loss(
                format!("the line at byte {at} of `{}` is longer than a partition may be: {limit}", path.display()),
                "raise limits.leaf.partition, or set source.cut = \"bytes\" to cut within lines",
            ),
        })
    }
}

impl Cutting {
    /// True if the file begins like a compressed one. Only files that leaves take in several pieces
    /// are looked into; a file that cannot be read is examined again when its leaf runs.
    pub(super) fn is_compressed(&self, file: &PlannedFile) -> bool {
        let mut first = [0; sniff::FIRST];
        self.pulls
            && file.size() > FIRST_BYTES
            && file.reopen().is_ok_and(|open| open.read_exact_at(&mut first, 0).is_ok())
            && sniff::is_compressed(&first)
    }
}

/// Returns the problem of a file that is not cut and is larger than a partition may be.
pub(super) fn too_large(path: &Path, size: u64, limit: &str, instead: &str) -> FileProblem {
    FileProblem {
        text: format!("`{}` has {size} bytes, more than a partition may have: {limit}", path.display()),
        hint: format!("raise limits.leaf.partition, or {instead}"),
        cause: None,
        size,
    }
}

fn is_csv(name: &Path) -> bool {
    has_extension(name, &["csv", "tsv"])
}

/// Returns true for a compressed file, of which a part says nothing without what precedes it.
fn has_compressed_name(name: &Path) -> bool {
    has_extension(name, &["gz", "zst", "xz", "bz2", "lz4", "zip", "7z"])
}

fn has_extension(name: &Path, extensions: &[&str]) -> bool {
    let own = name.extension().map(std::ffi::OsStr::to_ascii_lowercase);
    own.is_some_and(|own| extensions.iter().any(|extension| own == *extension))
}
