//! State machine of a session, without a clock and without a carrier.

mod receive;

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::arrivals::Arrivals;
use super::body::Body;
use super::outgoing::Outgoing;
use super::pulse::Pulse;
use super::round_trip::RoundTrip;
use super::terms::{Lost, Settings};
use super::wire::{Kind, Packet, VERSION};

/// Time after which the opener repeats its opening: a few of them fit into the time in which a
/// cold worker should be useful.
const OPEN_EVERY: Duration = Duration::from_millis(20);

/// Most doublings of [`OPEN_EVERY`], up to 640 ms.
const MAX_OPEN_DOUBLINGS: u32 = 5;

/// Most goodbyes. A peer that answers none has heard one, and its answers were lost; or it will
/// find this end silent.
const MAX_GOODBYES: u32 = 8;

/// Part that a peer plays.
#[derive(Debug)]
enum Role {
    /// Opens the session: a worker.
    Opener,
    /// Waits for an opener: a root. Its key makes an answer of each opener's number, so that it
    /// remembers none of them.
    Accepter(RandomState),
}

/// Goodbye of this end.
#[derive(Debug)]
struct Closing {
    /// End of the time for it.
    until: Instant,
    /// Time of the next goodbye, once everything is acknowledged.
    goodbye_at: Instant,
    /// Goodbyes that were sent.
    goodbyes: u32,
}

/// State machine of one peer of a session.
#[derive(Debug)]
pub(super) struct Engine {
    settings: Settings,
    role: Role,
    session: u64,
    answer: u64,
    /// True once both numbers are known to this end.
    is_live: bool,
    /// True once they are known to be known to the other end.
    is_confirmed: bool,
    open_until: Instant,
    open_at: Instant,
    openings: u32,
    closing: Option<Closing>,
    outgoing: Outgoing,
    arrivals: Arrivals,
    pulse: Pulse,
    round_trip: RoundTrip,
    /// Number of the last transmission.
    number: u64,
    /// Timeouts of packets since the last acknowledgement.
    timeouts: u32,
    /// Time at which the peer is asked for an answer, if one is needed.
    ask_at: Option<Instant>,
    asks: u32,
    /// Number and time of a packet that asks, whose answer measures a round trip.
    probe: Option<(u64, Instant)>,
    /// True if the peer is to be answered.
    owes_answer: bool,
    /// Packet that goes before all others.
    reply: Option<Packet>,
    /// Earliest time of the next reset.
    reset_at: Instant,
    /// Time until which this end meant to be idle.
    idle_until: Instant,
    /// Packet that opened the session that replaces this one.
    pub(super) successor: Option<Box<Packet>>,
    lost: Option<Lost>,
    /// Bytes of frames that were acknowledged since they were last counted.
    pub(super) freed: usize,
    /// Bytes of bodies that the application has read.
    pub(super) read: u64,
    /// True while frames wait that the engine has not been given.
    pub(super) has_more: bool,
}

impl Engine {
    fn new(settings: Settings, role: Role, session: u64, now: Instant) -> Self {
        Self {
            role,
            session,
            answer: 0,
            is_live: false,
            is_confirmed: false,
            open_until: now + settings.open_within,
            open_at: now,
            openings: 0,
            closing: None,
            outgoing: Outgoing::new(settings.window, now),
            arrivals: Arrivals::new(settings.window, settings.frame),
            pulse: Pulse::new(&settings, now),
            round_trip: RoundTrip::default(),
            number: 0,
            timeouts: 0,
            ask_at: None,
            asks: 0,
            probe: None,
            owes_answer: false,
            reply: None,
            reset_at: now,
            idle_until: now,
            successor: None,
            lost: None,
            freed: 0,
            read: 0,
            has_more: false,
            settings,
        }
    }

    /// The opener of a session with this number, which is not zero.
    pub(super) fn opener(settings: Settings, session: u64, now: Instant) -> Self {
        Self::new(settings, Role::Opener, session, now)
    }

    /// An accepter that waits for an opener.
    pub(super) fn accepter(settings: Settings, now: Instant) -> Self {
        Self::new(settings, Role::Accepter(RandomState::new()), 0, now)
    }

