//! Standard input as partitions: cut while it arrives, and held in memory until its leaves have
//! run.

use std::io::{self, Read};

use bytes::Bytes;
use frond_root::Partition;
use frond_root::plan::MAX_PARTITIONS;

use super::check::{few_enough, split_hint};
use super::cut::Cutting;
use super::memory::of_bytes;
use super::pieces::{CutMode, PieceSize};
use super::sniff;
use crate::error::{AppError, Origin};
use crate::size::show_size;

#[cfg(test)]
mod tests;

/// Most bytes that are read. All of them are in memory at once, since a leaf may be retried.
pub const MAX_STDIN: u64 = 1 << 30;

/// Automatic size of pieces, in bytes. Fixed, as the total size is unknown when the first piece is
/// cut.
pub const STDIN_PIECE: u64 = 1 << 20;

/// Bytes per read beyond a piece, to complete its last line.
const BLOCK: u64 = 64 << 10;

/// Cuts the input into pieces with keys `stdin#OFFSET+LEN`; an empty input gives none.
pub(super) fn partitions(input: Option<Box<dyn Read + Send>>, cutting: Cutting) -> Result<Vec<Partition>, AppError> {
    let Some(input) = input else {
        let text = "the query reads stdin, but nothing is piped in";
        return Err(Origin::Caller.refuse(text, "pipe the data in, or name a file as the input"));
    };
    drain(input, cutting, MAX_STDIN)
}

fn drain(input: impl Read, cutting: Cutting, most: u64) -> Result<Vec<Partition>, AppError> {
    let piece = match cutting.piece {
        PieceSize::Auto => STDIN_PIECE.min(cutting.limit),
        PieceSize::Bytes(bytes) => bytes.min(cutting.limit),
    };
    // Limits are sizes of memory, so they fit into `usize`.
    let piece = usize::try_from(piece).unwrap_or(usize::MAX).max(1);
    let mut stream = Stream { input, held: Vec::new(), taken: 0, most, ended: false };
    if cutting.mode == CutMode::None {
        return whole(stream, cutting.limit);
    }
    stream.fill(piece)?;
    if cutting.pulls && sniff::is_compressed(&stream.held) {
        return whole(stream, cutting.limit);
    }
    let mut partitions = Vec::new();
    loop {
        stream.fill(piece)?;
        let offset = stream.taken - stream.held.len() as u64;
        let len = match cutting.mode {
            _ if stream.ended && stream.held.len() <= piece => stream.held.len(),
            CutMode::Bytes | CutMode::None => piece,
            CutMode::Lines => stream.line_end(piece, offset, cutting.limit)?,
        };
        if len == 0 {
            return Ok(partitions);
        }
        let rest = stream.held.split_off(len);
        let data = Bytes::from(std::mem::replace(&mut stream.held, rest).into_boxed_slice());
        partitions.push(Partition::new(format!("stdin#{offset}+{len}"), data));
        few_enough(partitions.len(), MAX_PARTITIONS).map_err(|error| {
            let complaint = split_hint(&error);
            Origin::Caller.refuse(complaint.text, complaint.hint)
        })?;
    }
}

/// Reads all of the input as one partition; an empty input gives none.
fn whole(mut stream: Stream<impl Read>, limit: u64) -> Result<Vec<Partition>, AppError> {
    stream.fill(usize::try_from(limit.saturating_add(1)).unwrap_or(usize::MAX))?;
    let len = stream.held.len();
    match len {
        0 => Ok(Vec::new()),
        _ if len as u64 > limit => Err(too_much(limit)),
        _ => {
            let data = Bytes::from(stream.held);
            let partition = Partition::new(format!("stdin#0+{len}"), data.clone());
            Ok(vec![Partition { content: of_bytes(data), ..partition }])
        }
    }
}

/// Standard input, with the bytes that are read but not yet cut.
struct Stream<R> {
    input: R,
    held: Vec<u8>,
    taken: u64,
    most: u64,
    ended: bool,
}

impl<R: Read> Stream<R> {
    /// Reads until `len` bytes are held, or the input ends.
    fn fill(&mut self, len: usize) -> Result<(), AppError> {
        let wanted = len.saturating_sub(self.held.len()) as u64;
        // One byte beyond the limit tells that there are too many.
        let wanted = wanted.min((self.most - self.taken).saturating_add(1));
        if wanted == 0 || self.ended {
            return Ok(());
        }
        let more = self.input.by_ref().take(wanted).read_to_end(&mut self.held).map_err(unreadable)?;
        self.ended = (more as u64) < wanted;
        self.taken += more as u64;
        if self.taken > self.most {
            let text = format!("more than {} are piped in", show_size(self.most));
            return Err(Origin::Caller.refuse(
                text,
                "write the data to a file, and name the file as the input: files are not held in memory",
            ));
        }
        Ok(())
    }

    /// Returns the length up to the last line end within `piece` bytes, or else up to the next line
    /// end or the end of the input.
    fn line_end(&mut self, piece: usize, offset: u64, limit: u64) -> Result<usize, AppError> {
        let newline = |byte: &u8| *byte == b'\n';
        let within = self.held.get(..piece).unwrap_or(&self.held);
        if let Some(at) = within.iter().rposition(newline) {
            return Ok(at + 1);
        }
        let mut searched = within.len();
        loop {
            let after = self.held.get(searched..).unwrap_or_default();
            let found = after.iter().position(newline).map(|at| searched + at + 1);
            let end = found.unwrap_or(self.held.len());
            if end as u64 > limit {
                let limit = show_size(limit);
                let text = format!("the line at byte {offset} of stdin is longer than a partition may be: {limit}");
                let hint = "raise limits.leaf.partition, or set source.cut = \"bytes\" to cut within lines";
                return Err(Origin::Caller.refuse(text, hint));
            }
            if found.is_some() || self.ended {
                return Ok(end);
            }
            searched = end;
            self.fill(end.saturating_add(usize::try_from(BLOCK).unwrap_or_default()))?;
        }
    }
}

fn too_much(limit: u64) -> AppError {
    let text = format!("stdin is larger than a partition may be: {}", show_size(limit));
    Origin::Caller.refuse(text, "raise limits.leaf.partition, or cut the input: source.cut = \"lines\"")
}

fn unreadable(cause: io::Error) -> AppError {
    Origin::Caller.failed("cannot read stdin", "", cause)
}
