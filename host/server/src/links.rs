//! The connections that stand: how many there may be, of whom, and which one goes when there is no place for another.
//!
//! Anybody can connect, and only who sends a request that is let in is known. So strangers have three quarters of the places,
//! and one of them goes when another comes: an idle one first, of the address that has most. Known clients go only when
//! they are idle and all places are taken. When none can go, a few places beyond are left for health checks alone.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::metrics::Counts;

/// The part of all places that is kept for known clients.
const KNOWN: usize = 4;
/// Places beyond for health checks.
const SPARE: usize = 8;
/// How long a client may take to let an idle connection be closed in order.
const CLOSING: u64 = 5_000;

/// What a connection is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// Take no more requests, and end when those that run have.
    Finish,
    /// End now.
    End,
}

/// Why a connection was closed by the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CloseReason {
    /// It was not used.
    Idle,
    /// Another client needed its place.
    Displaced,
    /// Its client did not read.
    SlowReader,
    /// There was no place for it.
    TurnedAway,
}

impl CloseReason {
    fn word(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Displaced => "displaced",
            Self::SlowReader => "slow-reader",
            Self::TurnedAway => "turned-away",
        }
    }
}

/// A connection.
pub(crate) struct Link {
    number: u64,
    peer: IpAddr,
    /// Whom it counts for: an address, or a network of IPv6.
    group: IpAddr,
    began: Instant,
    requests: AtomicUsize,
    /// Since when it has no request under way, in milliseconds.
    idle_since: AtomicU64,
    /// When it was told to finish; 0 until then.
    told: AtomicU64,
    is_known: AtomicBool,
    is_spare: bool,
    signals: UnboundedSender<Signal>,
}

impl Link {
    /// Whoever is at the other end.
    pub(crate) fn peer(&self) -> IpAddr {
        self.peer
    }

    /// True for a connection that only health checks may use.
    pub(crate) fn is_spare(&self) -> bool {
        self.is_spare
    }

    /// Notes that a request of it was let in.
    pub(crate) fn know(&self) {
        self.is_known.store(true, Ordering::Relaxed);
    }

    /// A request begins; it is under way until what this returns is dropped.
    pub(crate) fn enter(self: &Arc<Self>) -> RequestGuard {
        self.requests.fetch_add(1, Ordering::SeqCst);
        RequestGuard(self.clone())
    }

    fn is_idle(&self) -> bool {
        self.requests.load(Ordering::SeqCst) == 0
    }

    /// In which turn it goes when another needs its place; never while it is of use to somebody known.
    fn turn(&self) -> Option<u8> {
        match (self.is_known.load(Ordering::Relaxed), self.is_idle()) {
            (false, true) => Some(0),
            (false, false) => Some(1),
            (true, true) => Some(2),
            (true, false) => None,
        }
    }

    fn now(&self) -> u64 {
        millis(self.began.elapsed())
    }
}

/// A request under way.
pub(crate) struct RequestGuard(Arc<Link>);

impl RequestGuard {
    pub(crate) fn link(&self) -> &Arc<Link> {
        &self.0
    }
}

impl Drop for RequestGuard {
    fn drop(&mut self) {
        self.0.idle_since.store(self.0.now(), Ordering::Relaxed);
        self.0.requests.fetch_sub(1, Ordering::SeqCst);
    }
}

/// All connections.
pub(crate) struct Links {
    most: usize,
    of_one: usize,
    began: Instant,
    state: Mutex<State>,
    closed: Counts,
}

#[derive(Default)]
struct State {
    next: u64,
    links: HashMap<u64, Arc<Link>>,
}

/// A connection's place; free again when this is dropped.
pub(crate) struct ConnectionPermit {
    pub(crate) link: Arc<Link>,
    pub(crate) signals: UnboundedReceiver<Signal>,
    links: Arc<Links>,
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        self.links.lock().links.remove(&self.link.number);
    }
}

impl Links {
    /// Places for `most` connections, and for `of_one` of one address.
    pub(crate) fn new(most: usize, of_one: usize, closed: Counts) -> Arc<Self> {
        Self::since(Instant::now(), most, of_one, closed)
    }

    /// The same by a clock that began then.
    pub(crate) fn since(began: Instant, most: usize, of_one: usize, closed: Counts) -> Arc<Self> {
        Arc::new(Self { most, of_one, began, state: Mutex::default(), closed })
    }

