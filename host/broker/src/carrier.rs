//! Messages between two peers. A carrier promises little: a message arrives whole or not at all,
//! perhaps twice, perhaps after later ones. A [`session`](crate::session) makes more of it.

use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio_util::codec::{FramedRead, FramedWrite, LengthDelimitedCodec};

/// The largest message of a carrier, in bytes. Below the 1 MiB that a NATS server accepts by
/// default.
pub const MAX_MESSAGE: usize = 512 << 10;

/// Messages that have arrived and are not read. A further one waits, or is lost, as the carrier
/// decides.
pub const UNREAD: usize = 256;

/// Sending half of a carrier.
pub trait Transmit: Send + Sync + Debug {
    /// Sends a message of at most [`MAX_MESSAGE`] bytes. It may be lost, without a word. Ends soon:
    /// a carrier that cannot send now waits for a second at most, and then drops the message.
    fn transmit(&self, message: Bytes) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}

/// One peer's end of a carrier. The receiver ends once the carrier is known to be broken for good;
/// dropping both halves tells the other peer, if the carrier can.
#[derive(Debug)]
pub struct Carrier {
    /// Sends messages.
    pub sender: Arc<dyn Transmit>,
    /// Receives messages.
    pub receiver: mpsc::Receiver<Bytes>,
}

/// Sending half of a carrier within this process.
#[derive(Debug)]
struct Channel(mpsc::Sender<Bytes>);

impl Transmit for Channel {
    fn transmit(&self, message: Bytes) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            // The other end is gone: its session will notice.
            let _ = self.0.send(message).await;
        })
    }
}

/// Makes the two ends of a carrier within this process, which loses nothing.
#[must_use]
pub fn in_process() -> (Carrier, Carrier) {
    let (one_sends, other_receives) = mpsc::channel(UNREAD);
    let (other_sends, one_receives) = mpsc::channel(UNREAD);
    let end = |sender, receiver| Carrier { sender: Arc::new(Channel(sender)), receiver };
    (end(one_sends, one_receives), end(other_sends, other_receives))
}

/// Sending half of a carrier over a stream.
#[derive(Debug)]
struct Stream(mpsc::Sender<Bytes>);

impl Transmit for Stream {
    fn transmit(&self, message: Bytes) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            // A broken stream ends the receiver.
            let _ = self.0.send(message).await;
        })
    }
}

/// Messages that are queued for a stream. A further one waits.
const UNWRITTEN: usize = 16;

/// Makes a carrier of a stream, which loses nothing until it breaks. Spawns its tasks on the
/// current runtime.
#[must_use]
pub fn over_stream<S: AsyncRead + AsyncWrite + Send + 'static>(stream: S) -> Carrier {
    let (read, write) = tokio::io::split(stream);
    let codec = || LengthDelimitedCodec::builder().max_frame_length(MAX_MESSAGE).new_codec();
    let mut reader = FramedRead::new(read, codec());
    let mut writer = FramedWrite::new(write, codec());
    let (sender, mut queued) = mpsc::channel::<Bytes>(UNWRITTEN);
    let (arrived, receiver) = mpsc::channel(UNREAD);
    tokio::spawn(async move {
        while let Some(message) = queued.recv().await {
            let written = if queued.is_empty() { writer.send(message).await } else { writer.feed(message).await };
            if written.is_err() {
                return;
            }
        }
    });
    tokio::spawn(async move {
        while let Some(Ok(message)) = reader.next().await {
            if arrived.send(message.freeze()).await.is_err() {
                return;
            }
        }
    });
    Carrier { sender: Arc::new(Stream(sender)), receiver }
}
