//! Leaf that counts the lines of its pieces: rightly, or with a mistake that shows when its
//! partition is cut.

use std::iter;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use frond_plugin::{Failure, pieces, source};

use crate::partial::Partial;

/// Mistake of a leaf that counts the lines of its pieces.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mistake {
    /// It also counts the line that begins after its last piece.
    Peek,
    /// It drops the line that goes beyond its last piece.
    Drop,
    /// It returns after its first piece.
    Early,
    /// It keeps partials that lack the latest piece.
    KeepBehind,
    /// It adds the lines of the instance's earlier calls.
    Remember,
}

/// Counts and lists the lines through the SDK's reader, which keeps a partial now and then. The
/// kept ones are as `kept` makes them of the partials before and after the latest line.
///
/// # Errors
/// Fails only if a kept partial cannot be encoded.
pub fn read(kept: fn(Partial, Partial) -> Option<Partial>) -> Result<Partial, Failure> {
    let mut partial = Partial::default();
    let mut lines = pieces::lines();
    while let Some(line) = lines.next_record() {
        let before = partial.clone();
        partial.count += 1;
        partial.keys.insert(String::from_utf8_lossy(line.bytes).into_owned());
        if let Some(kept) = kept(before, partial.clone()) {
            lines.keep(|| kept)?;
        }
    }
    Ok(partial)
}

/// Number of lines that the instance has counted.
static LINES: AtomicU64 = AtomicU64::new(0);

/// Counts the lines that begin in the call's pieces, and lists them.
///
/// # Errors
/// Fails only if a kept partial cannot be encoded.
pub fn count(mistake: Option<Mistake>) -> Result<Partial, Failure> {
    let mut content = Vec::new();
    let mut reader = source::reader();
    while let Some(bytes) = reader.next_piece() {
        content.extend_from_slice(bytes);
    }
    let mut partial = Partial::default();
    let mut last = 0..0;
    while let Some(piece) = pieces::next() {
        if mistake == Some(Mistake::KeepBehind) {
            pieces::keep(&partial)?;
        }
        last = piece.clone();
        add_lines(&mut partial, &content, piece);
        if mistake == Some(Mistake::Early) {
            break;
        }
        if mistake.is_none() {
            pieces::keep(&partial)?;
        }
    }
    let end = content.len() as u64;
    match mistake {
        Some(Mistake::Peek) => {
            let next = line_begins(&content).find(|begin| *begin >= last.end).unwrap_or(end);
            add_lines(&mut partial, &content, next..(next + 1).min(end));
        }
        Some(Mistake::Drop) if line_begins(&content).all(|begin| begin != last.end) && last.end < end => {
            partial.count = partial.count.saturating_sub(1);
        }
        Some(Mistake::Remember) => {
            let own = partial.count;
            partial.count += LINES.fetch_add(own, Ordering::Relaxed);
        }
        _ => {}
    }
    Ok(partial)
}

/// Returns the offsets at which lines begin.
fn line_begins(content: &[u8]) -> impl Iterator<Item = u64> {
    let after_ends = (1..).zip(content).filter(|(_, byte)| **byte == b'\n').map(|(after, _)| after);
    iter::once(0).chain(after_ends).filter(|begin| *begin < content.len() as u64)
}

/// Adds the lines that begin in `piece`.
fn add_lines(partial: &mut Partial, content: &[u8], piece: Range<u64>) {
    for begin in line_begins(content).filter(|begin| piece.contains(begin)) {
        let rest = content.get(begin as usize..).unwrap_or_default();
        let line = rest.split(|byte| *byte == b'\n').next().unwrap_or_default();
        partial.count += 1;
        partial.keys.insert(String::from_utf8_lossy(line).into_owned());
    }
}
