//! Names of peers, and the subjects on which they hear each other.
//!
//! | subject | publishes | subscribes |
//! |---|---|---|
//! | `frond.<pool>.roots` | a root, each second | each worker |
//! | `frond.<pool>.hello` | a worker that connects | each root |
//! | `frond.<pool>.r.<root>.<user>.<worker>` | that worker | that root |
//! | `frond.<pool>.w.<user>.<worker>.<root>` | that root | that worker |
//!
//! `<user>` is the NATS user of the worker. The server's permissions can name it, so that a worker
//! neither speaks for another one nor hears its messages.

use std::fmt;
use std::sync::Arc;

use async_nats::Subject;

/// Stands for the user where the server has no users.
pub(super) const ANY: &str = "any";
/// Longest name of a pool, in bytes: it is part of every subject.
const MAX_POOL: usize = 32;
/// Longest name of a user, in bytes: it is part of every subject of its workers.
const MAX_USER: usize = 64;

/// Random number that names a root or a worker for the life of its connection: 16 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PeerId(pub(super) u64);

impl PeerId {
    /// Makes a random number.
    #[must_use]
    pub fn random() -> Self {
        Self(rand::random())
    }

    /// Reads 16 lower-case hex digits.
    fn parse(text: &str) -> Option<Self> {
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        let is_valid = text.len() == 16 && text.bytes().all(is_digit);
        is_valid.then(|| u64::from_str_radix(text, 16).ok()).flatten().map(Self)
    }
}

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Name of a peer: of a worker its user, which the server can vouch for, of a root the name that it
/// announces; and its number.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct PeerName {
    /// User of a worker, or name of a root.
    pub name: Arc<str>,
    /// Number that differs between peers of one name.
    pub id: PeerId,
}

impl PeerName {
    /// End of the subjects that a worker publishes to: `<user>.<worker>`.
    pub(super) fn as_sender(&self) -> String {
        format!("{}.{}", self.name, self.id)
    }
}

impl fmt::Display for PeerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.name, self.id)
    }
}

/// Subjects of a pool.
#[derive(Clone, Debug)]
pub(super) struct Subjects {
    /// Begins every subject: `frond.<pool>`.
    prefix: String,
}

impl Subjects {
    /// Returns the subjects of a pool whose name is valid.
    pub(super) fn new(pool: &str) -> Self {
        Self { prefix: format!("frond.{pool}") }
    }

    /// Name of the pool.
    pub(super) fn pool(&self) -> &str {
        self.prefix.strip_prefix("frond.").unwrap_or_default()
    }

    /// Subject of the roots' announcements.
    pub(super) fn roots(&self) -> Subject {
        format!("{}.roots", self.prefix).into()
    }

    /// Subject of the workers' hellos.
    pub(super) fn hello(&self) -> Subject {
        format!("{}.hello", self.prefix).into()
    }

    /// Beginning of the subjects of a root's messages; the sender's name follows.
    pub(super) fn of_root(&self, root: PeerId) -> String {
        format!("{}.r.{root}.", self.prefix)
    }

    /// Beginning of the subjects of a worker's messages; the root's number follows.
    pub(super) fn of_worker(&self, user: &str, worker: PeerId) -> String {
        format!("{}.w.{user}.{worker}.", self.prefix)
    }

    /// Subject to which a root may publish and that nobody hears.
    pub(super) fn unheard_by_workers(&self) -> Subject {
        format!("{}.w._._._", self.prefix).into()
    }

    /// Subject to which a worker may publish and that nobody hears.
    pub(super) fn unheard_by_roots(&self, user: &str, worker: PeerId) -> Subject {
        format!("{}.r._.{user}.{worker}", self.prefix).into()
    }
}

/// Reads the name of a worker: `<user>.<worker>`.
pub(super) fn worker(text: &str) -> Option<PeerName> {
    let (user, id) = text.split_once('.')?;
    let id = PeerId::parse(id)?;
    is_user(user).then(|| PeerName { name: user.into(), id })
}

/// Checks the name of a pool: lower-case letters, digits and hyphens.
pub(super) fn is_pool(name: &str) -> bool {
    let is_valid = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=MAX_POOL).contains(&name.len()) && name.bytes().all(is_valid)
}

/// Checks the name of a user: one token of a subject, of letters, digits, hyphens and underscores.
pub(super) fn is_user(name: &str) -> bool {
    let is_valid = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    (1..=MAX_USER).contains(&name.len()) && name != "_" && name.bytes().all(is_valid)
}

#[cfg(test)]
mod tests;
