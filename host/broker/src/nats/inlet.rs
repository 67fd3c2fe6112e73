//! Sending end of a carrier's unread messages, which knows how many bytes wait.

use std::collections::VecDeque;

use bytes::Bytes;
use tokio::sync::mpsc;

use crate::carrier::UNREAD;

/// Messages below this size are copied, in bytes. A message that is not shares the buffer of its
/// connection, and keeps the whole buffer in memory.
const COPIED: usize = 16 << 10;

/// Sending end of a carrier's unread messages.
#[derive(Debug)]
pub(super) struct Inlet {
    sender: mpsc::Sender<Bytes>,
    /// Sizes of the messages that were unread at the last look, in order.
    sizes: VecDeque<usize>,
    /// Sum of `sizes`.
    unread: usize,
}

impl Inlet {
    /// Makes both ends.
    pub(super) fn new() -> (Self, mpsc::Receiver<Bytes>) {
        let (sender, receiver) = mpsc::channel(UNREAD);
        (Self { sender, sizes: VecDeque::new(), unread: 0 }, receiver)
    }

    /// Counts the unread bytes.
    pub(super) fn count(&mut self) -> usize {
        let unread = self.sender.max_capacity().saturating_sub(self.sender.capacity());
        while self.sizes.len() > unread {
            self.unread -= self.sizes.pop_front().unwrap_or_default();
        }
        self.unread
    }

    /// Sends a message, or drops it: without room for another message, or without a reader.
    pub(super) fn send(&mut self, message: Bytes) {
        let size = message.len();
        let message = if size < COPIED { Bytes::copy_from_slice(&message) } else { message };
        if self.sender.try_send(message).is_ok() {
            self.sizes.push_back(size);
            self.unread += size;
        }
    }

    /// True once the carrier's owner has dropped the receiver.
    pub(super) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }
}
