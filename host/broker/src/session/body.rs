//! Bodies of packets: small frames packed together, or a part of a larger frame.

use bytes::{Buf, Bytes};

use super::wire::PACKET_COST;

/// Least bytes by which the memory of a large frame grows while its parts arrive.
const GROWTH: usize = 1 << 20;

/// Content of a packet. The receiver gets bodies in order, each once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Body {
    /// Small frames, each behind its length.
    Packed(Bytes),
    /// Part of a frame of so many bytes.
    Part(Bytes, u64),
}

impl Body {
    /// Bytes that the body counts in every window.
    pub(super) fn charge(&self) -> u64 {
        self.bytes().len() as u64 + PACKET_COST
    }

    /// Encoded frames, or the part.
    pub(super) fn bytes(&self) -> &Bytes {
        match self {
            Self::Packed(bytes) | Self::Part(bytes, _) => bytes,
        }
    }
}

/// Splits the first frame off packed ones. Ends, as if there were none, at what is no frame.
pub(super) fn split(packed: &mut Bytes) -> Option<Bytes> {
    if packed.is_empty() {
        return None;
    }
    let length = prost::decode_length_delimiter(&mut *packed).ok().filter(|length| *length <= packed.len());
    match length {
        Some(length) => Some(packed.split_to(length)),
        None => {
            packed.clear();
            None
        }
    }
}

/// Whether packed frames are whole, at least one, and none larger than this.
pub(super) fn is_whole(mut packed: &[u8], largest: usize) -> bool {
    if packed.is_empty() {
        return false;
    }
    while !packed.is_empty() {
        match prost::decode_length_delimiter(&mut packed) {
            Ok(length) if length <= packed.len().min(largest) => packed.advance(length),
            _ => return false,
        }
    }
    true
}

/// Frames of the bodies that arrive, in order.
#[derive(Debug, Default)]
pub(super) struct Frames {
    /// Frames that are not read, behind their lengths.
    packed: Bytes,
    /// Parts of a larger frame.
    large: Vec<u8>,
}

impl Frames {
    /// Takes the next body, whose predecessor has been read. Returns a frame that it completes.
    pub(super) fn take(&mut self, body: Body) -> Option<Bytes> {
        match body {
            Body::Packed(packed) => {
                self.packed = packed;
                self.next()
            }
            Body::Part(part, of) if part.len() as u64 == of => Some(part),
            Body::Part(part, of) => self.grow(&part, usize::try_from(of).unwrap_or(usize::MAX)),
        }
    }

    /// The next frame of the same body.
    pub(super) fn next(&mut self) -> Option<Bytes> {
        split(&mut self.packed)
    }

    /// Adds a part. Memory grows with what has arrived, never with what is announced.
    fn grow(&mut self, part: &[u8], of: usize) -> Option<Bytes> {
        let free = self.large.capacity() - self.large.len();
        if free < part.len() {
            let rest = of.saturating_sub(self.large.len());
            self.large.reserve_exact(self.large.len().max(GROWTH).min(rest).max(part.len()));
        }
        self.large.extend_from_slice(part);
        (self.large.len() >= of).then(|| std::mem::take(&mut self.large).into())
    }
}
