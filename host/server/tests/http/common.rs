//! A real server over real sockets, and a client that says exactly what it sends.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use frond_server::config::Time;
use frond_server::{Config, CutOff, Order, Starting};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Long enough for what ends by itself on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A server of the app `faulty`, stopped when it is dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) orders: mpsc::Sender<Order>,
    pub(crate) task: JoinHandle<CutOff>,
    _dir: tempfile::TempDir,
}

/// Settings for a test: a free port, and nothing watched.
pub(crate) fn config() -> Config {
    Config { listen: SocketAddr::from(([127, 0, 0, 1], 0)), slots: 2, watch: false, ..Config::default() }
}

const MANIFEST: &str = "name = \"faulty\"\ncontent-type = \"application/json\"\n[leaf]\ncomponent = \"../../faulty.wasm\"\n\
    [merge]\ncomponent = \"../../faulty.wasm\"\n[source]\nkind = \"query\"\n\
    [query]\ndeadline = \"20s\"\nfloor = \"best-effort\"\n[limits.leaf]\nfuel = 0\n";

impl Server {
    pub(crate) async fn start() -> Self {
        Self::with(config()).await
    }

    pub(crate) async fn with(config: Config) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let guests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/plugins/wasm32-wasip2/guest/faulty.wasm");
        std::fs::copy(guests, dir.path().join("faulty.wasm")).expect("make plugins builds it");
        let app = dir.path().join("apps/faulty");
        std::fs::create_dir_all(&app).unwrap();
        std::fs::write(app.join("frond.toml"), MANIFEST).unwrap();
        let config = Config { state: Some(dir.path().join("state")), ..config };
        let starting = Starting::new(&dir.path().join("apps"), config).await.unwrap();
        let address = starting.address();
        let (orders, told) = mpsc::channel(8);
        Self { address, orders, task: tokio::spawn(starting.serve(told)), _dir: dir }
    }

    pub(crate) async fn ask(&self, keys: &[&str], promises: &str, headers: &str) -> Reply {
        self.send(&query(keys, promises, headers)).await
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.send(&request("GET", path, "", "")).await
    }

    /// Sends these bytes on a connection of their own, and reads the reply to its end.
    pub(crate) async fn send(&self, bytes: &[u8]) -> Reply {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        // A server may answer, and close, before it has read everything.
        let _ = stream.write_all(bytes).await;
        read(stream).await
    }

    /// What `/metrics` says under this name, labels included.
    pub(crate) async fn metric(&self, name: &str) -> f64 {
        let text = self.get("/metrics").await.text();
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.map_or(0.0, |value| value.parse().unwrap())
    }

    /// The sum of what `/metrics` says under a name, whatever the labels.
    pub(crate) async fn sum(&self, name: &str) -> f64 {
        let text = self.get("/metrics").await.text();
        let values = text.lines().filter(|line| line.starts_with(&format!("{name}{{")));
        values.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
    }

    /// Waits until a metric has this value.
    pub(crate) async fn until(&self, name: &str, value: f64) {
        let start = Instant::now();
        while self.metric(name).await != value {
            assert!(start.elapsed() < PATIENCE, "{name} is {}, not {value}", self.metric(name).await);
            tokio::task::yield_now().await;
        }
    }
}

/// A query of `faulty` with these partitions.
pub(crate) fn query(keys: &[&str], promises: &str, headers: &str) -> Vec<u8> {
    request("POST", &format!("/v1/apps/faulty/query{promises}"), headers, &body(keys))
}

pub(crate) fn body(keys: &[&str]) -> String {
    let partitions: Vec<String> = keys.iter().map(|key| format!("{{\"key\":\"{key}\",\"data\":\"\"}}")).collect();
    format!("{{\"query\":{{}},\"partitions\":[{}]}}", partitions.join(","))
}

pub(crate) fn request(method: &str, path: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    let host = if headers.to_ascii_lowercase().contains("host:") { "" } else { "host: localhost\r\n" };
    format!("{method} {path} HTTP/1.1\r\n{host}connection: close\r\ncontent-length: {length}\r\n{headers}\r\n{body}")
        .into_bytes()
}

/// A reply, read to its end.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    head: String,
    body: Vec<u8>,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        let find = |line: &str| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        };
        self.head.lines().find_map(find)
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }
}

pub(crate) async fn read(stream: impl tokio::io::AsyncRead + Unpin) -> Reply {
    let mut all = Vec::new();
    // A client that was cut off has what came before.
    let _ = tokio::time::timeout(PATIENCE, BufReader::new(stream).read_to_end(&mut all)).await.expect("a reply");
    let at = all
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(&all)));
    let head = String::from_utf8_lossy(&all[..at]).into_owned();
    let status = head.get(9..12).unwrap().parse().unwrap();
    let mut reply = Reply { status, head, body: all[at + 4..].to_vec() };
    if reply.header("transfer-encoding").is_some() {
        reply.body = unchunked(&reply.body);
    }
    reply
}

fn unchunked(mut rest: &[u8]) -> Vec<u8> {
    let mut all = Vec::new();
    while let Some(at) = rest.windows(2).position(|two| two == b"\r\n") {
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..at]).unwrap(), 16).unwrap();
        let Some(chunk) = rest.get(at + 2..at + 2 + size) else { break };
        all.extend_from_slice(chunk);
        rest = rest.get(at + 4 + size..).unwrap_or_default();
    }
    all
}

/// The events of a stream: names and data.
pub(crate) fn events(text: &str) -> Vec<(String, serde_json::Value)> {
    let field = |block: &str, name: &str| {
        block.lines().find_map(|line| line.strip_prefix(name).map(|value| value.trim().to_owned()))
    };
    let parse = |block: &str| Some((field(block, "event:")?, serde_json::from_str(&field(block, "data:")?).unwrap()));
    text.split("\n\n").filter_map(parse).collect()
}

/// Reads a stream of events until one has this name.
pub(crate) async fn until_event(stream: &mut BufReader<TcpStream>, name: &str) -> String {
    let mut line = String::new();
    let wanted = format!("event: {name}");
    loop {
        line.clear();
        let read = tokio::time::timeout(PATIENCE, stream.read_line(&mut line)).await.expect("an event").unwrap();
        assert!(read > 0, "the stream ended before `{name}`");
        if line.trim_end() == wanted {
            line.clear();
            stream.read_line(&mut line).await.unwrap();
            return line;
        }
    }
}

/// Settings that let clients be slow only for so long.
pub(crate) fn impatient() -> Config {
    let mut config = config();
    config.limits.body_time = Time(Duration::from_millis(200));
    config.limits.header_time = Time(Duration::from_millis(200));
    config
}