    /// The accepter of the session that this packet opened, which replaced another.
    pub(super) fn successor(settings: Settings, first: Packet, now: Instant) -> Self {
        let mut engine = Self::accepter(settings, now);
        engine.adopt(first, 0, now);
        engine
    }

    /// Reason why the session ended, if it did.
    pub(super) fn lost(&self) -> Option<&Lost> {
        self.lost.as_ref()
    }

    /// Whether this end is closing the session.
    pub(super) fn is_closing(&self) -> bool {
        self.closing.is_some()
    }

    /// Smoothed round-trip time.
    pub(super) fn round_trip(&self) -> Option<Duration> {
        self.round_trip.smoothed()
    }

    /// Time of the peer's last packet, once the session is open.
    pub(super) fn heard_at(&self) -> Option<Instant> {
        self.is_live.then(|| self.pulse.heard_at())
    }

    /// Bodies that arrived in order and are to be handed to the application.
    pub(super) fn ready(&mut self) -> std::vec::Drain<'_, Body> {
        self.arrivals.ready.drain(..)
    }

    /// Total of bytes that the peer may send.
    pub(super) fn announced(&self) -> u64 {
        self.arrivals.announced()
    }

    /// Whether all frames that the engine was given are sent.
    pub(super) fn wants_frames(&self) -> bool {
        self.outgoing.wants_frames()
    }

    /// Takes frames that are to be sent, if it [wants](Self::wants_frames) any.
    pub(super) fn take(&mut self, frames: &mut VecDeque<Bytes>) {
        if self.wants_frames() {
            self.outgoing.take(frames);
        }
        self.has_more = !frames.is_empty();
    }

    /// Sets whether much depends on the peer.
    pub(super) fn set_busy(&mut self, is_busy: bool) {
        self.pulse.set_busy(is_busy);
    }

    /// Closes the session once everything is acknowledged.
    pub(super) fn close(&mut self, now: Instant) {
        let until = now + self.settings.close_within;
        self.closing.get_or_insert(Closing { until, goodbye_at: now, goodbyes: 0 });
    }

    /// Ends the session. A peer that may live is told.
    pub(super) fn end(&mut self, lost: Lost) {
        if self.lost.is_none() {
            let is_told = !matches!(lost, Lost::Broken | Lost::Unknown | Lost::Replaced);
            let kind = if lost == Lost::Closed { Kind::Goodbye } else { Kind::Reset };
            if self.is_live && is_told {
                let mut packet = Packet::new(self.session, self.answer, kind);
                packet.number = self.number + 1;
                self.reply = Some(packet);
            }
            self.lost = Some(lost);
        }
    }

    /// Does what is due.
    pub(super) fn tick(&mut self, now: Instant) {
        let stall = now.saturating_duration_since(self.idle_until);
        if stall > self.settings.beat {
            // This end itself did not run: so it does not know that the peer was silent.
            self.pulse.excuse(stall, now);
        }
        self.idle_until = now;
        let is_done = self.outgoing.is_done() && !self.has_more;
        let is_over = |closing: &Closing| {
            let is_unheard = closing.goodbyes >= MAX_GOODBYES && now >= closing.goodbye_at;
            now >= closing.until || is_unheard || is_done && !self.is_live
        };
        if self.closing.as_ref().is_some_and(is_over) {
            self.end(Lost::Closed);
        } else if now >= self.silent_at() {
            self.end(Lost::Silent);
        } else if self.outgoing.is_flying() && now >= self.repeat_at() {
            self.outgoing.time_out(now);
            self.timeouts += 1;
        }
    }

    /// Time at which the peer is lost, if nothing comes.
    fn silent_at(&self) -> Instant {
        if self.is_live { self.pulse.silent_at() } else { self.open_until }
    }

    /// Time at which the first packet in flight is sent again.
    fn repeat_at(&self) -> Instant {
        self.outgoing.waits_since + self.round_trip.timeout(self.timeouts)
    }

    /// Time of the next goodbye, if this end only waits for the peer's.
    fn goodbye_at(&self) -> Option<Instant> {
        let is_done = self.outgoing.is_done() && !self.has_more;
        self.closing.as_ref().filter(|_| is_done).map(|closing| closing.goodbye_at)
    }

    /// Time of the next [tick](Self::tick) or, if something can be sent, transmission.
    pub(super) fn deadline(&mut self, can_send: bool) -> Instant {
        let until = self.closing.as_ref().map(|closing| closing.until);
        let mut first = until.map_or(self.silent_at(), |until| until.min(self.silent_at()));
        let mut also = |time: Option<Instant>| first = time.map_or(first, |time| time.min(first));
        if can_send && self.is_live {
            also(Some(self.pulse.due_at()));
            also(self.outgoing.is_flying().then(|| self.repeat_at()));
            also(self.ask_at);
            also(self.goodbye_at());
        } else if can_send && matches!(self.role, Role::Opener) {
            also(Some(self.open_at));
        }
        self.idle_until = first;
        first
    }

    /// The next message that is to be sent now, if any is.
    pub(super) fn transmit(&mut self, now: Instant) -> Option<Bytes> {
        if let Some(reply) = self.reply.take() {
            return Some(reply.to_message());
        }
        if self.lost.is_some() {
            return None;
        }
        let packet = if self.is_live { self.next_live(now) } else { self.next_opening(now) };
        packet.map(|packet| packet.to_message())
    }

    fn next_opening(&mut self, now: Instant) -> Option<Packet> {
        if now < self.open_at || !matches!(self.role, Role::Opener) {
            return None;
        }
        self.open_at = now + OPEN_EVERY * 2_u32.pow(self.openings.min(MAX_OPEN_DOUBLINGS));
        self.openings += 1;
        Some(Packet { version: VERSION, ..Packet::new(self.session, 0, Kind::Open) })
    }

    fn next_live(&mut self, now: Instant) -> Option<Packet> {
        let next = self.outgoing.next(self.number + 1, now);
        if let Some((seq, body)) = next {
            let mut packet = self.live(Kind::Live, now);
            packet.seq = seq;
            match body {
                Body::Packed(packed) => packet.packed = packed,
                Body::Part(part, of) => {
                    packet.part = part;
                    packet.of = of;
                }
            }
            return Some(packet);
        }
        if self.goodbye_at().is_some_and(|at| now >= at) {
            if let Some(closing) = &mut self.closing {
                closing.goodbye_at = now + self.round_trip.timeout(closing.goodbyes);
                closing.goodbyes += 1;
            }
            return Some(self.live(Kind::Goodbye, now));
        }
        let is_due = self.asks(now);
        let asks = is_due || !self.is_confirmed;
        let is_due = is_due || self.owes_answer || now >= self.pulse.due_at() || self.arrivals.is_limit_news(self.read);
        is_due.then(|| {
            let packet = Packet { asks, ..self.live(Kind::Live, now) };
            self.probe = asks.then_some((packet.number, now)).or(self.probe);
            packet
        })
    }

    /// Whether the peer must be asked for an answer now: for any that shows that it knows the
    /// session, or for one that opens its window.
    fn asks(&mut self, now: Instant) -> bool {
        if self.is_confirmed && !self.outgoing.is_starved() {
            self.ask_at = None;
            self.asks = 0;
            return false;
        }
        let is_due = self.ask_at.is_some_and(|at| now >= at);
        if is_due {
            self.asks += 1;
        }
        if is_due || self.ask_at.is_none() {
            self.ask_at = Some(now + self.round_trip.timeout(self.asks));
        }
        is_due
    }

    /// A packet with all that every packet says.
    fn live(&mut self, kind: Kind, now: Instant) -> Packet {
        self.number += 1;
        self.owes_answer = false;
        self.pulse.sent(now);
        Packet {
            next: milliseconds(self.pulse.interval()),
            is_busy: self.pulse.is_busy(),
            number: self.number,
            newest: self.pulse.newest(),
            ack: self.arrivals.delivered(),
            early: self.arrivals.early(),
            limit: self.arrivals.limit(self.read),
            ..Packet::new(self.session, self.answer, kind)
        }
    }
}

/// Whole milliseconds of an announced time, rounded up.
fn milliseconds(time: Duration) -> u32 {
    u32::try_from(time.as_nanos().div_ceil(1_000_000)).unwrap_or(u32::MAX)
}

/// The accepter's number for an opener's, never zero. Whoever does not know the key cannot guess.
fn answer_to(key: &RandomState, session: u64) -> u64 {
    key.hash_one(session) | 1
}
