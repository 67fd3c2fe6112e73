//! A server and a minimal HTTP client.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use crate::kit::{Frond, Running};

/// A running server, whose stdout stays open.
pub(crate) struct Server {
    pub(crate) running: Running,
    pub(crate) address: String,
    _stdout: BufReader<std::io::PipeReader>,
}

impl Server {
    /// Starts `frond serve …`, and waits until it serves the app.
    pub(crate) fn by(serve: Frond) -> Self {
        let (reader, writer) = std::io::pipe().unwrap();
        let mut running = serve.stdout(writer).start();
        let mut stdout = BufReader::new(reader);
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let Some(address) = line.trim().strip_prefix("listening on http://") else {
            running.signal("KILL");
            panic!("it does not listen: {line}{}", running.end().err());
        };
        let server = Self { address: address.to_owned(), running, _stdout: stdout };
        while server.ask("GET", "/readyz", "").0 != 200 {}
        while server.ask("GET", "/v1/apps/app", "").0 != 200 {}
        server
    }

    /// Sends a request, and returns the status and the body of the reply.
    pub(crate) fn ask(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let head = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n");
        stream.write_all(format!("{head}content-length: {}\r\n\r\n{body}", body.len()).as_bytes()).unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).unwrap();
        let status = reply.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
        (status, reply.split_once("\r\n\r\n").map_or("", |(_, body)| body).to_owned())
    }

    /// Stops the server, and returns its stderr, unless that is redirected.
    pub(crate) fn end(mut self) -> String {
        self.running.signal("TERM");
        self.running.end().expect(0).err()
    }
}
