//! Faults of a carrier, for tests: messages that are lost, doubled, reordered and delayed, and
//! links that are cut. All times are tokio's, so that paused time works.

use std::collections::BTreeMap;
use std::future::Future;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use rand::rngs::ChaCha12Rng;
use rand::{RngExt, SeedableRng};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use crate::carrier::{Carrier, Transmit, UNREAD};

/// Most messages that are held back in one direction. Further ones wait, as for a slow carrier.
const HELD: usize = 4 * UNREAD;

/// Longest time by which a reordered message comes later than it otherwise would.
const OVERTAKEN: Duration = Duration::from_millis(20);

/// Probabilities and times of faults, the same in both directions.
#[derive(Clone, Debug, PartialEq)]
pub struct Chaos {
    /// Probability that a message is lost.
    pub drop: f64,
    /// Probability that a message comes twice.
    pub double: f64,
    /// Probability that later messages may overtake a message.
    pub reorder: f64,
    /// Range of a message's delay. Delay alone changes no order.
    pub delay: Range<Duration>,
    /// Seed of all that is random.
    pub seed: u64,
}

impl Default for Chaos {
    /// No faults.
    fn default() -> Self {
        Self { drop: 0.0, double: 0.0, reorder: 0.0, delay: Duration::ZERO..Duration::ZERO, seed: 0 }
    }
}

/// Counts of messages, in both directions, that a fault happened to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// Messages that were delivered, each time that they were.
    pub delivered: u64,
    /// Messages that were lost.
    pub dropped: u64,
    /// Messages that came twice.
    pub doubled: u64,
    /// Messages that others could overtake.
    pub reordered: u64,
    /// Messages that came later.
    pub delayed: u64,
    /// Messages that were lost because the link was cut.
    pub cut: u64,
}

/// Counters of faults.
#[derive(Debug, Default)]
struct Counters {
    delivered: AtomicU64,
    dropped: AtomicU64,
    doubled: AtomicU64,
    reordered: AtomicU64,
    delayed: AtomicU64,
    cut: AtomicU64,
}

/// Control of a carrier with faults.
#[derive(Clone, Debug, Default)]
pub struct ChaosLink {
    counters: Arc<Counters>,
    is_cut: Arc<AtomicBool>,
}

impl ChaosLink {
    /// Cuts the link: all messages are lost, also those under way.
    pub fn cut(&self) {
        self.is_cut.store(true, Ordering::Relaxed);
    }

    /// Heals the link.
    pub fn heal(&self) {
        self.is_cut.store(false, Ordering::Relaxed);
    }

    /// Counts of faults so far.
    #[must_use]
    pub fn faults(&self) -> Faults {
        let Counters { delivered, dropped, doubled, reordered, delayed, cut } = &*self.counters;
        Faults {
            delivered: delivered.load(Ordering::Relaxed),
            dropped: dropped.load(Ordering::Relaxed),
            doubled: doubled.load(Ordering::Relaxed),
            reordered: reordered.load(Ordering::Relaxed),
            delayed: delayed.load(Ordering::Relaxed),
            cut: cut.load(Ordering::Relaxed),
        }
    }
}

/// Sending half of a carrier with faults.
#[derive(Debug)]
struct Entry(mpsc::Sender<Bytes>);

impl Transmit for Entry {
    fn transmit(&self, message: Bytes) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            // The other end is gone: its session will notice.
            let _ = self.0.send(message).await;
        })
    }
}

/// Destination of one direction's messages.
#[derive(Debug)]
enum Exit {
    /// The carrier itself.
    Carrier(Arc<dyn Transmit>),
    /// The end that has the faults.
    Receiver(mpsc::Sender<Bytes>),
}

impl Exit {
    /// Delivers a message. False if nobody takes messages any longer.
    async fn deliver(&self, message: Bytes) -> bool {
        match self {
            Self::Carrier(sender) => {
                sender.transmit(message).await;
                true
            }
            Self::Receiver(sender) => sender.send(message).await.is_ok(),
        }
    }

