//! State that the handles of a session share with its task.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::arrivals::STEP;
use super::outgoing::FRAME_COST;
use super::terms::{Lost, Settings};
use super::wire::Packet;
use crate::carrier::Carrier;

/// Frames that the task has not taken, and what else it is told.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    pub(super) frames: VecDeque<Bytes>,
    /// True once the session is to be closed.
    pub(super) is_closing: bool,
    /// Length of a frame that is too large.
    pub(super) too_large: Option<usize>,
    /// True once the session has ended.
    is_over: bool,
}

/// Effect of an attempt to queue a frame.
#[derive(Debug)]
pub(super) enum Queued {
    /// It is queued.
    Yes,
    /// Too many bytes are queued. The frame.
    Full(Bytes),
    /// Nothing is queued any longer.
    Over,
}

/// Remains of a session that has ended, for the next.
#[derive(Debug)]
pub(super) struct Remains {
    /// Its carrier.
    pub(super) carrier: Carrier,
    /// Packet that opened the session that replaces this one.
    pub(super) successor: Option<Box<Packet>>,
}

/// State that the handles of a session share with its task.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) settings: Settings,
    pub(super) outbox: Mutex<Outbox>,
    /// Wakes the task.
    pub(super) wake: Notify,
    /// Wakes senders that wait for the window.
    pub(super) room: Notify,
    /// Bytes of frames that are queued or in flight.
    queued: AtomicUsize,
    pub(super) is_busy: AtomicBool,
    /// Bytes of bodies that the application has read.
    read: AtomicU64,
    /// Total of bytes that the peer may send.
    pub(super) announced: AtomicU64,
    /// Smoothed round trip in nanoseconds; zero if there is none.
    pub(super) round_trip: AtomicU64,
    /// Time of the peer's last packet, once the session is open.
    pub(super) heard_at: Mutex<Option<Instant>>,
    lost: watch::Sender<Option<Lost>>,
    /// Carrier for the receiver: `Ok(None)` before the end of the session, `Err` without one.
    remains: Mutex<Result<Option<Remains>, NoHeir>>,
}

/// The receiver of a session is gone, so that nobody uses what the session leaves.
#[derive(Debug)]
struct NoHeir;

impl Shared {
    /// Leaves the carrier to the receiver, or drops it: a carrier that nobody uses must not look
    /// used to those who made it.
    pub(super) fn leave(&self, remains: Remains) {
        if let Ok(left) = &mut *self.remains.lock() {
            *left = Some(remains);
        }
    }

    /// Takes what the session has left.
    pub(super) fn inherit(&self) -> Option<Remains> {
        self.remains.lock().as_mut().ok()?.take()
    }

    /// Notes that the receiver is gone, and drops what was left to it.
    pub(super) fn forsake(&self) {
        let left = std::mem::replace(&mut *self.remains.lock(), Err(NoHeir));
        drop(left);
    }

    /// State of a new session.
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            announced: AtomicU64::new(settings.window as u64),
            settings,
            outbox: Mutex::default(),
            wake: Notify::new(),
            room: Notify::new(),
            queued: AtomicUsize::new(0),
            is_busy: AtomicBool::new(false),
            read: AtomicU64::new(0),
            round_trip: AtomicU64::new(0),
            heard_at: Mutex::new(None),
            lost: watch::Sender::new(None),
            remains: Mutex::new(Ok(None)),
        }
    }

    /// Queues a frame if fewer bytes than this are queued.
    ///
    /// Wakes the task if the queue was empty. Otherwise the task has been woken, or comes back once
    /// it can send more.
    pub(super) fn queue(&self, frame: Bytes, below: usize) -> Queued {
        let is_first = {
            let mut outbox = self.outbox.lock();
            if outbox.is_over || outbox.is_closing {
                return Queued::Over;
            }
            if frame.len() > self.settings.frame {
                outbox.too_large = Some(frame.len());
            } else {
                if self.queued.load(Ordering::Relaxed) >= below {
                    return Queued::Full(frame);
                }
                self.queued.fetch_add(frame.len() + FRAME_COST, Ordering::Relaxed);
                outbox.frames.push_back(frame);
            }
            outbox.frames.len() == 1 || outbox.too_large.is_some()
        };
        if is_first {
            self.wake.notify_one();
        }
        Queued::Yes
    }

    /// Bytes of frames that are queued or in flight.
    pub(super) fn queued(&self) -> usize {
        self.queued.load(Ordering::Relaxed)
    }

    /// Notes that frames were acknowledged.
    pub(super) fn freed(&self, bytes: usize) {
        if bytes > 0 {
            self.queued.fetch_sub(bytes, Ordering::Relaxed);
            self.room.notify_waiters();
        }
    }

    /// Bytes of bodies that the application has read.
    pub(super) fn read(&self) -> u64 {
        self.read.load(Ordering::Acquire)
    }

    /// Notes that a body was read. Wakes the task once the peer should know.
    pub(super) fn has_read(&self, charge: u64) {
        let read = self.read.fetch_add(charge, Ordering::AcqRel) + charge;
        let window = self.settings.window as u64;
        // The task may announce more at this moment: then there is nothing to tell.
        let news = (read + window).saturating_sub(self.announced.load(Ordering::Acquire));
        if news >= window / STEP {
            self.wake.notify_one();
        }
    }

    /// Asks the task to close the session.
    pub(super) fn close(&self) {
        self.outbox.lock().is_closing = true;
        self.wake.notify_one();
    }

    /// Reason why the session ended, if it did.
    pub(super) fn lost(&self) -> Option<Lost> {
        self.lost.borrow().clone()
    }

    /// Waits until the session has ended.
    pub(super) async fn ended(&self) -> Lost {
        let mut lost = self.lost.subscribe();
        match lost.wait_for(Option::is_some).await {
            Ok(lost) => lost.clone().unwrap_or(Lost::Broken),
            Err(_) => Lost::Broken,
        }
    }

    /// Ends the session, unless it has ended, and frees what was queued.
    pub(super) fn end(&self, lost: Lost) {
        let frames = {
            let mut outbox = self.outbox.lock();
            outbox.is_over = true;
            std::mem::take(&mut outbox.frames)
        };
        drop(frames);
        self.lost.send_if_modified(|known| {
            let is_first = known.is_none();
            known.get_or_insert(lost);
            is_first
        });
        self.queued.store(0, Ordering::Relaxed);
        self.room.notify_waiters();
    }
}
