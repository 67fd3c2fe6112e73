//! Partition for native tests of a leaf that takes [`pieces`](crate::pieces) or reads its
//! [`source`](crate::source).

use std::cell::RefCell;
use std::ops::Range;

use crate::pieces::{Span, Unit};

/// Partition of the current thread's leaf.
#[derive(Debug, Default)]
pub(crate) struct Given {
    pub(crate) content: Vec<u8>,
    /// Unit of the pieces.
    pub(crate) unit: Unit,
    /// Size of a piece.
    pub(crate) piece: u64,
    /// Units that are not handed out.
    pub(crate) left: Range<u64>,
    /// Units of the partials that were kept: where the last piece before each of them ended.
    pub(crate) kept: Vec<(u64, Vec<u8>)>,
}

thread_local! {
    static GIVEN: RefCell<Given> = RefCell::default();
}

/// Calls `leaf` with a partition of this content, handed out in pieces of `piece` bytes.
pub fn partition<T>(content: &[u8], piece: u64, leaf: impl FnOnce() -> T) -> T {
    share(content, 0..content.len() as u64, piece, leaf)
}

/// Calls `leaf` with a share of a partition: the bytes of `range`, handed out in pieces of `piece`
/// bytes.
pub fn share<T>(content: &[u8], range: Range<u64>, piece: u64, leaf: impl FnOnce() -> T) -> T {
    given(Given { content: content.to_vec(), piece, left: range, ..Given::default() }, leaf).0
}

/// Calls `leaf` with a partition of a `range` source: these integers, in pieces of `piece`.
pub fn range<T>(integers: Range<i64>, piece: u64, leaf: impl FnOnce() -> T) -> T {
    let Range { start, end } = integers;
    let content = serde_json::to_vec(&Span { start, end }).unwrap_or_default();
    let count = if start < end { end.abs_diff(start) } else { 0 };
    given(Given { content, unit: Unit::Integers, piece, left: 0..count, ..Given::default() }, leaf).0
}

/// Calls `leaf` with this partition. Returns its result, and the partition as the leaf left it.
pub(crate) fn given<T>(given: Given, leaf: impl FnOnce() -> T) -> (T, Given) {
    let before = GIVEN.replace(given);
    let result = leaf();
    (result, GIVEN.replace(before))
}

pub(crate) fn unit() -> Unit {
    GIVEN.with_borrow(|given| given.unit)
}

pub(crate) fn next() -> Option<Range<u64>> {
    GIVEN.with_borrow_mut(|given| {
        let begin = given.left.start;
        given.left.start = begin.saturating_add(given.piece.max(1)).min(given.left.end);
        Some(begin..given.left.start).filter(|piece| !piece.is_empty())
    })
}

pub(crate) fn keep(partial: &[u8]) {
    GIVEN.with_borrow_mut(|given| given.kept.push((given.left.start, partial.to_vec())));
}

pub(crate) fn skip_rest() {
    GIVEN.with_borrow_mut(|given| given.left.start = given.left.end);
}

pub(crate) fn size() -> u64 {
    GIVEN.with_borrow(|given| given.content.len() as u64)
}

pub(crate) fn read(offset: u64, len: u32) -> Vec<u8> {
    GIVEN.with_borrow(|given| {
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(given.content.len());
        let to = from.saturating_add(len as usize).min(given.content.len());
        given.content.get(from..to).unwrap_or_default().to_vec()
    })
}
