//! Limits of connections, and eviction when they are reached.
//!
//! Anybody can connect, and a client is known only after one of its requests was authenticated.
//! Unknown clients share three quarters of the connections. A new one evicts another unknown one:
//! idle ones first, from the address with the most connections. Known clients are evicted only
//! while idle, when all connections are in use. If none can be evicted, a few extra connections
//! serve health checks only.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::metrics::Counts;

/// Divisor: this part of the connections is reserved for known clients.
const KNOWN: usize = 4;
/// Extra connections for health checks.
const SPARE: usize = 8;
/// Milliseconds within which a client must let an idle connection close gracefully.
const CLOSING: u64 = 5_000;

/// A signal to a connection's task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// Take no more requests, and end after the running ones.
    Finish,
    /// End at once.
    End,
}

/// Reason why the server closed a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CloseReason {
    /// The connection was idle for too long.
    Idle,
    /// The connection was evicted for another client.
    Displaced,
    /// The client did not read its answer.
    SlowReader,
    /// The limit was reached, and none could be evicted.
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
    /// The unit of the per-address limit: an address, or a network of IPv6.
    group: IpAddr,
    began: Instant,
    requests: AtomicUsize,
    /// Start of the idle time, in milliseconds on the clock of [`Links`].
    idle_since: AtomicU64,
    /// When it was told to finish, in milliseconds; 0 before that, `u64::MAX` once it was told to
    /// end.
    finish_since: AtomicU64,
    is_known: AtomicBool,
    is_spare: bool,
    signals: UnboundedSender<Signal>,
}

impl Link {
    /// The client's address.
    pub(crate) fn peer(&self) -> IpAddr {
        self.peer
    }

    /// True for a connection that only health checks may use.
    pub(crate) fn is_spare(&self) -> bool {
        self.is_spare
    }

    /// Marks its client as known: one of its requests was authenticated.
    pub(crate) fn know(&self) {
        self.is_known.store(true, Ordering::Relaxed);
    }

    /// Begins a request, which lasts until the guard is dropped.
    pub(crate) fn enter(self: &Arc<Self>) -> RequestGuard {
        self.requests.fetch_add(1, Ordering::SeqCst);
        RequestGuard(self.clone())
    }

    fn is_idle(&self) -> bool {
        self.requests.load(Ordering::SeqCst) == 0
    }

    /// Order of eviction, lower first; `None` while a known client uses it.
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

/// RAII guard of a running request.
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
    per_group: usize,
    began: Instant,
    state: Mutex<State>,
    closed: Counts,
}

/// Open connections by number.
#[derive(Default)]
struct State {
    next: u64,
    links: HashMap<u64, Arc<Link>>,
}

/// RAII guard of a connection, which counts until it is dropped.
pub(crate) struct ConnectionPermit {
    pub(crate) link: Arc<Link>,
    pub(crate) signals: UnboundedReceiver<Signal>,
    links: Arc<Links>,
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        self.links.state.lock().links.remove(&self.link.number);
    }
}

impl Links {
    /// Limits of `most` connections, and of `per_group` from one address or IPv6 network.
    pub(crate) fn new(most: usize, per_group: usize, closed: Counts) -> Arc<Self> {
        Self::since(Instant::now(), most, per_group, closed)
    }

    /// Does the same, with a clock that started at `began`.
    pub(crate) fn since(began: Instant, most: usize, per_group: usize, closed: Counts) -> Arc<Self> {
        Arc::new(Self { most, per_group, began, state: Mutex::default(), closed })
    }

    /// Milliseconds on the clock of the connections.
    pub(crate) fn now(&self) -> u64 {
        millis(self.began.elapsed())
    }

    /// Accepts a client, possibly evicting another; `None` if there is no room.
    pub(crate) fn permit(self: &Arc<Self>, peer: IpAddr) -> Option<ConnectionPermit> {
        let mut state = self.state.lock();
        let group = group(peer);
        let unknown = |link: &Link| !link.is_known.load(Ordering::Relaxed);
        let count = |is: &dyn Fn(&Link) -> bool| state.links.values().filter(|link| !link.is_spare && is(link)).count();
        let same_group = |link: &Link| link.group == group;
        let is_full = count(&|_| true) >= self.most;
        // With very few connections, none is reserved for known clients.
        let is_crowded = count(&unknown) >= self.most - self.most / KNOWN;
        let evicted = if count(&same_group) >= self.per_group {
            let evicted = victim(&state, &same_group);
            if evicted.is_none() {
                self.closed.count(CloseReason::TurnedAway.word());
                return None;
            }
            evicted
        } else if is_crowded {
            victim(&state, &unknown)
        } else if is_full {
            victim(&state, &|_| true)
        } else {
            None
        };
        let is_spare = (is_full || is_crowded) && evicted.is_none();
        if is_spare && state.links.values().filter(|link| link.is_spare).count() >= SPARE {
            self.closed.count(CloseReason::TurnedAway.word());
            return None;
        }
        if let Some(link) = evicted {
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
            finish_since: AtomicU64::new(0),
            is_known: AtomicBool::new(false),
            is_spare,
            signals: send,
        });
        state.links.insert(number, link.clone());
        Some(ConnectionPermit { link, signals, links: self.clone() })
    }

    /// Closes a connection at once.
    pub(crate) fn close(&self, link: &Link, why: CloseReason) {
        // The permit is released by the connection's task.
        if self.state.lock().links.contains_key(&link.number)
            && link.finish_since.swap(u64::MAX, Ordering::SeqCst) != u64::MAX
        {
            self.tell(link, Signal::End, why);
        }
    }

    /// Closes connections that have been idle for `idle`: first gracefully, then at once.
    pub(crate) fn look(&self, idle: Duration) {
        let now = self.now();
        let idle = millis(idle);
        for link in self.state.lock().links.values().filter(|link| link.is_idle()) {
            let finish_since = link.finish_since.load(Ordering::SeqCst);
            if finish_since == 0 && now.saturating_sub(link.idle_since.load(Ordering::Relaxed)) > idle {
                link.finish_since.store(now.max(1), Ordering::SeqCst);
                self.tell(link, Signal::Finish, CloseReason::Idle);
            } else if finish_since != 0 && now.saturating_sub(finish_since) > CLOSING {
                let _ = link.signals.send(Signal::End);
            }
        }
    }

    /// Lets every connection finish gracefully.
    pub(crate) fn finish(&self) {
        for link in self.state.lock().links.values() {
            let _ = link.signals.send(Signal::Finish);
        }
    }

    fn tell(&self, link: &Link, signal: Signal, why: CloseReason) {
        self.closed.count(why.word());
        tracing::debug!(peer = %link.peer, why = why.word(), "a connection is closed");
        // An error means that the task has ended.
        let _ = link.signals.send(signal);
    }
}

/// Selects the connection to evict among those that `may` be.
fn victim(state: &State, may: &dyn Fn(&Link) -> bool) -> Option<Arc<Link>> {
    let mut sizes: HashMap<IpAddr, usize> = HashMap::new();
    for link in state.links.values() {
        *sizes.entry(link.group).or_default() += 1;
    }
    let candidates = state.links.values().filter(|link| !link.is_spare && may(link)).filter_map(|link| {
        let size = sizes.get(&link.group).copied().unwrap_or_default();
        Some(((link.turn()?, std::cmp::Reverse(size), link.idle_since.load(Ordering::Relaxed), link.number), link))
    });
    candidates.min_by_key(|(turn, _)| *turn).map(|(_, link)| link.clone())
}

/// The unit of the per-address limit: for IPv6 the /64 network, since each client has a whole one.
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
