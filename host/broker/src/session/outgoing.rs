//! Sending half of the state machine: packing, flight, acknowledgements, and repetition.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use tokio::time::Instant;

use super::body::Body;
use super::wire::{MAX_FLIGHT, PACKET_COST};

/// Most bytes of a packet's frames, or of a part. A packet stays well below
/// [`MAX_MESSAGE`](crate::carrier::MAX_MESSAGE), so that others get between.
const MAX_BODY: usize = 256 << 10;

/// Most small frames of a packet.
const MAX_PACKED: usize = 64;

/// A frame of more bytes than this has packets of its own: copying it would cost more than the
/// packets.
const SMALL: usize = 16 << 10;

/// Bytes that a frame counts beyond its own, so that empty frames are bounded, too.
pub(super) const FRAME_COST: usize = 32;

/// Later transmissions that arrive before a packet until it counts as lost, as in RFC 9002.
const OVERTAKEN: u64 = 3;

/// Body that is sent and not acknowledged.
#[derive(Debug)]
struct Flight {
    body: Body,
    /// Number of its last transmission.
    number: u64,
    sent_at: Instant,
    /// Bytes that it counts in the window.
    charge: u64,
    /// Bytes of frames that its acknowledgement frees.
    cost: usize,
    is_acknowledged: bool,
    /// True while it waits to be sent again.
    is_lost: bool,
}

/// Acknowledgement of a packet, as [`Packet`](super::wire::Packet) has it.
#[derive(Debug)]
pub(super) struct Acknowledgement<'a> {
    pub(super) ack: u64,
    pub(super) early: &'a [u8],
    pub(super) newest: u64,
    pub(super) limit: u64,
}

/// Effect of an acknowledgement.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Progress {
    /// Bytes of frames that need not be kept any longer.
    pub(super) freed: usize,
    /// True if any packet was acknowledged.
    pub(super) is_any: bool,
    /// Measured round trip.
    pub(super) took: Option<Duration>,
}

/// Frames that are to be sent, and bodies in flight.
#[derive(Debug)]
pub(super) struct Outgoing {
    window: u64,
    /// Frames that wait for their packet.
    backlog: VecDeque<Bytes>,
    /// Rest of a large frame, and the length of the whole.
    large: Option<(Bytes, u64)>,
    flight: VecDeque<Flight>,
    /// Number of the first body in flight.
    first: u64,
    /// Bodies that are to be sent again.
    again: VecDeque<u64>,
    /// Bytes in flight.
    flying: u64,
    /// Bytes of all bodies that were sent.
    sent: u64,
    /// Total of bytes that the peer takes.
    limit: u64,
    /// Newest transmission that arrived.
    newest: u64,
    /// Start of the time after which the first body is sent again.
    pub(super) waits_since: Instant,
}

impl Outgoing {
    /// Nothing is to be sent, and so many bytes may be in flight once the peer has said so.
    pub(super) fn new(window: usize, now: Instant) -> Self {
        Self {
            window: window as u64,
            backlog: VecDeque::new(),
            large: None,
            flight: VecDeque::new(),
            first: 1,
            again: VecDeque::new(),
            flying: 0,
            sent: 0,
            limit: 0,
            newest: 0,
            waits_since: now,
        }
    }

    /// Takes the peer's first limit.
    pub(super) fn open(&mut self, limit: u64) {
        self.limit = self.limit.max(limit);
    }

    /// Whether all that was to be sent is in flight.
    pub(super) fn wants_frames(&self) -> bool {
        self.backlog.is_empty() && self.large.is_none()
    }

    /// Swaps the empty backlog for these frames.
    pub(super) fn take(&mut self, frames: &mut VecDeque<Bytes>) {
        std::mem::swap(&mut self.backlog, frames);
    }

    /// Whether everything is acknowledged.
    pub(super) fn is_done(&self) -> bool {
        self.flight.is_empty() && self.wants_frames()
    }

    /// Whether an acknowledgement is awaited.
    pub(super) fn is_flying(&self) -> bool {
        !self.flight.is_empty()
    }

    /// Whether frames wait for nothing but the peer's window.
    pub(super) fn is_starved(&self) -> bool {
        self.flight.is_empty() && !self.wants_frames()
    }

    /// Marks the first body as lost: its acknowledgement took too long.
    ///
    /// The first alone: if it arrives, the acknowledgement shows which others are lost; if it does
    /// not, the link is down, or the peer is slow, and more packets would do harm.
    pub(super) fn time_out(&mut self, now: Instant) {
        self.waits_since = now;
        let first = self.first;
        if let Some(flight) = self.flight.front_mut().filter(|flight| !flight.is_lost) {
            flight.is_lost = true;
            self.again.push_front(first);
        }
    }

    /// The body of the next transmission, with its number: a lost one, else a new one.
    pub(super) fn next(&mut self, number: u64, now: Instant) -> Option<(u64, Body)> {
        while let Some(seq) = self.again.pop_front() {
            let place = seq.checked_sub(self.first).and_then(|place| usize::try_from(place).ok());
            let Some(flight) = place.and_then(|place| self.flight.get_mut(place)) else { continue };
            flight.is_lost = false;
            if !flight.is_acknowledged {
                flight.number = number;
                flight.sent_at = now;
                return Some((seq, flight.body.clone()));
            }
        }
        if self.flight.len() >= MAX_FLIGHT {
            return None;
        }
        let (body, cost) = self.next_body()?;
        if self.flight.is_empty() {
            self.waits_since = now;
        }
        let seq = self.first + self.flight.len() as u64;
        let charge = body.charge();
        self.flying += charge;
        self.sent += charge;
        let sent = body.clone();
        let flight = Flight { body, number, sent_at: now, charge, cost, is_acknowledged: false, is_lost: false };
        self.flight.push_back(flight);
        Some((seq, sent))
    }

