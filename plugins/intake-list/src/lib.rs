//! Benchmark guest that gets its partition as a list and returns its size without reading it. Its
//! time is the cost of passing a partition.

use frond_plugin::{Failure, Partition, Raw};

frond_plugin::leaf!(process);

fn process(_: Raw, partition: Partition) -> Result<u64, Failure> {
    Ok(partition.data.len() as u64)
}
