//! Carrier to one peer: messages leave on the peer's subject.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use async_nats::Subject;
use bytes::Bytes;
use tokio::sync::mpsc;

use super::link::Link;
use crate::carrier::{Carrier, MAX_MESSAGE, Transmit};

/// Sending half of a carrier over NATS.
#[derive(Debug)]
struct Line {
    link: Arc<Link>,
    subject: Subject,
}

impl Transmit for Line {
    fn transmit(&self, message: Bytes) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            if message.len() > MAX_MESSAGE {
                tracing::error!(bytes = message.len(), "a message is lost: it is too large for a carrier");
                return;
            }
            self.link.publish(self.subject.clone(), message).await;
        })
    }
}

/// Makes the carrier to the peer that hears `subject`.
pub(super) fn carrier(link: &Arc<Link>, subject: String, receiver: mpsc::Receiver<Bytes>) -> Carrier {
    Carrier { sender: Arc::new(Line { link: link.clone(), subject: subject.into() }), receiver }
}
