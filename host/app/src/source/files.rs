//! Files as partitions: small ones whole, large ones in pieces.

use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use frond_root::{Error, Partition};

use super::content::{Piece, Planned, Unplanned};
use super::cut::{CutError, Span};
use super::walk::{self, Found};
use super::{Cutting, few_enough, split_hint};
use crate::error::{AppError, Origin};
use crate::size::show_size;

#[cfg(test)]
mod tests;

/// The files that `globs` name in the folder `base`, sorted by path, as partitions. A whole file's key is its path as
/// the glob leads to it; a piece's is `path#OFFSET+LEN`.
pub(super) fn partitions(
    base: &Path,
    globs: &[impl AsRef<str>],
    origin: &Origin,
    cutting: Cutting,
) -> Result<Vec<Partition>, AppError> {
    let found = walk::expand(base, globs, origin)?;
    let too_many = |error: Error| {
        let complaint = split_hint(&error);
        origin.refuse(complaint.text, complaint.hint)
    };
    few_enough(found.len()).map_err(too_many)?;
    let mut planned = Vec::with_capacity(found.len());
    for one in found {
        planned.push((plan(&one.path, origin)?, one));
    }
    let total = planned.iter().map(|(file, _)| file.size()).fold(0, u64::saturating_add);
    let piece = cutting.piece_for(total);
    // Before any are made: a piece of a few bytes could make more of them than fit in memory.
    let least = planned.iter().map(|(file, _)| file.size().div_ceil(piece).max(1));
    few_enough(usize::try_from(least.fold(0, u64::saturating_add)).unwrap_or(usize::MAX)).map_err(too_many)?;
    let mut partitions = Vec::with_capacity(planned.len());
    for (file, one) in planned {
        add(&mut partitions, file, &one, origin, cutting, piece)?;
    }
    few_enough(partitions.len()).map_err(too_many)?;
    Ok(partitions)
}

fn add(
    partitions: &mut Vec<Partition>,
    file: Planned,
    found: &Found,
    origin: &Origin,
    cutting: Cutting,
    piece: u64,
) -> Result<(), AppError> {
    let name = found.key();
    if file.size() <= piece {
        partitions.push(Partition::new(name, Piece::whole(file)));
        return Ok(());
    }
    let spans = spans(&file, origin, cutting, piece)?;
    let file = Arc::new(file);
    partitions.extend(spans.into_iter().map(|span| {
        let key = format!("{name}#{}+{}", span.offset, span.len);
        Partition::new(key, Piece::new(&file, span))
    }));
    Ok(())
}

fn spans(file: &Planned, origin: &Origin, cutting: Cutting, piece: u64) -> Result<Vec<Span>, AppError> {
    let path = file.path().display();
    let open = file
        .reopen()
        .map_err(|failure| origin.refuse(failure.message, "run the query again when nothing writes to it"))?;
    let read = |offset, buffer: &mut [u8]| open.read_exact_at(buffer, offset);
    cutting.spans(file.size(), piece, read).map_err(|error| match error {
        CutError::Read(cause) => unreadable(origin, file.path(), cause),
        CutError::LongLine(at) => {
            let limit = show_size(cutting.limit);
            let text = format!("the line at byte {at} of `{path}` is longer than a partition may be: {limit}");
            origin.refuse(text, "raise limits.leaf.partition, or set source.cut = \"bytes\" to cut within lines")
        }
    })
}

/// Plans the file at `path`.
///
/// # Errors
/// When it is not a regular file, or cannot be read.
pub(super) fn plan(path: &Path, origin: &Origin) -> Result<Planned, AppError> {
    match Planned::open(path) {
        Ok((planned, _)) => Ok(planned),
        Err(Unplanned::Io(cause)) => Err(unreadable(origin, path, cause)),
        Err(Unplanned::Special(what)) => {
            let text = format!("`{}` is {what}, not a regular file", path.display());
            let hint = "only regular files can be read again when a leaf is retried";
            Err(match origin {
                Origin::Written(_) => origin.refuse(text, hint),
                Origin::Caller => origin.refuse(text, format!("{hint}; pipe anything else in, with the input `-`")),
            })
        }
    }
}

fn unreadable(origin: &Origin, path: &Path, cause: io::Error) -> AppError {
    origin.failed(format!("cannot read `{}`", path.display()), "", cause)
}
