//! Terms of a session: its times and sizes, and the ways in which it ends.

use std::time::Duration;

use frond_root::policy::credits::{BEAT, MISSED_BEATS};
use thiserror::Error;

/// Smallest window, in bytes. A packet of small frames must always fit into three quarters of it.
const MIN_WINDOW: usize = 64 << 10;

/// Longest announced time until the next packet. A peer that announces more is held to this, or it
/// could not be found silent.
pub(super) const MAX_BEAT: Duration = Duration::from_secs(60);

/// Most announced times that may pass without a packet, so that times stay far below overflow.
const MAX_MISSED: u32 = 10_000;
/// Announced times that a process of this machine may let pass: ten seconds while it works.
const PROCESS_MISSED: u32 = 100;

/// Longest time to open or to close, so that times stay far below overflow.
const MAX_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

/// Times and sizes of a session. The peer's may differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Longest time between two packets while much depends on either peer.
    pub beat: Duration,
    /// Longest time between two packets otherwise.
    pub idle_beat: Duration,
    /// Announced times that may pass without any packet until the peer is lost.
    pub missed: u32,
    /// Time for the opener to be answered, and for the accepter to be opened.
    pub open_within: Duration,
    /// Time for the peer to acknowledge queued frames and the goodbye, once this end closes.
    pub close_within: Duration,
    /// Most bytes in flight, and most bytes that have arrived and are unread.
    pub window: usize,
    /// Largest frame, in bytes.
    pub frame: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            beat: BEAT,
            idle_beat: Duration::from_secs(1),
            missed: MISSED_BEATS,
            open_within: Duration::from_secs(10),
            close_within: Duration::from_secs(1),
            window: 8 << 20,
            frame: (64 << 20) + (1 << 20),
        }
    }
}

impl Settings {
    /// Settings for a process of this machine: its end closes the carrier, so silence only means
    /// that the machine is busy, or that the process hangs.
    #[must_use]
    pub fn of_process() -> Self {
        Self { missed: PROCESS_MISSED, ..Self::default() }
    }

    /// Raises or lowers values with which no session could work.
    pub(super) fn clamped(self) -> Self {
        let beat = |time: Duration| time.clamp(Duration::from_millis(1), MAX_BEAT);
        Self {
            beat: beat(self.beat),
            idle_beat: beat(self.idle_beat.max(self.beat)),
            missed: self.missed.clamp(1, MAX_MISSED),
            open_within: self.open_within.min(MAX_WAIT),
            close_within: self.close_within.min(MAX_WAIT),
            window: self.window.max(MIN_WINDOW),
            frame: self.frame,
        }
    }
}

/// Reason why a session ended.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Lost {
    /// One of the peers said goodbye.
    #[error("the session was closed")]
    Closed,
    /// No packet of the peer came within the time that it had announced.
    #[error("the peer is silent")]
    Silent,
    /// The carrier ended.
    #[error("the connection to the peer is broken")]
    Broken,
    /// Another opener took this one's place on the carrier: the peer was restarted.
    #[error("the peer was restarted")]
    Replaced,
    /// The root has asked this worker to leave, and its attempts have ended.
    #[error("the root has drained this worker")]
    Drained,
    /// The peer has given this session up, or was restarted.
    #[error("the peer does not know this session")]
    Unknown,
    /// This end was to send a frame of so many bytes, which is more than [`Settings::frame`].
    #[error("a frame of {0} bytes is too large to be sent")]
    TooLarge(usize),
    /// The peer broke the protocol: how.
    #[error("{0}")]
    Protocol(String),
}
