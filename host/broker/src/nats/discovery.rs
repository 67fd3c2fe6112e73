//! Messages by which roots and workers find each other.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use prost::Message;

use super::names::{PeerId, PeerName};
use crate::label::is_label;

/// Version of the protocol between roots and workers. Peers of another version are ignored, and
/// logged with their version.
pub const VERSION: u32 = 1;
/// Largest announcement that is read, in bytes.
const MAX_GREETING: usize = 1 << 10;
/// Most peers of another version that are logged.
const MAX_STRANGERS: usize = 100;

/// Announcement of a root, or hello of a worker.
#[derive(Clone, PartialEq, Message)]
struct Greeting {
    #[prost(fixed64, tag = "1")]
    id: u64,
    #[prost(uint32, tag = "2")]
    version: u32,
    #[prost(string, tag = "3")]
    name: String,
}

/// Sender of a greeting, and the version of the protocol that it speaks.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Greeted {
    /// Sender.
    pub(super) peer: PeerName,
    /// Version of the protocol.
    pub(super) version: u32,
}

/// Writes the greeting of a peer of this version.
pub(super) fn greeting(id: PeerId, name: &str) -> Bytes {
    Greeting { id: id.0, version: VERSION, name: name.to_owned() }.encode_to_vec().into()
}

/// Reads a greeting; anything else is no peer.
pub(super) fn read(message: &Bytes) -> Option<Greeted> {
    let Greeting { id, version, name } =
        (message.len() <= MAX_GREETING).then(|| Greeting::decode(message.clone()).ok())??;
    let peer = PeerName { name: Arc::from(name), id: PeerId(id) };
    is_label(&peer.name).then_some(Greeted { peer, version })
}

/// Peers of another version, each of which is logged once.
#[derive(Debug, Default)]
pub(super) struct Strangers(HashSet<PeerId>);

impl Strangers {
    /// True for a peer of this version. Logs any other.
    pub(super) fn admit(&mut self, greeted: &Greeted, kind: &str) -> bool {
        let Greeted { peer, version } = greeted;
        let is_known = *version == VERSION;
        if !is_known && self.0.len() < MAX_STRANGERS && self.0.insert(peer.id) {
            tracing::warn!(
                "the {kind} `{peer}` speaks version {version} of the protocol, and this process version {VERSION}: \
                 it is ignored (update the older of both)"
            );
        }
        is_known
    }
}

#[cfg(test)]
mod tests;
