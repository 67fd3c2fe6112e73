//! Handles of a session: its two halves, as an application holds them.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio::time::Instant;

use super::body::{Body, Frames};
use super::engine::Engine;
use super::shared::{Queued, Remains, Shared};
use super::task::{self, Guard};
use super::terms::{Lost, Settings};
use crate::carrier::Carrier;

/// Hold on a session: it is closed once the last is dropped.
#[derive(Debug)]
struct Hold(Arc<Shared>);

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Sending half of a session. Clones share it.
#[derive(Clone, Debug)]
pub struct FrameSender(Arc<Hold>);

/// Receiving half of a session.
#[derive(Debug)]
pub struct FrameReceiver {
    hold: Arc<Hold>,
    inbox: UnboundedReceiver<Body>,
    frames: Frames,
}

/// Opens a session, as a worker does. Spawns its task on the current runtime.
///
/// Frames may be queued at once. They are sent when the accepter has answered.
///
/// # Panics
///
/// Outside of a tokio runtime.
#[must_use]
pub fn open(carrier: Carrier, settings: Settings) -> (FrameSender, FrameReceiver) {
    let settings = settings.clamped();
    let session = rand::random::<u64>() | 1;
    start(carrier, Engine::opener(settings.clone(), session, Instant::now()), settings)
}

/// Accepts a session, as a root does: the first that an opener opens on this carrier. Spawns its
/// task on the current runtime.
///
/// An opener that is not there within [`Settings::open_within`] is [silent](Lost::Silent). A later
/// opener on the same carrier ends the session as [replaced](Lost::Replaced), or its peer's reset
/// as [unknown](Lost::Unknown): [`FrameReceiver::accept_next`] goes on with the later one.
///
/// # Panics
///
/// Outside of a tokio runtime.
#[must_use]
pub fn accept(carrier: Carrier, settings: Settings) -> (FrameSender, FrameReceiver) {
    let settings = settings.clamped();
    start(carrier, Engine::accepter(settings.clone(), Instant::now()), settings)
}

fn start(carrier: Carrier, engine: Engine, settings: Settings) -> (FrameSender, FrameReceiver) {
    let shared = Arc::new(Shared::new(settings));
    let (bodies, inbox) = mpsc::unbounded_channel();
    tokio::spawn(task::run(engine, carrier, Guard(shared.clone()), bodies));
    let hold = Arc::new(Hold(shared));
    (FrameSender(hold.clone()), FrameReceiver { hold, inbox, frames: Frames::default() })
}

impl FrameSender {
    fn shared(&self) -> &Shared {
        &self.0.0
    }

    /// Queues a frame without waiting, from any thread.
    ///
    /// The queue has no bound of its own: [`queued`](Self::queued) shows its length. After the
    /// session was lost or closed, the frame is dropped. One that is larger than
    /// [`Settings::frame`] ends the session.
    pub fn post(&self, frame: Bytes) {
        self.shared().queue(frame, usize::MAX);
    }

    /// Queues a frame once fewer than [`Settings::window`] bytes are queued or in flight.
    ///
    /// # Errors
    ///
    /// Reason why the session ended.
    pub async fn send(&self, frame: Bytes) -> Result<(), Lost> {
        let shared = self.shared();
        let mut frame = match shared.queue(frame, shared.settings.window) {
            Queued::Full(frame) => frame,
            Queued::Yes => return Ok(()),
            Queued::Over => return Err(shared.lost().unwrap_or(Lost::Closed)),
        };
        loop {
            // From here on, room that is made wakes this task, also before it waits.
            let mut room = std::pin::pin!(shared.room.notified());
            room.as_mut().enable();
            match shared.queue(frame, shared.settings.window) {
                Queued::Yes => return Ok(()),
                Queued::Over => return Err(shared.lost().unwrap_or(Lost::Closed)),
                Queued::Full(full) => frame = full,
            }
            room.await;
        }
    }

    /// Bytes of frames that the peer has not acknowledged. Each frame counts 32 bytes more than it
    /// has.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.shared().queued()
    }

    /// Sets whether much depends on the peer, and tells it. While that is so at either end, packets
    /// come each [`Settings::beat`], else each [`Settings::idle_beat`].
    pub fn set_busy(&self, is_busy: bool) {
        if self.shared().is_busy.swap(is_busy, Ordering::Relaxed) != is_busy {
            self.shared().wake.notify_one();
        }
    }

    /// Closes the session once everything that is queued has been acknowledged, or after
    /// [`Settings::close_within`]. Frames that are queued later are dropped.
    pub fn close(&self) {
        self.shared().close();
    }

    /// Reason why the session ended, if it did.
    #[must_use]
    pub fn lost(&self) -> Option<Lost> {
        self.shared().lost()
    }

    /// Waits until the session has ended: why.
    pub async fn closed(&self) -> Lost {
        self.shared().ended().await
    }

    /// Smoothed round-trip time, once one was measured.
    #[must_use]
    pub fn round_trip(&self) -> Option<Duration> {
        let nanoseconds = self.shared().round_trip.load(Ordering::Relaxed);
        (nanoseconds > 0).then(|| Duration::from_nanos(nanoseconds))
    }

    /// Time since the peer's last packet, once the session is open.
    #[must_use]
    pub fn last_heard(&self) -> Option<Duration> {
        self.shared().heard_at.lock().map(|at| at.elapsed())
    }
}

impl Drop for FrameReceiver {
    fn drop(&mut self) {
        self.hold.0.forsake();
    }
}

impl FrameReceiver {
    /// Receives the next frame. May be cancelled at any time without loss.
    ///
    /// A frame shares the memory of the packet that it came in, at most 512 KiB: copy a small one
    /// that is kept for long.
    ///
    /// # Errors
    ///
    /// Reason why the session ended, after all frames that came before its end.
    pub async fn recv(&mut self) -> Result<Bytes, Lost> {
        if let Some(frame) = self.frames.next() {
            return Ok(frame);
        }
        while let Some(body) = self.inbox.recv().await {
            self.hold.0.has_read(body.charge());
            if let Some(frame) = self.frames.take(body) {
                return Ok(frame);
            }
        }
        Err(self.hold.0.ended().await)
    }

    /// Accepts the next session on the carrier of this one, once this one is lost: nothing, if it
    /// is not, or if the carrier has ended.
    ///
    /// After [`Lost::Replaced`] that session is open. After other losses it begins as
    /// [`accept`] does.
    #[must_use]
    pub fn accept_next(self) -> Option<(FrameSender, FrameReceiver)> {
        let Remains { carrier, successor } = self.hold.0.inherit()?;
        let settings = self.hold.0.settings.clone();
        let now = Instant::now();
        let engine = match successor {
            Some(first) => Engine::successor(settings.clone(), *first, now),
            None => Engine::accepter(settings.clone(), now),
        };
        Some(start(carrier, engine, settings))
    }

    /// The carrier of this session, for another, once this one is lost: nothing, if it is not, or
    /// if the carrier has ended.
    #[must_use]
    pub fn into_carrier(self) -> Option<Carrier> {
        self.hold.0.inherit().map(|remains| remains.carrier)
    }
}
