//! Readers of a partition's content.

use crate::{Decode, Failure, Partition};

#[cfg(test)]
mod tests;

impl Partition {
    /// Returns the content as text.
    ///
    /// # Errors
    /// Content that is not UTF-8 is a [`Failure::InvalidPartition`], with the position of the first
    /// wrong byte.
    pub fn text(&self) -> Result<&str, Failure> {
        std::str::from_utf8(&self.data)
            .map_err(|error| Failure::InvalidPartition(format!("partition {} is not text: {error}", self.key)))
    }

    /// Decodes the content, and leaves `data` empty. For a serde type the content is JSON.
    ///
    /// # Errors
    /// Content that cannot be decoded is a [`Failure::InvalidPartition`].
    pub fn take<T: Decode>(&mut self) -> Result<T, Failure> {
        T::decode(std::mem::take(&mut self.data))
            .map_err(|error| Failure::InvalidPartition(format!("partition {} cannot be read: {error}", self.key)))
    }
}