    /// Waits until nobody takes messages any longer.
    async fn gone(&self) {
        match self {
            Self::Carrier(_) => std::future::pending().await,
            Self::Receiver(sender) => sender.closed().await,
        }
    }
}

/// One direction of a carrier with faults.
struct Direction {
    chaos: Chaos,
    random: ChaCha12Rng,
    link: ChaosLink,
    /// Messages under way, by the time at which they arrive and their order.
    held: BTreeMap<(Instant, u64), Bytes>,
    order: u64,
    /// Arrival of the last message that is in order.
    last: Instant,
}

/// Gives an end of a carrier faults, in both directions. Spawns two tasks on the current runtime.
///
/// # Panics
///
/// Outside of a tokio runtime.
#[must_use]
pub fn chaos(end: Carrier, chaos: Chaos) -> (Carrier, ChaosLink) {
    let link = ChaosLink::default();
    let (entry, outgoing) = mpsc::channel(UNREAD);
    let (exit, receiver) = mpsc::channel(UNREAD);
    let direction = |stream| Direction::new(&chaos, stream, link.clone());
    tokio::spawn(direction(0).run(outgoing, Exit::Carrier(end.sender)));
    tokio::spawn(direction(1).run(end.receiver, Exit::Receiver(exit)));
    (Carrier { sender: Arc::new(Entry(entry)), receiver }, link)
}

impl Direction {
    fn new(chaos: &Chaos, stream: u64, link: ChaosLink) -> Self {
        let mut random = ChaCha12Rng::seed_from_u64(chaos.seed);
        random.set_stream(stream);
        Self { chaos: chaos.clone(), random, link, held: BTreeMap::new(), order: 0, last: Instant::now() }
    }

    /// Passes messages on, until both ends are gone.
    async fn run(mut self, mut input: mpsc::Receiver<Bytes>, exit: Exit) {
        let mut has_ended = false;
        loop {
            let due = self.held.first_key_value().map(|((due, _), _)| *due);
            if due.is_some_and(|due| due <= Instant::now()) {
                let message = self.held.pop_first().map(|(_, message)| message);
                if !self.deliver(message, &exit).await {
                    return;
                }
                continue;
            }
            let can_hold = !has_ended && self.held.len() < HELD;
            tokio::select! {
                biased;
                message = input.recv(), if can_hold => match message {
                    Some(message) => self.hold(&message),
                    None => has_ended = true,
                },
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {}
                () = exit.gone() => return,
                else => return,
            }
            if has_ended && self.held.is_empty() {
                return;
            }
        }
    }

    async fn deliver(&self, message: Option<Bytes>, exit: &Exit) -> bool {
        let Some(message) = message else { return true };
        if self.link.is_cut.load(Ordering::Relaxed) {
            count(&self.link.counters.cut);
            return true;
        }
        count(&self.link.counters.delivered);
        exit.deliver(message).await
    }

    /// Decides what happens to a message.
    fn hold(&mut self, message: &Bytes) {
        let link = self.link.clone();
        if link.is_cut.load(Ordering::Relaxed) {
            count(&link.counters.cut);
            return;
        }
        if self.random.random_bool(self.chaos.drop) {
            count(&link.counters.dropped);
            return;
        }
        let is_doubled = self.random.random_bool(self.chaos.double);
        if is_doubled {
            count(&link.counters.doubled);
        }
        for _ in 0..=usize::from(is_doubled) {
            let due = self.arrival();
            self.order += 1;
            self.held.insert((due, self.order), message.clone());
        }
    }

    /// Time at which the next message arrives.
    fn arrival(&mut self) -> Instant {
        let mut within =
            |range: Range<Duration>| if range.is_empty() { range.start } else { self.random.random_range(range) };
        let delay = within(self.chaos.delay.clone());
        let later = within(Duration::ZERO..OVERTAKEN);
        let is_reordered = self.random.random_bool(self.chaos.reorder);
        let due = self.last.max(Instant::now() + delay);
        if delay > Duration::ZERO {
            count(&self.link.counters.delayed);
        }
        if is_reordered {
            count(&self.link.counters.reordered);
            return due + later;
        }
        self.last = due;
        due
    }
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
