//! Receiving of packets: those that open, those of the session, and those of strangers.

use std::time::Duration;

use bytes::Bytes;
use prost::Message as _;
use tokio::time::Instant;

use super::{Engine, Role, answer_to, milliseconds};
use crate::carrier::MAX_MESSAGE;
use crate::session::body::Body;
use crate::session::outgoing::Acknowledgement;
use crate::session::terms::Lost;
use crate::session::wire::{Kind, PACKET_COST, Packet, VERSION};

/// Shortest time between two resets, so that strangers cannot make this end send much.
const RESET_EVERY: Duration = Duration::from_millis(20);

impl Engine {
    /// Takes a message. One that is no packet is ignored, as if it were lost.
    pub(in crate::session) fn receive(&mut self, message: Bytes, now: Instant) {
        let size = message.len();
        if self.lost.is_some() || size > MAX_MESSAGE {
            return;
        }
        let Ok(packet) = Packet::decode(message) else { return };
        let Ok(kind) = Kind::try_from(packet.kind) else { return };
        if packet.session == 0 {
            return;
        }
        if self.is_live && packet.session == self.session && packet.answer == self.answer {
            self.receive_own(kind, packet, size, now);
            return;
        }
        match kind {
            Kind::Open => self.receive_opening(&packet),
            Kind::Welcome => self.receive_welcome(&packet, now),
            Kind::Refuse => self.receive_refusal(&packet),
            Kind::Reset => {}
            Kind::Live | Kind::Goodbye => self.receive_strange(packet, size, now),
        }
    }

    /// Answers an opening, and forgets it: a packet with the answer will show that it was no
    /// delayed one.
    fn receive_opening(&mut self, packet: &Packet) {
        let Role::Accepter(key) = &self.role else { return };
        if packet.version != VERSION {
            let refusal = Packet::new(packet.session, 0, Kind::Refuse);
            self.reply = Some(Packet { version: VERSION, ..refusal });
            if !self.is_live {
                self.lost = Some(Lost::Protocol(other_version(packet.version)));
            }
        } else if !self.is_live || packet.session != self.session {
            let answer = answer_to(key, packet.session);
            self.reply = Some(Packet {
                version: VERSION,
                next: milliseconds(self.settings.idle_beat),
                limit: self.settings.window as u64,
                ..Packet::new(packet.session, answer, Kind::Welcome)
            });
        }
    }

    /// Takes the answer to this end's opening.
    fn receive_welcome(&mut self, packet: &Packet, now: Instant) {
        if !self.is_opening(packet.session) || packet.answer == 0 {
            return;
        }
        self.answer = packet.answer;
        self.is_live = true;
        self.owes_answer = true;
        self.pulse.heard(0, packet.next, false, now);
        self.outgoing.open(packet.limit);
    }

    fn receive_refusal(&mut self, packet: &Packet) {
        if self.is_opening(packet.session) {
            self.lost = Some(Lost::Protocol(other_version(packet.version)));
        }
    }

    /// Whether this end waits for an answer to an opening with this number.
    fn is_opening(&self, session: u64) -> bool {
        matches!(self.role, Role::Opener) && !self.is_live && session == self.session
    }

    /// Takes a packet of another session: a new one, or one that is to be told so.
    fn receive_strange(&mut self, packet: Packet, size: usize, now: Instant) {
        if let Role::Accepter(key) = &self.role
            && packet.answer == answer_to(key, packet.session)
        {
            if self.is_live {
                self.successor = Some(Box::new(packet));
                self.end(Lost::Replaced);
            } else {
                self.adopt(packet, size, now);
            }
            return;
        }
        // An opener without an answer takes the place of the session that this packet is of: its
        // end shall be known as that.
        let is_opening = self.is_opening(self.session);
        if !is_opening && now >= self.reset_at {
            self.reset_at = now + RESET_EVERY;
            self.reply.get_or_insert(Packet::new(packet.session, packet.answer, Kind::Reset));
        }
    }

    /// Begins the session of an opener that has shown that it lives.
    pub(super) fn adopt(&mut self, packet: Packet, size: usize, now: Instant) {
        self.session = packet.session;
        self.answer = packet.answer;
        self.is_live = true;
        self.owes_answer = true;
        let kind = Kind::try_from(packet.kind).unwrap_or(Kind::Live);
        self.receive_own(kind, packet, size, now);
    }

    /// Takes a packet of this session.
    fn receive_own(&mut self, kind: Kind, mut packet: Packet, size: usize, now: Instant) {
        if kind == Kind::Reset {
            self.lost = Some(if self.is_closing() { Lost::Closed } else { Lost::Unknown });
        }
        if !matches!(kind, Kind::Live | Kind::Goodbye) || packet.number == 0 {
            return;
        }
        self.is_confirmed = true;
        self.owes_answer |= packet.asks || packet.seq > 0;
        self.pulse.heard(packet.number, packet.next, packet.is_busy, now);
        let body = take_body(&mut packet, size);
        if let Err(wrong) = self.acknowledge(&packet, now).and_then(|()| self.accept(body)) {
            self.end(Lost::Protocol(wrong));
        } else if kind == Kind::Goodbye {
            let is_answer = self.is_closing();
            self.end(Lost::Closed);
            self.reply = self.reply.take().filter(|_| !is_answer);
        }
    }

    fn acknowledge(&mut self, packet: &Packet, now: Instant) -> Result<(), String> {
        let Packet { ack, newest, limit, .. } = *packet;
        let by = Acknowledgement { ack, early: &packet.early, newest, limit };
        let progress = self.outgoing.acknowledge(&by, self.number, now)?;
        self.freed += progress.freed;
        if progress.is_any {
            self.timeouts = 0;
        }
        let asked = self.probe.take_if(|(number, _)| *number <= newest).filter(|(number, _)| *number == newest);
        if let Some(took) = progress.took.or(asked.map(|(_, at)| now - at)) {
            self.round_trip.measured(took);
        }
        Ok(())
    }

    fn accept(&mut self, body: Option<(u64, Body)>) -> Result<(), String> {
        body.map_or(Ok(()), |(seq, body)| self.arrivals.accept(seq, body))
    }
}

/// The body of a packet, in a message of so many bytes.
///
/// A message of which the body is not almost everything is copied: else a peer could make this end
/// keep much more than the windows allow.
fn take_body(packet: &mut Packet, size: usize) -> Option<(u64, Body)> {
    let keep = |bytes: Bytes| {
        let is_wasteful = size as u64 > bytes.len() as u64 + PACKET_COST;
        if is_wasteful { Bytes::copy_from_slice(&bytes) } else { bytes }
    };
    let body = if packet.of == 0 {
        Body::Packed(keep(std::mem::take(&mut packet.packed)))
    } else {
        Body::Part(keep(std::mem::take(&mut packet.part)), packet.of)
    };
    (packet.seq > 0).then_some((packet.seq, body))
}

fn other_version(version: u32) -> String {
    format!("the peer speaks version {version}, this one {VERSION}")
}
