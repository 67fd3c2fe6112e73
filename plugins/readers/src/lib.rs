//! Leaf that reports what each reader of pieces gives it, for tests that compare the languages.
//!
//! The query names a reader: `r;` for records that end with a semicolon, `b;` for the same in
//! blocks, `c` for chunks, `i` for integers. The partial lists everything that the reader gave: the
//! size of a record or chunk before its bytes, the offset of a block before its size, or the start
//! and end of a range.

use frond_plugin::{Failure, Partition, Raw, pieces};

frond_plugin::leaf!(process);

fn process(query: Raw, _: Partition) -> Result<Raw, Failure> {
    let mut found = Vec::new();
    match query.0[..] {
        [b'r', delimiter] => {
            let mut records = pieces::records(delimiter);
            while let Some(record) = records.next_record() {
                put(&mut found, &[record.bytes.len()], record.bytes);
                records.keep(|| Raw(found.clone()))?;
            }
        }
        [b'b', delimiter] => {
            let mut records = pieces::records(delimiter);
            while let Some(block) = records.next_block() {
                put(&mut found, &[block.offset as usize, block.bytes.len()], block.bytes);
                records.keep(|| Raw(found.clone()))?;
            }
        }
        [b'c'] => {
            let mut chunks = pieces::chunks();
            while let Some(chunk) = chunks.next_chunk() {
                put(&mut found, &[chunk.bytes.len()], chunk.bytes);
                chunks.keep(|| Raw(found.clone()))?;
            }
        }
        [b'i'] => {
            let mut integers = pieces::integers()?;
            while let Some(range) = integers.next() {
                found.extend_from_slice(format!("{} {}\n", range.start, range.end).as_bytes());
                integers.keep(|| Raw(found.clone()))?;
            }
        }
        _ => return Err(Failure::InvalidQuery("no such reader".to_owned())),
    }
    Ok(Raw(found))
}

fn put(found: &mut Vec<u8>, numbers: &[usize], bytes: &[u8]) {
    let numbers: Vec<_> = numbers.iter().map(ToString::to_string).collect();
    found.extend_from_slice(numbers.join(" ").as_bytes());
    found.push(b'\n');
    found.extend_from_slice(bytes);
}