    /// Milliseconds on the clock that connections go by.
    pub(crate) fn now(&self) -> u64 {
        millis(self.began.elapsed())
    }

    /// A place for a client, which another may have to give up; `None` when there is none.
    pub(crate) fn permit(self: &Arc<Self>, peer: IpAddr) -> Option<ConnectionPermit> {
        let mut state = self.lock();
        let group = group(peer);
        let strangers = |link: &Link| !link.is_known.load(Ordering::Relaxed);
        let count = |is: &dyn Fn(&Link) -> bool| state.links.values().filter(|link| !link.is_spare && is(link)).count();
        let of_one = |link: &Link| link.group == group;
        let is_full = count(&|_| true) >= self.most;
        // A quarter is too little to be kept of very few.
        let is_crowded = count(&strangers) >= self.most - self.most / KNOWN;
        let goes = if count(&of_one) >= self.of_one {
            let goes = victim(&state, &of_one);
            if goes.is_none() {
                self.closed.count(CloseReason::TurnedAway.word());
                return None;
            }
            goes
        } else if is_crowded {
            victim(&state, &strangers)
        } else if is_full {
            victim(&state, &|_| true)
        } else {
            None
        };
        let is_spare = (is_full || is_crowded) && goes.is_none();
        if is_spare && state.links.values().filter(|link| link.is_spare).count() >= SPARE {
            self.closed.count(CloseReason::TurnedAway.word());
            return None;
        }
        if let Some(link) = goes {
            state.links.remove(&link.number);
            self.tell(&link, Signal::End, CloseReason::Displaced);
        }
        let number = state.next;
        state.next += 1;
        let (send, signals) = unbounded_channel();
        let link = Arc::new(Link {
            number,
            peer,
            group,
            began: self.began,
            requests: AtomicUsize::new(0),
            idle_since: AtomicU64::new(self.now()),
            told: AtomicU64::new(0),
            is_known: AtomicBool::new(false),
            is_spare,
            signals: send,
        });
        state.links.insert(number, link.clone());
        Some(ConnectionPermit { link, signals, links: self.clone() })
    }

    /// Closes a connection at once.
    pub(crate) fn close(&self, link: &Link, why: CloseReason) {
        // The seat goes with the connection's task.
        if self.lock().links.contains_key(&link.number) && link.told.swap(u64::MAX, Ordering::SeqCst) != u64::MAX {
            self.tell(link, Signal::End, why);
        }
    }

    /// Closes connections that were not used for `idle`: in order, and those whose clients do not let them be, at once.
    pub(crate) fn look(&self, idle: Duration) {
        let (now, idle) = (self.now(), millis(idle));
        for link in self.lock().links.values().filter(|link| link.is_idle()) {
            let told = link.told.load(Ordering::SeqCst);
            if told == 0 && now.saturating_sub(link.idle_since.load(Ordering::Relaxed)) > idle {
                link.told.store(now.max(1), Ordering::SeqCst);
                self.tell(link, Signal::Finish, CloseReason::Idle);
            } else if told != 0 && now.saturating_sub(told) > CLOSING {
                let _ = link.signals.send(Signal::End);
            }
        }
    }

    /// Lets every connection finish.
    pub(crate) fn finish(&self) {
        for link in self.lock().links.values() {
            let _ = link.signals.send(Signal::Finish);
        }
    }

    fn tell(&self, link: &Link, signal: Signal, why: CloseReason) {
        self.closed.count(why.word());
        tracing::debug!(peer = %link.peer, why = why.word(), "a connection is closed");
        // Its task may have ended.
        let _ = link.signals.send(signal);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The connection that goes for another, of those that `may`.
fn victim(state: &State, may: &dyn Fn(&Link) -> bool) -> Option<Arc<Link>> {
    let mut sizes: HashMap<IpAddr, usize> = HashMap::new();
    for link in state.links.values() {
        *sizes.entry(link.group).or_default() += 1;
    }
    let turns = state.links.values().filter(|link| !link.is_spare && may(link)).filter_map(|link| {
        let size = sizes.get(&link.group).copied().unwrap_or_default();
        Some(((link.turn()?, std::cmp::Reverse(size), link.idle_since.load(Ordering::Relaxed), link.number), link))
    });
    turns.min_by_key(|(turn, _)| *turn).map(|(_, link)| link.clone())
}

/// The address that counts: of IPv6 the network, as each client has a whole one.
fn group(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        v4 => v4,
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
