//! Takes its partition as a list and says how many bytes it had, without looking at them: what is left is the cost of
//! handing a partition over. A benchmark's guest.

use frond_plugin::{Failure, Partition, Raw};

frond_plugin::leaf!(process);

fn process(_: Raw, partition: Partition) -> Result<u64, Failure> {
    Ok(partition.data.len() as u64)
}
