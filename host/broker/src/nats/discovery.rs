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
pub struct Greeted {
    /// Sender.
    pub peer: PeerName,
    /// Version of the protocol.
    pub version: u32,
}

impl Greeted {
    /// True if this process speaks the same version.
    pub(super) fn is_known(&self) -> bool {
        self.version == VERSION
    }

    /// Reason why a peer of another version is ignored, and the remedy.
    pub(crate) fn why(&self) -> String {
        let Self { version, .. } = self;
        format!(
            "it speaks version {version} of the protocol, and this process version {VERSION} (update the older of both)"
        )
    }
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
    /// True for a peer of another version that was not met before. Logs it.
    pub(super) fn is_new(&mut self, greeted: &Greeted, kind: &str) -> bool {
        let is_new = !greeted.is_known() && self.0.len() < MAX_STRANGERS && self.0.insert(greeted.peer.id);
        if is_new {
            tracing::warn!("the {kind} `{}` is ignored: {}", greeted.peer, greeted.why());
        }
        is_new
    }
}

#[cfg(test)]
mod tests;
