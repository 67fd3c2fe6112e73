//! Receiving half of the state machine: order, acknowledgements, and the window.

use std::collections::VecDeque;

use bytes::Bytes;

use super::body::{Body, is_whole};
use super::wire::MAX_FLIGHT;

/// The window is announced again once so large a part of it (a quarter) has become free: never in
/// small steps, of which a sender would make small packets.
pub(super) const STEP: u64 = 4;

/// Large frame whose parts arrive.
#[derive(Debug)]
struct Large {
    of: u64,
    got: u64,
}

/// Bodies that arrive, in any order, and those that are next.
#[derive(Debug)]
pub(super) struct Arrivals {
    window: u64,
    frame: usize,
    /// Number of the last body that arrived in order.
    delivered: u64,
    /// Bodies after that which arrived too early; the first place is empty.
    early: VecDeque<Option<Body>>,
    /// Bytes of `early`.
    early_bytes: u64,
    /// Bytes of all bodies that arrived in order.
    taken: u64,
    /// Total of bytes that the peer may send.
    announced: u64,
    large: Option<Large>,
    /// Bodies that arrived in order and are to be handed to the application.
    pub(super) ready: Vec<Body>,
}

impl Arrivals {
    /// Nothing has arrived. So many bytes may be unread, and a frame may be so large.
    pub(super) fn new(window: usize, frame: usize) -> Self {
        Self {
            window: window as u64,
            frame,
            delivered: 0,
            early: VecDeque::new(),
            early_bytes: 0,
            taken: 0,
            announced: window as u64,
            large: None,
            ready: Vec::new(),
        }
    }

    /// Number of the last body that arrived in order.
    pub(super) fn delivered(&self) -> u64 {
        self.delivered
    }

    /// Total of bytes that the peer may send.
    pub(super) fn announced(&self) -> u64 {
        self.announced
    }

    /// Bits of the bodies that arrived too early, as [`Packet`](super::wire::Packet) has them.
    pub(super) fn early(&self) -> Bytes {
        if self.early.is_empty() {
            return Bytes::new();
        }
        let mut bits = vec![0_u8; self.early.len().div_ceil(8)];
        for (byte, bodies) in bits.iter_mut().zip(self.early.iter().collect::<Vec<_>>().chunks(8)) {
            *byte = bodies.iter().rev().fold(0, |byte, body| byte << 1 | u8::from(body.is_some()));
        }
        bits.into()
    }

    /// Total of bytes that the peer may send, of which the application has read so many.
    pub(super) fn limit(&mut self, read: u64) -> u64 {
        let limit = read + self.window;
        if limit - self.announced >= self.window / STEP {
            self.announced = limit;
        }
        self.announced
    }

    /// Whether a limit would be announced that the peer does not know.
    pub(super) fn is_limit_news(&self, read: u64) -> bool {
        read + self.window - self.announced >= self.window / STEP
    }

    /// Takes a body. An error is what the peer did wrong.
    pub(super) fn accept(&mut self, seq: u64, body: Body) -> Result<(), String> {
        if seq <= self.delivered {
            return Ok(());
        }
        let ahead = usize::try_from(seq - self.delivered - 1).unwrap_or(usize::MAX);
        if ahead >= MAX_FLIGHT {
            return Err(format!("the peer sent packet {seq} while {} was the last in order", self.delivered));
        }
        if self.early.get(ahead).is_some_and(Option::is_some) {
            return Ok(());
        }
        let charge = body.charge();
        if self.taken + self.early_bytes + charge > self.announced {
            return Err("the peer sent more bytes than it may".to_owned());
        }
        if ahead == 0 {
            self.early.pop_front();
            return self.deliver(body).and_then(|()| self.deliver_early());
        }
        if self.early.len() <= ahead {
            self.early.resize(ahead + 1, None);
        }
        if let Some(place) = self.early.get_mut(ahead) {
            self.early_bytes += charge;
            *place = Some(body);
        }
        Ok(())
    }

    /// Delivers early bodies that are next.
    fn deliver_early(&mut self) -> Result<(), String> {
        while let Some(body) = self.early.front_mut().and_then(Option::take) {
            self.early.pop_front();
            self.early_bytes -= body.charge();
            self.deliver(body)?;
        }
        Ok(())
    }

    /// Delivers the next body.
    fn deliver(&mut self, body: Body) -> Result<(), String> {
        match &body {
            Body::Packed(packed) => self.check_packed(packed)?,
            Body::Part(part, of) => self.check_part(part.len() as u64, *of)?,
        }
        self.delivered += 1;
        self.taken += body.charge();
        self.ready.push(body);
        Ok(())
    }

    fn check_packed(&self, packed: &[u8]) -> Result<(), String> {
        if self.large.is_some() {
            return Err("the peer sent other frames between the parts of one".to_owned());
        }
        if !is_whole(packed, self.frame) {
            return Err("the peer sent a packet whose frames are not whole".to_owned());
        }
        Ok(())
    }

    fn check_part(&mut self, length: u64, of: u64) -> Result<(), String> {
        let largest = self.frame as u64;
        if of > largest {
            return Err(format!("the peer announced a frame of {of} bytes, of at most {largest}"));
        }
        let before = self.large.take().unwrap_or(Large { of, got: 0 });
        let got = before.got + length;
        if length == 0 || before.of != of || got > of {
            return Err("the peer sent a part that does not belong to its frame".to_owned());
        }
        self.large = (got < of).then_some(Large { of, got });
        Ok(())
    }
}
