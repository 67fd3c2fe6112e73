//! First bytes of a word as integers, which are hashed and compared without a loop.

/// The first 16 bytes of a word, padded with zeros. No word contains a zero, so a word of at most
/// 16 bytes *is* its head.
///
/// Heads are ordered as little-endian integers. That order has no meaning for words, but needs no
/// byte swap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Head {
    low: u64,
    high: u64,
}

impl Head {
    /// Makes a head from two integers: the first byte is in the lowest bits of `low`, the ninth in
    /// the lowest bits of `high`.
    #[inline(always)]
    pub fn new(low: u64, high: u64) -> Self {
        Self { low, high }
    }

    /// Makes the head of the word that is the first `length` bytes of `bytes`.
    #[inline]
    pub fn of(bytes: &[u8], length: usize) -> Self {
        let (low, high) = match bytes.first_chunk::<16>() {
            Some(bytes) => {
                let both = u128::from_le_bytes(*bytes);
                (both as u64, (both >> 64) as u64)
            }
            None => (gather(bytes), gather(bytes.get(8..).unwrap_or_default())),
        };
        Self { low: low & first(length), high: high & first(length.saturating_sub(8)) }
    }

    /// Returns the 16 bytes, padded with zeros.
    #[inline]
    pub fn to_bytes(self) -> [u8; 16] {
        (u128::from(self.high) << 64 | u128::from(self.low)).to_le_bytes()
    }

    /// Returns the word's length in bytes, which is right for a word of at most 16.
    pub fn length(self) -> usize {
        16 - (u128::from(self.high) << 64 | u128::from(self.low)).leading_zeros() as usize / 8
    }

    /// Hashes the head. Multiplication carries every bit into the highest bits, which the caller
    /// uses. The constants are those of splitmix64's finalizer: odd, and with half of their bits
    /// set.
    #[inline(always)]
    pub fn hash(self) -> u64 {
        self.low.wrapping_mul(0xbf58_476d_1ce4_e5b9) ^ self.high.wrapping_mul(0x94d0_49bb_1331_11eb)
    }
}

/// Returns a mask of the first `length` bytes of eight.
#[inline(always)]
fn first(length: usize) -> u64 {
    if length < 8 { (1 << (8 * length)) - 1 } else { u64::MAX }
}

/// Packs up to eight bytes into an integer, the first in the lowest bits.
#[inline]
pub fn gather(bytes: &[u8]) -> u64 {
    bytes.iter().take(8).rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
}
