//! Raw HTTP requests: a client library would not send those of an attacker.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

/// Timeout for reads and writes, ten times what any test needs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// A reply, read until the server closed the connection.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    /// Parses the bytes of one reply.
    pub(crate) fn parse(bytes: &[u8]) -> io::Result<Self> {
        let wrong = || {
            let start = String::from_utf8_lossy(bytes.get(..200).unwrap_or(bytes)).into_owned();
            io::Error::new(io::ErrorKind::InvalidData, format!("{} bytes are no answer: {start:?}", bytes.len()))
        };
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").ok_or_else(wrong)?;
        let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or_else(wrong)?;
        let rest = &bytes[end + 4..];
        let body = if head.contains("transfer-encoding: chunked") { unchunked(rest) } else { rest.to_vec() };
        Ok(Self { status, head, body })
    }

    /// Asserts the status, and that the body contains `text`.
    #[track_caller]
    pub(crate) fn expect(self, status: u16, text: &str) -> Self {
        assert!(self.status == status && self.text().contains(text), "not {status} with `{text}`: {}", self.shown());
        self
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.shown()))
    }

    /// Returns the status and the start of the body, for messages.
    pub(crate) fn shown(&self) -> String {
        let text = self.text();
        let start: String = text.chars().take(2000).collect();
        format!("{} with {} bytes: {start}", self.status, self.body.len())
    }
}

fn unchunked(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(end) = rest.windows(2).position(|two| two == b"\r\n") {
        let size = String::from_utf8_lossy(&rest[..end]).into_owned();
        let size = usize::from_str_radix(size.trim(), 16).unwrap_or(0);
        let Some(chunk) = rest.get(end + 2..end + 2 + size).filter(|_| size > 0) else { break };
        body.extend(chunk);
        rest = rest.get(end + 4 + size..).unwrap_or_default();
    }
    body
}

/// Opens a connection to the server. Reads and writes fail after [`PATIENCE`].
pub(crate) fn connect(address: &str) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// Sends bytes, and reads until the server closes the connection. A failed write is no error: the
/// server may have replied early.
pub(crate) fn talk(address: &str, bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = connect(address)?;
    let _ = stream.write_all(bytes);
    let mut reply = Vec::new();
    match stream.read_to_end(&mut reply) {
        Err(error) if reply.is_empty() || is_silence(&error) => Err(error),
        _ => Ok(reply),
    }
}

/// Returns true for a read timeout.
pub(crate) fn is_silence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// Returns the head of a request that closes its connection. `headers` are whole lines.
pub(crate) fn head(method: &str, path: &str, headers: &str, length: usize) -> String {
    format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n"
    )
}

/// Sends a request on a new connection, and returns the reply.
pub(crate) fn ask(address: &str, method: &str, path: &str, headers: &str, body: &[u8]) -> io::Result<Reply> {
    let request = [head(method, path, headers, body.len()).as_bytes(), body].concat();
    Reply::parse(&talk(address, &request)?)
}
