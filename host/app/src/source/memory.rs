//! Content that is in memory: bytes, a range as text, or something compressed.

use std::sync::Arc;

use bytes::Bytes;
use frond_root::{Content, Failure, Grain, Units};

use super::integers::Integers;
use super::sniff;

/// Content of these bytes. If they are just what a range writes, `{"start":a,"end":b}`, leaves that
/// take it piece by piece count its integers, as in an app with a range: so a leaf for ranges is
/// right wherever its partitions come from. Compressed bytes are handed out at once.
#[must_use]
pub fn of_bytes(bytes: Bytes) -> Arc<dyn Content> {
    match Integers::read_from(&bytes) {
        Some(integers) => Arc::new(integers),
        None if sniff::is_compressed(&bytes) => Arc::new(Undivided(bytes)),
        None => Arc::new(bytes),
    }
}

/// Bytes that are handed out at once, to a single leaf.
#[derive(Debug)]
struct Undivided(Bytes);

impl Content for Undivided {
    fn size(&self) -> u64 {
        self.0.size()
    }

    fn units(&self) -> Units {
        Units { count: self.0.size(), grain: Grain::Whole }
    }

    fn read(&self, offset: u64, len: usize) -> Result<Bytes, Failure> {
        self.0.read(offset, len)
    }

    fn whole(&self) -> Result<Bytes, Failure> {
        self.0.whole()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_cut_unless_they_are_a_range_or_compressed() {
        let grain = |bytes: &'static [u8]| of_bytes(Bytes::from_static(bytes)).units().grain;
        assert_eq!(grain(b"a\nb\n"), Grain::Byte);
        assert_eq!(grain(br#"{"start":1,"end":9}"#), Grain::Integer);
        assert_eq!(grain(b"\x28\xb5\x2f\xfdrest"), Grain::Whole);
        assert_eq!(of_bytes(Bytes::from_static(b"BZhrest")).whole().unwrap(), "BZhrest");
    }
}
