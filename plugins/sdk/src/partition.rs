//! Ways to read a partition's content.

use crate::{Decode, Failure, Partition};

#[cfg(test)]
mod tests;

impl Partition {
    /// The content as text, or the place of its first byte that is not UTF-8.
    pub fn text(&self) -> Result<&str, Failure> {
        std::str::from_utf8(&self.data)
            .map_err(|error| Failure::InvalidPartition(format!("partition {} is not text: {error}", self.key)))
    }

    /// The content as a value, leaving `data` empty. For a serde type the content is JSON.
    pub fn take<T: Decode>(&mut self) -> Result<T, Failure> {
        T::decode(std::mem::take(&mut self.data))
            .map_err(|error| Failure::InvalidPartition(format!("partition {} cannot be read: {error}", self.key)))
    }
}
