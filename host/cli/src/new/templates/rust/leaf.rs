//! The leaf: one partition in, one partial out.

use frond_plugin::{Failure, Partition};

use crate::{Lines, Query};

frond_plugin::leaf!(process);

/// Counts the long lines of one partition.
pub fn process(query: Query, partition: Partition) -> Result<Lines, Failure> {
    let lines = partition.data.split(|byte| *byte == b'\n');
    let count = lines.filter(|line| line.len() as u64 > query.longer_than).count() as u64;
    Ok(Lines { count })
}

#[test]
fn a_line_is_counted_when_it_is_longer() {
    let partition = Partition { key: "a".to_owned(), index: 0, data: b"one\nthree\n".to_vec() };
    assert_eq!(process(Query { longer_than: 3 }, partition).unwrap(), Lines { count: 1 });
}
