//! Size of one statement.

use super::*;

#[test]
fn a_statement_carries_a_bounded_number_of_rows_and_bytes() {
    let lengths = |sizes: &[usize]| chunks(sizes, |size| *size).map(<[usize]>::len).collect::<Vec<_>>();
    let (rows, bytes) = CHUNK;
    assert_eq!(lengths(&[]), Vec::<usize>::new());
    assert_eq!(lengths(&vec![1; rows * 2 + 1]), [rows, rows, 1]);
    assert_eq!(lengths(&[bytes, 1]), [1, 1]);
    assert_eq!(lengths(&[bytes / 2, bytes / 2, 1, 1]), [2, 2]);
    // An oversized element goes alone.
    assert_eq!(lengths(&[bytes * 3, bytes * 3, 0]), [1, 1, 1]);
}
