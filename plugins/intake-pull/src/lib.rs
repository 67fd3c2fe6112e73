//! Benchmark guest that pulls its partition piece by piece and returns its size without reading it.
//! Its time is the cost of passing the pieces.

use frond_plugin::{Failure, Partition, Raw, source};

frond_plugin::leaf!(process);

fn process(_: Raw, _: Partition) -> Result<u64, Failure> {
    let mut reader = source::reader();
    let mut bytes = 0;
    while let Some(piece) = reader.next_piece() {
        bytes += piece.len() as u64;
    }
    Ok(bytes)
}
