//! HTTP client for single requests whose reply is read.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::Value;

/// Sends a request on a new connection, and returns the reply's body. A status other than 2xx is an
/// error.
pub(crate) fn talk(address: SocketAddr, method: &str, path: &str, body: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(address).context("cannot connect")?;
    stream.set_read_timeout(Some(Duration::from_secs(600)))?;
    let length = body.len();
    let head =
        format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)?;
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply)?;
    let end = reply.windows(4).position(|four| four == b"\r\n\r\n").context("a reply without a head")?;
    ensure!(
        reply.get(9) == Some(&b'2'),
        "{method} {path}: {}",
        String::from_utf8_lossy(reply.get(..400.min(reply.len())).unwrap_or_default())
    );
    Ok(reply.split_off(end + 4))
}

/// Sends a request on a new connection, and returns the reply's body as JSON.
pub(crate) fn json(address: SocketAddr, method: &str, path: &str, body: &[u8]) -> anyhow::Result<Value> {
    let reply = talk(address, method, path, body)?;
    serde_json::from_slice(&reply).with_context(|| format!("{method} {path}: not JSON"))
}
