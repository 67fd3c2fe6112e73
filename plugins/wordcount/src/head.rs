//! The first bytes of a word as integers, which are hashed and compared without a loop.

/// The first 16 bytes of a word, padded with zeros, which no word contains: so a word of at most 16 bytes *is* its head.
///
/// Heads are ordered as little-endian integers. For words that order means nothing, but it needs no byte swapped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Head {
    low: u64,
    high: u64,
}

impl Head {
    /// The head whose first byte is in the lowest bits of `low` and whose ninth is in those of `high`.
    #[inline(always)]
    pub fn new(low: u64, high: u64) -> Self {
        Self { low, high }
    }

    /// The head of the word that is the first `length` of these bytes.
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

    /// The 16 bytes.
    #[inline]
    pub fn to_bytes(self) -> [u8; 16] {
        (u128::from(self.high) << 64 | u128::from(self.low)).to_le_bytes()
    }

    /// How long the word is, if it is no longer than its head.
    pub fn length(self) -> usize {
        16 - (u128::from(self.high) << 64 | u128::from(self.low)).leading_zeros() as usize / 8
    }

    /// Multiplication carries every bit into the highest ones, which the caller takes. The constants are those of
    /// splitmix64's finalizer: odd, and with half of their bits set.
    #[inline(always)]
    pub fn hash(self) -> u64 {
        self.low.wrapping_mul(0xbf58_476d_1ce4_e5b9) ^ self.high.wrapping_mul(0x94d0_49bb_1331_11eb)
    }
}

/// The bits of the first `length` bytes of eight.
#[inline(always)]
fn first(length: usize) -> u64 {
    if length < 8 { (1 << (8 * length)) - 1 } else { u64::MAX }
}

/// Up to eight bytes, the first in the lowest bits.
#[inline]
pub fn gather(bytes: &[u8]) -> u64 {
    bytes.iter().take(8).rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
}
