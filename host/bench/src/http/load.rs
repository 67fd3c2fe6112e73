//! Load generator: connections that send requests in a closed loop, or on a schedule (open loop).

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::measure::quantile;

/// Outcomes of a run's requests, with their latencies.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    /// Latencies of replies with 200, in seconds.
    answered: Vec<f64>,
    /// Latencies of refusals (429 and 503), in seconds.
    refused: Vec<f64>,
    /// Latencies of all other replies, in seconds: queries that were admitted and not answered.
    missed: Vec<f64>,
    /// Requests without a reply.
    pub(crate) failed: usize,
    /// The run's length, in seconds.
    time: f64,
}

impl Loaded {
    /// Returns the answers a second.
    pub(crate) fn rate(&self) -> f64 {
        self.answered.len() as f64 / self.time
    }

    /// Returns the quantile `q` of the answers' latencies, in seconds.
    pub(crate) fn answered(&self, q: f64) -> f64 {
        quantile(self.answered.clone(), q)
    }

    /// Returns the quantile `q` of the refusals' latencies, in seconds.
    pub(crate) fn refused(&self, q: f64) -> f64 {
        quantile(self.refused.clone(), q)
    }

    /// Returns the share of refusals among all replies.
    pub(crate) fn share_refused(&self) -> f64 {
        self.share(&self.refused)
    }

    /// Returns the share of queries that were admitted and not answered among all replies.
    pub(crate) fn share_missed(&self) -> f64 {
        self.share(&self.missed)
    }

    fn share(&self, some: &[f64]) -> f64 {
        let all = self.answered.len() + self.refused.len() + self.missed.len();
        if all == 0 { 0.0 } else { some.len() as f64 / all as f64 }
    }

    fn add(&mut self, other: Self) {
        self.answered.extend(other.answered);
        self.refused.extend(other.refused);
        self.missed.extend(other.missed);
        self.failed += other.failed;
    }
}

/// Returns a POST request as bytes.
pub(crate) fn post(path: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {length}\r\n\r\n{body}").into_bytes()
}

/// Returns a GET request as bytes.
pub(crate) fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n").into_bytes()
}

/// One HTTP/1.1 connection.
pub(crate) struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await.context("cannot connect")?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::new() })
    }

    /// Sends a request, waits for the whole reply, and returns its status.
    pub(crate) async fn ask(&mut self, request: &[u8]) -> anyhow::Result<u16> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        let head = loop {
            if let Some(at) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            self.more().await?;
        };
        let text = String::from_utf8_lossy(self.buffer.get(..head).unwrap_or_default()).to_ascii_lowercase();
        let status = text.get(9..12).and_then(|code| code.parse().ok()).context("a reply without a status")?;
        let length = text.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
        match length {
            Some(length) => {
                while self.buffer.len() < head + length {
                    self.more().await?;
                }
            }
            None if text.contains("chunked") => {
                while !self.buffer.ends_with(b"0\r\n\r\n") {
                    self.more().await?;
                }
            }
            None => {}
        }
        Ok(status)
    }

    async fn more(&mut self) -> anyhow::Result<()> {
        let read = self.stream.read_buf(&mut self.buffer).await?;
        ensure!(read > 0, "the connection was closed");
        Ok(())
    }
}

/// Runs a closed loop: each of `connections` sends its next request when the reply is there, for
/// `time`.
pub(crate) fn closed(
    address: SocketAddr,
    request: &[u8],
    connections: usize,
    time: Duration,
) -> anyhow::Result<Loaded> {
    run(address, connections, time, request, None)
}

/// Runs an open loop: `rate` requests a second for `time`, whether or not earlier ones are
/// answered, over up to `connections` connections. A request that finds no connection free waits
/// for one, and its latency includes that wait.
pub(crate) fn open(
    address: SocketAddr,
    request: &[u8],
    connections: usize,
    rate: f64,
    time: Duration,
) -> anyhow::Result<Loaded> {
    run(address, connections, time, request, Some(rate))
}

fn run(
    address: SocketAddr,
    connections: usize,
    time: Duration,
    request: &[u8],
    rate: Option<f64>,
) -> anyhow::Result<Loaded> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let loaded = runtime.block_on(async {
        let mut clients = Vec::new();
        for _ in 0..connections {
            clients.push(Client::connect(address).await?);
        }
        let start = Instant::now();
        let mut tasks = tokio::task::JoinSet::new();
        for (number, client) in clients.into_iter().enumerate() {
            let request = request.to_vec();
            // Each connection has its share of the schedule: its first request, and its period.
            let pace = rate.map(|rate| (number as f64 / rate, connections as f64 / rate));
            tasks.spawn(one(client, request, start, time, pace));
        }
        let mut all = Loaded { time: time.as_secs_f64(), ..Loaded::default() };
        while let Some(one) = tasks.join_next().await {
            all.add(one?);
        }
        anyhow::Ok(all)
    })?;
    if loaded.answered.is_empty() && loaded.refused.is_empty() && loaded.missed.is_empty() {
        bail!("not one of the requests got a reply");
    }
    Ok(loaded)
}

/// Sends a request, then pauses for `pause`, again and again for `time`, on one connection and a
/// dedicated thread. A runtime's timers would be half of the latency.
pub(crate) fn paced(address: SocketAddr, request: &[u8], pause: Duration, time: Duration) -> anyhow::Result<Loaded> {
    let mut stream = std::net::TcpStream::connect(address).context("cannot connect")?;
    stream.set_nodelay(true)?;
    let start = Instant::now();
    let mut buffer = vec![0; 64 << 10];
    let mut loaded = Loaded { time: time.as_secs_f64(), ..Loaded::default() };
    while start.elapsed() < time {
        std::thread::sleep(pause);
        let began = Instant::now();
        stream.write_all(request)?;
        // A reply of some hundred bytes arrives in one read.
        let read = stream.read(&mut buffer)?;
        ensure!(buffer.get(..read).is_some_and(|reply| reply.starts_with(b"HTTP/1.1 200")), "not a reply of 200");
        loaded.answered.push(began.elapsed().as_secs_f64());
    }
    Ok(loaded)
}

async fn one(mut client: Client, request: Vec<u8>, start: Instant, time: Duration, pace: Option<(f64, f64)>) -> Loaded {
    let mut loaded = Loaded::default();
    let mut due = pace.map(|(first, _)| start + Duration::from_secs_f64(first));
    loop {
        if let Some(due) = due {
            tokio::time::sleep_until(due.into()).await;
        }
        let began = due.unwrap_or_else(Instant::now);
        if Instant::now() >= start + time {
            return loaded;
        }
        match client.ask(&request).await {
            Ok(200) => loaded.answered.push(began.elapsed().as_secs_f64()),
            Ok(429 | 503) => loaded.refused.push(began.elapsed().as_secs_f64()),
            Ok(_) => loaded.missed.push(began.elapsed().as_secs_f64()),
            Err(_) => {
                loaded.failed += 1;
                return loaded;
            }
        }
        due = due.zip(pace).map(|(due, (_, every))| due + Duration::from_secs_f64(every));
    }
}
