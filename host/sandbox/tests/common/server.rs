//! Small HTTP server on loopback: a thread per connection, one request each.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// Running server. It ends with the test's process.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    seen: Arc<Received>,
}

#[derive(Default)]
struct Received {
    requests: Mutex<Vec<Request>>,
    silent: AtomicUsize,
}

/// Request as the server received it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Request {
    /// Method and path.
    pub(crate) line: String,
    pub(crate) headers: Vec<String>,
    pub(crate) body: usize,
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::at("127.0.0.1:0").expect("a port on loopback")
    }

    pub(crate) fn at(address: &str) -> std::io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        let seen = Arc::new(Received::default());
        let server = Self { address, seen: seen.clone() };
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let seen = seen.clone();
                thread::spawn(move || serve(&stream, &seen));
            }
        });
        Ok(server)
    }

    /// Returns a URL by the server's address.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Returns a URL by a name of the server.
    pub(crate) fn named(&self, name: &str, path: &str) -> String {
        format!("http://{name}:{}{path}", self.address.port())
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.seen.requests.lock().unwrap().clone()
    }

    /// Returns the number of clients that wait for an answer that never comes.
    pub(crate) fn waiting(&self) -> usize {
        self.seen.silent.load(Ordering::SeqCst)
    }
}

/// Answers by path: `/big/N` and `/chunked/N` have N bytes, `/head/N` N bytes of headers, `/silent`
/// never answers, `/stall` stops in the middle, `/redirect` leads to `/ok`, and everything else
/// says hello.
fn serve(stream: &TcpStream, seen: &Received) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let request = read(&mut reader)?;
    let path = request.line.split(' ').nth(1).unwrap_or_default().to_owned();
    let hello = format!("hello {} {}", request.line, request.body);
    seen.requests.lock().unwrap().push(request);
    let number = path.rsplit('/').next().and_then(|number| number.parse().ok()).unwrap_or(0);
    let head = |more: &str| format!("HTTP/1.1 200 OK\r\nconnection: close\r\n{more}\r\n");
    let mut out = stream;
    let sized = |size: usize| head(&format!("content-length: {size}\r\n"));
    let _ = match path.split('/').nth(1).unwrap_or_default() {
        "big" => out.write_all(sized(number).as_bytes()).and_then(|()| out.write_all(&vec![b'x'; number])),
        "chunked" => chunked(out, &head("transfer-encoding: chunked\r\n"), number),
        "head" => out.write_all(head(&format!("x-long: {}\r\ncontent-length: 0\r\n", "x".repeat(number))).as_bytes()),
        "redirect" => {
            out.write_all(b"HTTP/1.1 302 Found\r\nlocation: /ok\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        }
        "silent" => wait(&mut reader, seen),
        "stall" => out.write_all(format!("{}half", sized(8)).as_bytes()).and_then(|()| wait(&mut reader, seen)),
        _ => out.write_all(format!("{}{hello}", sized(hello.len())).as_bytes()),
    };
    Some(())
}

fn read(reader: &mut BufReader<&TcpStream>) -> Option<Request> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let size = lines.iter().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
    let body = std::io::copy(&mut reader.take(size), &mut std::io::sink()).ok()?;
    let line = lines.first()?.trim_end_matches(" HTTP/1.1").to_owned();
    Some(Request { line, headers: lines.split_off(1), body: usize::try_from(body).unwrap() })
}

fn chunked(mut out: &TcpStream, head: &str, size: usize) -> std::io::Result<()> {
    out.write_all(head.as_bytes())?;
    let mut left = size;
    while left > 0 {
        let piece = left.min(1000);
        write!(out, "{piece:x}\r\n{}\r\n", "x".repeat(piece))?;
        left -= piece;
    }
    out.write_all(b"0\r\n\r\n")
}

/// Waits until the client disconnects.
fn wait(reader: &mut BufReader<&TcpStream>, seen: &Received) -> std::io::Result<()> {
    seen.silent.fetch_add(1, Ordering::SeqCst);
    let ended = std::io::copy(reader, &mut std::io::sink());
    seen.silent.fetch_sub(1, Ordering::SeqCst);
    ended.map(drop)
}