    /// Makes a body of what is to be sent next, if it fits the windows, with its frames' cost.
    fn next_body(&mut self) -> Option<(Body, usize)> {
        let room = self.limit.saturating_sub(self.sent).min(self.window.saturating_sub(self.flying));
        let room = usize::try_from(room.saturating_sub(PACKET_COST)).unwrap_or(usize::MAX).min(MAX_BODY);
        if room == 0 {
            return None;
        }
        if self.large.is_none() && self.backlog.front()?.len() > SMALL {
            self.large = self.backlog.pop_front().map(|frame| {
                let of = frame.len() as u64;
                (frame, of)
            });
        }
        let Some((rest, of)) = &mut self.large else { return self.pack(room) };
        let part = rest.split_to(rest.len().min(room));
        let body = Body::Part(part, *of);
        let mut cost = body.bytes().len();
        if rest.is_empty() {
            cost += FRAME_COST;
            self.large = None;
        }
        Some((body, cost))
    }

    /// Packs small frames together, of at most so many bytes.
    fn pack(&mut self, room: usize) -> Option<(Body, usize)> {
        let mut count = 0;
        let mut size = 0;
        for frame in self.backlog.iter().take(MAX_PACKED) {
            let more = prost::length_delimiter_len(frame.len()) + frame.len();
            if frame.len() > SMALL || size + more > room {
                break;
            }
            size += more;
            count += 1;
        }
        if count == 0 {
            return None;
        }
        let mut packed = BytesMut::with_capacity(size);
        let mut cost = 0;
        for frame in self.backlog.drain(..count) {
            cost += frame.len() + FRAME_COST;
            put_length(&mut packed, frame.len());
            packed.put(frame);
        }
        Some((Body::Packed(packed.freeze()), cost))
    }

    /// Takes an acknowledgement. An error is what the peer did wrong.
    pub(super) fn acknowledge(
        &mut self,
        by: &Acknowledgement<'_>,
        number: u64,
        now: Instant,
    ) -> Result<Progress, String> {
        let end = self.first + self.flight.len() as u64;
        if by.ack >= end || by.newest > number {
            return Err("the peer acknowledged packets that were never sent".to_owned());
        }
        self.limit = self.limit.max(by.limit);
        let mut progress = Progress::default();
        if by.newest > self.newest {
            self.newest = by.newest;
            let newest = self.flight.iter().find(|flight| flight.number == by.newest);
            progress.took = newest.map(|flight| now - flight.sent_at);
        }
        while self.first <= by.ack {
            let Some(mut flight) = self.flight.pop_front() else { break };
            self.first += 1;
            self.flying -= land(&mut flight, &mut progress);
        }
        self.acknowledge_early(by, end, &mut progress)?;
        self.find_lost();
        if progress.is_any {
            self.waits_since = now;
        }
        Ok(progress)
    }

    /// Takes a selective acknowledgement, whose bits begin after `ack`.
    fn acknowledge_early(&mut self, by: &Acknowledgement<'_>, end: u64, progress: &mut Progress) -> Result<(), String> {
        let bits = by.early.iter().take(MAX_FLIGHT / 8).enumerate();
        let seqs = bits.flat_map(|(index, byte)| {
            (0..8).filter(move |bit| byte >> bit & 1 == 1).map(move |bit| index as u64 * 8 + bit)
        });
        for ahead in seqs {
            let seq = by.ack.saturating_add(1).saturating_add(ahead);
            if seq >= end {
                return Err("the peer acknowledged packets that were never sent".to_owned());
            }
            // An acknowledgement that was overtaken by a later one.
            let Some(place) = seq.checked_sub(self.first) else { continue };
            if let Some(flight) = self.flight.get_mut(usize::try_from(place).unwrap_or(usize::MAX)) {
                self.flying -= land(flight, progress);
            }
        }
        Ok(())
    }

    /// Marks bodies as lost that later transmissions have overtaken.
    fn find_lost(&mut self) {
        for (seq, flight) in (self.first..).zip(&mut self.flight) {
            if !flight.is_acknowledged && !flight.is_lost && flight.number + OVERTAKEN <= self.newest {
                flight.is_lost = true;
                self.again.push_back(seq);
            }
        }
    }
}

/// Ends a flight, if it has not ended, and frees its memory. Returns the bytes of window it frees.
fn land(flight: &mut Flight, progress: &mut Progress) -> u64 {
    if flight.is_acknowledged {
        return 0;
    }
    flight.is_acknowledged = true;
    flight.body = Body::Packed(Bytes::new());
    progress.freed += flight.cost;
    progress.is_any = true;
    flight.charge
}

/// Writes a length as a varint.
fn put_length(to: &mut BytesMut, length: usize) {
    // `BytesMut` grows: there is always room.
    let _ = prost::encode_length_delimiter(length, to);
}
