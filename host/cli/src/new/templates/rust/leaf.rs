//! The leaf: one partition in, one partial out.

use frond_plugin::{Failure, Partition, pieces};

use crate::{Lines, Query};

frond_plugin::leaf!(prepare, process);

/// Makes the state of a query, once an instance: what every partition needs, such as a compiled
/// pattern.
pub fn prepare(query: Query) -> Result<Query, Failure> {
    Ok(query)
}

/// Counts the long lines of one partition, piece by piece: idle slots may take the rest of a long
/// one.
pub fn process(query: &Query, _: Partition) -> Result<Lines, Failure> {
    let mut count = 0;
    let mut lines = pieces::lines();
    while let Some(line) = lines.next_record() {
        if line.bytes.len() as u64 > query.longer_than {
            count += 1;
        }
        // The partial of all lines so far, now and then. If the leaf is cut off later, it counts.
        lines.keep(|| Lines { count })?;
    }
    Ok(Lines { count })
}

#[test]
fn a_line_is_counted_when_it_is_longer() {
    let partition = Partition { key: "a".to_owned(), index: 0, data: Vec::new() };
    let leaf = || process(&Query { longer_than: 3 }, partition);
    // In pieces of 2 bytes.
    assert_eq!(frond_plugin::testing::partition(b"one\nthree\n", 2, leaf).unwrap(), Lines { count: 1 });
}
