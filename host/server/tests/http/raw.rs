//! A client that sends exactly the given bytes.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::common::{Served, within};

/// A connection.
pub(crate) struct Raw(TcpStream);

impl Raw {
    pub(crate) async fn to(served: &Served) -> Self {
        Self(TcpStream::connect(served.address()).await.unwrap())
    }

    /// Sends bytes, even if the server has closed the connection.
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.0.write_all(bytes.as_ref()).await;
    }

    /// Sends bytes. False if the server has closed the connection.
    pub(crate) async fn try_send(&mut self, bytes: &[u8]) -> bool {
        self.0.write_all(bytes).await.is_ok()
    }

    /// Closes the connection with a RST, like the system of a process that died with unread bytes.
    pub(crate) fn reset(self) {
        self.0.set_zero_linger().unwrap();
    }

    /// Shuts the sending half, but still receives.
    pub(crate) async fn end(&mut self) {
        self.0.shutdown().await.unwrap();
    }

    /// Reads until the server closes the connection.
    pub(crate) async fn rest(mut self) -> String {
        let mut bytes = Vec::new();
        // A server that closes with unread bytes resets the connection.
        let _ = within(self.0.read_to_end(&mut bytes)).await;
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Reads up to and including `text`.
    pub(crate) async fn until(&mut self, text: &str) -> String {
        let mut seen = Vec::new();
        while !String::from_utf8_lossy(&seen).contains(text) {
            let mut byte = [0];
            let read = within(self.0.read(&mut byte)).await.unwrap();
            assert!(read > 0, "hung up before `{text}`: {}", String::from_utf8_lossy(&seen));
            seen.push(byte[0]);
        }
        String::from_utf8_lossy(&seen).into_owned()
    }
}

/// The status of a reply.
pub(crate) fn status(reply: &str) -> u16 {
    let code = reply.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3));
    code.unwrap_or_else(|| panic!("no reply: {reply:?}")).parse().unwrap()
}

/// A complete request to an app, for `path` below it.
pub(crate) fn post(path: &str, body: &str) -> String {
    let length = body.len();
    format!("POST /v1/apps/{path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {length}\r\n\r\n{body}")
}
