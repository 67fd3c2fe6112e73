//! Packets of a session, as protobuf messages.

use bytes::Bytes;
use prost::Message as _;

/// Version of the protocol. Peers of different versions do not understand each other.
pub(super) const VERSION: u32 = 1;

/// Most packets of frames in flight. The selective acknowledgement has a bit for each, and a
/// carrier keeps as many unread messages.
pub(super) const MAX_FLIGHT: usize = crate::carrier::UNREAD;

/// Bytes that a packet counts beyond its frames, in every window. No packet has a longer header.
pub(super) const PACKET_COST: u64 = 512;

/// Purpose of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub(super) enum Kind {
    /// Frames, acknowledgement, beat.
    Live = 0,
    /// The opener asks for a session.
    Open = 1,
    /// The accepter answers.
    Welcome = 2,
    /// The accepter speaks another version.
    Refuse = 3,
    /// The sender does not know the session of a packet.
    Reset = 4,
    /// The sender closes the session, or agrees to that.
    Goodbye = 5,
}

/// One message of the carrier.
///
/// The tags of `session`, `answer`, `kind` and `version` are those of every version to come.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Packet {
    /// The opener's number.
    #[prost(fixed64, tag = "1")]
    pub(super) session: u64,
    /// The accepter's number; zero in a packet that opens.
    #[prost(fixed64, tag = "2")]
    pub(super) answer: u64,
    /// Purpose.
    #[prost(enumeration = "Kind", tag = "3")]
    pub(super) kind: i32,
    /// Version of the protocol, where a session opens.
    #[prost(uint32, tag = "4")]
    pub(super) version: u32,
    /// Milliseconds until the sender's next packet, at the latest.
    #[prost(uint32, tag = "5")]
    pub(super) next: u32,
    /// True while much depends on the receiver.
    #[prost(bool, tag = "6")]
    pub(super) is_busy: bool,
    /// True if the receiver is to answer at once.
    #[prost(bool, tag = "7")]
    pub(super) asks: bool,
    /// Number of this transmission, from 1; zero in packets that open or end a session.
    #[prost(uint64, tag = "8")]
    pub(super) number: u64,
    /// Newest transmission of the receiver that has arrived.
    #[prost(uint64, tag = "9")]
    pub(super) newest: u64,
    /// All bodies up to this one have arrived.
    #[prost(uint64, tag = "10")]
    pub(super) ack: u64,
    /// Bit `i` (of byte `i / 8`, least first) is set if body `ack + 1 + i` has arrived.
    #[prost(bytes = "bytes", tag = "11")]
    pub(super) early: Bytes,
    /// Total of bytes that the sender will take, each body counted with [`PACKET_COST`].
    #[prost(uint64, tag = "12")]
    pub(super) limit: u64,
    /// Number of this packet's body, from 1; zero if there is none.
    #[prost(uint64, tag = "13")]
    pub(super) seq: u64,
    /// Small frames, each behind its length (a varint).
    #[prost(bytes = "bytes", tag = "14")]
    pub(super) packed: Bytes,
    /// Part of a larger frame.
    #[prost(bytes = "bytes", tag = "15")]
    pub(super) part: Bytes,
    /// Length of the frame that `part` belongs to; zero if there is no part.
    #[prost(uint64, tag = "16")]
    pub(super) of: u64,
}

impl Packet {
    /// A packet of a session that says nothing else.
    pub(super) fn new(session: u64, answer: u64, kind: Kind) -> Self {
        Self { session, answer, kind: kind.into(), ..Self::default() }
    }

    /// Encodes the packet as one message.
    pub(super) fn to_message(&self) -> Bytes {
        self.encode_to_vec().into()
    }
}
