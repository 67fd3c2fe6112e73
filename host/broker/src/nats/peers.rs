//! Table of the peers that have a carrier, bounded in number and in unread bytes.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::inlet::Inlet;
use super::names::ANY;
use crate::carrier::MAX_MESSAGE;

/// Most peers of a root or a worker. For a further one, the least recently heard is forgotten.
const MAX_PEERS: usize = 10_000;
/// Most peers of one user: a user that invents names leaves room for the others.
const MAX_OF_USER: usize = 2_500;
/// Most unread bytes of one peer. Further messages are lost.
const MAX_UNREAD: usize = 16 << 20;
/// Most unread bytes of all peers together. Further messages are lost.
const MAX_UNREAD_OF_ALL: usize = 256 << 20;

/// Position in the order in which peers were heard: a coarse time, and a number within it.
type Age = (u64, u64);

/// One peer that has a carrier.
#[derive(Debug)]
struct Peer {
    inlet: Inlet,
    age: Age,
    user: Arc<str>,
}

/// Peers that have a carrier, by the end of the subject that their messages arrive on.
#[derive(Debug, Default)]
pub(super) struct Peers {
    all: HashMap<Arc<str>, Peer>,
    by_age: BTreeMap<Age, Arc<str>>,
    of_users: HashMap<Arc<str>, usize>,
    /// Upper bound of all unread bytes: counted when it matters, as readers do not report.
    unread: usize,
    /// Calls of [`Peers::tick`]: the coarse time.
    now: u64,
    next: u64,
}

impl Peers {
    /// True for a peer whose carrier has an owner.
    pub(super) fn knows(&self, key: &str) -> bool {
        self.all.get(key).is_some_and(|peer| !peer.inlet.is_closed())
    }

    /// Adds a peer without a message. Returns the receiver of its carrier, or `None` if its user
    /// has too many peers.
    pub(super) fn add(&mut self, key: &str, user: &Arc<str>) -> Option<mpsc::Receiver<Bytes>> {
        self.forget(key);
        if **user != *ANY && self.of_users.get(user).is_some_and(|count| *count >= MAX_OF_USER) {
            return None;
        }
        if self.all.len() >= MAX_PEERS
            && let Some((_, oldest)) = self.by_age.first_key_value()
        {
            let oldest = oldest.clone();
            self.forget(&oldest);
        }
        let key: Arc<str> = key.into();
        let (inlet, receiver) = Inlet::new();
        let age = self.age();
        self.by_age.insert(age, key.clone());
        *self.of_users.entry(user.clone()).or_default() += 1;
        self.all.insert(key, Peer { inlet, age, user: user.clone() });
        Some(receiver)
    }

    /// Gives a message to its peer, if the peer is known, and drops it without room.
    pub(super) fn deliver(&mut self, key: &str, message: Bytes) {
        let size = message.len();
        if size > MAX_MESSAGE || !self.has_room(size) {
            return;
        }
        self.touch(key);
        let Some(peer) = self.all.get_mut(key) else { return };
        let before = peer.inlet.count();
        if before + size > MAX_UNREAD {
            return;
        }
        peer.inlet.send(message);
        self.unread += peer.inlet.count().saturating_sub(before);
    }

    /// Notes that a peer was heard.
    pub(super) fn touch(&mut self, key: &str) {
        let stale = self.all.get_key_value(key).filter(|(_, peer)| peer.age.0 != self.now);
        let Some((key, age)) = stale.map(|(key, peer)| (key.clone(), peer.age)) else { return };
        let renewed = self.age();
        self.by_age.remove(&age);
        if let Some(peer) = self.all.get_mut(&key) {
            peer.age = renewed;
            self.by_age.insert(renewed, key);
        }
    }

    /// Forgets a peer: its receiver ends.
    pub(super) fn forget(&mut self, key: &str) {
        let Some(peer) = self.all.remove(key) else { return };
        self.by_age.remove(&peer.age);
        if let Some(count) = self.of_users.get_mut(&peer.user) {
            *count -= 1;
            if *count == 0 {
                self.of_users.remove(&peer.user);
            }
        }
    }

    /// Advances the coarse time, and forgets the peers whose carriers were dropped.
    pub(super) fn tick(&mut self) {
        self.now += 1;
        self.next = 0;
        let dropped = self.all.iter().filter(|(_, peer)| peer.inlet.is_closed());
        let dropped: Vec<Arc<str>> = dropped.map(|(key, _)| key.clone()).collect();
        for key in dropped {
            self.forget(&key);
        }
        self.count();
    }

    /// True if a message of `size` bytes fits among the unread ones of all peers.
    fn has_room(&mut self, size: usize) -> bool {
        if self.unread + size > MAX_UNREAD_OF_ALL {
            self.count();
        }
        self.unread + size <= MAX_UNREAD_OF_ALL
    }

    fn count(&mut self) {
        self.unread = self.all.values_mut().map(|peer| peer.inlet.count()).sum();
    }

    fn age(&mut self) -> Age {
        self.next += 1;
        (self.now, self.next)
    }
}

#[cfg(test)]
mod tests;
