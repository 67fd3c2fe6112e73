//! Heartbeats: when this end must send something, and when the peer counts as silent.

use std::time::Duration;

use tokio::time::Instant;

use super::terms::{MAX_BEAT, Settings};

/// Heartbeats of both ends.
#[derive(Debug)]
pub(super) struct Pulse {
    beat: Duration,
    idle_beat: Duration,
    missed: u32,
    is_busy: bool,
    is_peer_busy: bool,
    sent_at: Instant,
    /// Time until the next packet that the last one announced.
    announced: Duration,
    /// True if a packet is to say at once what has changed.
    is_news: bool,
    /// Time at which the peer was first told that much depends on it.
    told_at: Option<Instant>,
    heard_at: Instant,
    /// Newest transmission of the peer.
    newest: u64,
    /// Time until the next packet that the peer announced.
    peer_next: Duration,
}

impl Pulse {
    /// Nothing was sent, and nothing was heard.
    pub(super) fn new(settings: &Settings, now: Instant) -> Self {
        Self {
            beat: settings.beat,
            idle_beat: settings.idle_beat,
            missed: settings.missed,
            is_busy: false,
            is_peer_busy: false,
            sent_at: now,
            announced: settings.idle_beat,
            is_news: false,
            told_at: None,
            heard_at: now,
            newest: 0,
            peer_next: settings.idle_beat,
        }
    }

    /// Whether much depends on the peer.
    pub(super) fn is_busy(&self) -> bool {
        self.is_busy
    }

    /// Newest transmission of the peer.
    pub(super) fn newest(&self) -> u64 {
        self.newest
    }

    /// Time of the peer's last packet, later by the time for which this end did not run.
    pub(super) fn heard_at(&self) -> Instant {
        self.heard_at
    }

    /// Longest time until the next packet.
    pub(super) fn interval(&self) -> Duration {
        if self.is_busy || self.is_peer_busy { self.beat } else { self.idle_beat }
    }

    /// Sets whether much depends on the peer. It is told at once.
    pub(super) fn set_busy(&mut self, is_busy: bool) {
        if self.is_busy != is_busy {
            self.is_busy = is_busy;
            self.is_news = true;
            self.told_at = None;
        }
    }

    /// Notes a packet of the peer. Of packets that were overtaken, only that they came.
    pub(super) fn heard(&mut self, number: u64, next: u32, is_busy: bool, now: Instant) {
        self.heard_at = now;
        if number < self.newest {
            return;
        }
        self.newest = number;
        self.peer_next = Duration::from_millis(u64::from(next)).clamp(Duration::from_millis(1), MAX_BEAT);
        self.is_peer_busy = is_busy;
        // Or the peer would wait for a packet that comes later than it now should.
        self.is_news |= self.interval() < self.announced;
    }

    /// Notes that a packet is sent, which announces [`interval`](Self::interval).
    pub(super) fn sent(&mut self, now: Instant) {
        self.sent_at = now;
        self.announced = self.interval();
        self.is_news = false;
        if self.is_busy {
            self.told_at.get_or_insert(now);
        }
    }

    /// Time at which the next packet must be sent.
    pub(super) fn due_at(&self) -> Instant {
        // Earlier than announced: a peer that allows three missed beats must really miss three, and
        // not two and the journey of the third. A longer interval begins with the packet that
        // announces it.
        if self.is_news { self.sent_at } else { self.sent_at + self.interval().min(self.announced) * 3 / 4 }
    }

    /// Time at which the peer is silent.
    ///
    /// A peer that is told that much depends on it answers at once. From then on it has the short
    /// time, whatever it had announced before.
    pub(super) fn silent_at(&self) -> Instant {
        let announced = self.heard_at + self.peer_next.saturating_mul(self.missed);
        let told = self.told_at.map(|told_at| told_at.max(self.heard_at) + self.beat.saturating_mul(self.missed));
        told.map_or(announced, |told| told.min(announced))
    }

    /// Gives the peer more time: this end itself did not run for so long.
    pub(super) fn excuse(&mut self, stall: Duration, now: Instant) {
        self.heard_at = (self.heard_at + stall).min(now);
    }
}
