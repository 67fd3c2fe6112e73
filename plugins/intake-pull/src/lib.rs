//! Pulls its partition piece by piece and says how many bytes it had, without looking at them: what is left is the cost
//! of handing the pieces over. A benchmark's guest.

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
