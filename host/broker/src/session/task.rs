//! The task of a session: it drives the state machine by a carrier, a clock and the handles.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc::{Receiver, UnboundedSender};
use tokio::time::{Instant, sleep_until, timeout};

use super::body::Body;
use super::engine::Engine;
use super::shared::{Remains, Shared};
use super::terms::Lost;
use crate::carrier::{Carrier, Transmit};

/// Most messages that are taken at once, before they are acknowledged: few enough that large ones
/// take no more memory than a window.
const BATCH: usize = 16;

/// Time for a carrier to take the last packet of a session.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Transmission of a message.
type Sending<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// Ends the session when the task is dropped, as at the end of its runtime, if it has not ended.
#[derive(Debug)]
pub(super) struct Guard(pub(super) Arc<Shared>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.end(Lost::Broken);
    }
}

/// Everything around the state machine.
struct Driver<'a> {
    engine: Engine,
    transmit: &'a dyn Transmit,
    shared: &'a Shared,
    inbox: UnboundedSender<Body>,
    sending: Option<Sending<'a>>,
}

/// Runs a session until it ends.
pub(super) async fn run(engine: Engine, carrier: Carrier, guard: Guard, inbox: UnboundedSender<Body>) {
    let Guard(shared) = &guard;
    let Carrier { sender, mut receiver } = carrier;
    let mut driver = Driver { engine, transmit: sender.as_ref(), shared, inbox, sending: None };
    let lost = driver.drive(&mut receiver).await;
    let successor = driver.engine.successor.take();
    let is_closing = driver.engine.is_closing();
    let last = driver.engine.transmit(Instant::now());
    // Frees the memory of all that was in flight.
    drop(driver);
    if lost != Lost::Broken {
        let carrier = Carrier { sender: sender.clone(), receiver };
        shared.leave(Remains { carrier, successor });
    }
    let last_words = async {
        if let Some(last) = last {
            // A carrier that does not take it in time loses it.
            let _ = timeout(LAST_WORDS, sender.transmit(last)).await;
        }
    };
    if is_closing {
        // Before anybody who waits for that ends the process.
        last_words.await;
        shared.end(lost);
    } else {
        shared.end(lost);
        last_words.await;
    }
}

impl<'a> Driver<'a> {
    /// Works until the session ends: why.
    async fn drive(&mut self, receiver: &mut Receiver<Bytes>) -> Lost {
        let mut messages = Vec::with_capacity(BATCH);
        let mut timer = pin!(sleep_until(Instant::now()));
        loop {
            let now = Instant::now();
            for message in messages.drain(..) {
                self.engine.receive(message, now);
            }
            self.pass_on();
            self.listen(now);
            self.engine.tick(now);
            self.send().await;
            if let Some(lost) = self.engine.lost() {
                return lost.clone();
            }
            let deadline = self.engine.deadline(self.sending.is_none());
            // Setting a timer costs more than one that fires too early.
            if timer.is_elapsed() || deadline < timer.deadline() {
                timer.as_mut().reset(deadline);
            }
            // The transmission comes first: or a peer that never pauses could hold it up.
            tokio::select! {
                biased;
                () = finish(&mut self.sending) => self.sending = None,
                count = receiver.recv_many(&mut messages, BATCH) => if count == 0 {
                    return if self.engine.is_closing() { Lost::Closed } else { Lost::Broken };
                },
                () = self.shared.wake.notified() => {}
                () = timer.as_mut() => {}
            }
        }
    }

    /// Hands over what arrived, and tells the handles what has changed.
    fn pass_on(&mut self) {
        for body in self.engine.ready() {
            if let Err(unread) = self.inbox.send(body) {
                // Nobody will read: frames that come are discarded.
                self.shared.has_read(unread.0.charge());
            }
        }
        self.shared.freed(std::mem::take(&mut self.engine.freed));
        *self.shared.heard_at.lock() = self.engine.heard_at();
        if let Some(time) = self.engine.round_trip() {
            let time = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
            self.shared.round_trip.store(time.max(1), Ordering::Relaxed);
        }
    }

    /// Takes what the handles have to say.
    fn listen(&mut self, now: Instant) {
        self.engine.read = self.shared.read();
        self.engine.set_busy(self.shared.is_busy.load(Ordering::Relaxed));
        let mut outbox = self.shared.outbox.lock();
        self.engine.take(&mut outbox.frames);
        if let Some(length) = outbox.too_large {
            self.engine.end(Lost::TooLarge(length));
        }
        if outbox.is_closing {
            self.engine.close(now);
        }
    }

    /// Sends what is to be sent, until the carrier makes it wait.
    async fn send(&mut self) {
        while self.sending.is_none() {
            if self.engine.wants_frames() {
                self.engine.take(&mut self.shared.outbox.lock().frames);
            }
            let Some(message) = self.engine.transmit(Instant::now()) else { break };
            let mut sending = self.transmit.transmit(message);
            let is_sent = poll_fn(|context| Poll::Ready(sending.as_mut().poll(context).is_ready())).await;
            self.sending = (!is_sent).then_some(sending);
        }
        self.shared.announced.store(self.engine.announced(), Ordering::Release);
    }
}

/// Waits for the end of a transmission; for ever, if there is none.
async fn finish(sending: &mut Option<Sending<'_>>) {
    match sending {
        Some(sending) => sending.await,
        None => std::future::pending().await,
    }
}
