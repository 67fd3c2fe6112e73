//! A server with apps of the fault-injecting plugin, and a client.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use frond_server::config::{Config, Role, Token};
use frond_server::{CutOff, Order, Starting};
use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Timeout far beyond any normal wait: only a hang reaches it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The media type of the envelope.
pub(crate) const ENVELOPE: &str = "application/vnd.frond+json";
/// The media type of event streams.
pub(crate) const EVENTS: &str = "text/event-stream";

/// A running server.
pub(crate) struct Served {
    pub(crate) url: String,
    pub(crate) orders: mpsc::Sender<Order>,
    pub(crate) task: JoinHandle<CutOff>,
    pub(crate) client: Client,
    pub(crate) folder: TempDir,
    /// The token that is sent with every request.
    pub(crate) token: Option<String>,
}

/// Settings for tests: a free local port, and nothing that depends on the machine.
pub(crate) fn config() -> Config {
    Config {
        listen: "127.0.0.1:0".parse().unwrap(),
        slots: 4,
        leaves_step_back: false,
        watch: false,
        ..Config::default()
    }
}

/// A token, and its entry in the settings.
pub(crate) fn token(name: &str, role: Role) -> (String, Token) {
    let (token, lines) = frond_server::config::fresh_token(name, role);
    let config: Config = toml::from_str(&lines).unwrap();
    (token, config.tokens.into_iter().next().unwrap())
}

/// Creates a folder with the apps that tests query.
///
/// `caller` takes its partitions from the query; the partitions of `split` are made by the plugin;
/// `strict` has the floor `all`.
pub(crate) fn apps() -> TempDir {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let source = "[source]\nkind = \"query\"\n";
    let endless = "[limits.leaf]\nfuel = 0\n";
    app(folder.path(), "caller", &format!("{source}{endless}[query]\ndeadline = \"30s\"\nfloor = \"best-effort\"\n"));
    app(folder.path(), "strict", &format!("{source}[query]\ndeadline = \"30s\"\nfloor = \"all\"\n"));
    let split = "[split]\ncomponent = \"faulty.wasm\"\n[source]\nkind = \"split\"\n";
    app(folder.path(), "split", &format!("{split}[query]\ndeadline = \"30s\"\nfloor = \"all\"\n"));
    folder
}

/// Adds an app of the fault-injecting plugin to a folder of apps.
pub(crate) fn app(folder: &Path, name: &str, rest: &str) {
    let dir = folder.join(name);
    std::fs::create_dir_all(&dir).unwrap();
    let path = plugin("faulty");
    std::os::unix::fs::symlink(path, dir.join("faulty.wasm")).unwrap();
    let component = "component = \"faulty.wasm\"\n";
    let text = format!("content-type = \"application/json\"\n[leaf]\n{component}[merge]\n{component}{rest}");
    std::fs::write(dir.join("frond.toml"), text).unwrap();
}

/// The path of a built plugin, by its file's name without `.wasm`.
pub(crate) fn plugin(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
    let path = root.join("target/plugins/wasm32-wasip2/guest").join(format!("{name}.wasm"));
    assert!(path.is_file(), "the plugin {name}.wasm is not built: run `make plugins`");
    path
}

/// The body of a query to `caller`: partitions with these keys, all of which carry out `query`.
pub(crate) fn asking(query: &Value, keys: &[&str]) -> String {
    let partitions: Vec<_> = keys.iter().map(|key| json!({ "key": key, "data": "", "weight": 1 })).collect();
    json!({ "query": query, "partitions": partitions }).to_string()
}

/// A query whose partitions each do what their key says.
pub(crate) fn by_key(keys: &[&str]) -> String {
    asking(&json!({}), keys)
}

impl Served {
    pub(crate) async fn new() -> Self {
        Self::with(config()).await
    }

    pub(crate) async fn with(config: Config) -> Self {
        Self::of(apps(), config).await
    }

    pub(crate) async fn of(folder: TempDir, config: Config) -> Self {
        let starting = Starting::new(folder.path(), config).await.unwrap();
        let url = starting.url();
        let (orders, told) = mpsc::channel(8);
        let task = tokio::spawn(starting.serve(told));
        let client =
            Client::builder().tls_backend_preconfigured(frond_tls::nobody().unwrap()).no_proxy().build().unwrap();
        Self { url, orders, task, client, folder, token: None }
    }

    pub(crate) fn holding(self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self }
    }

    /// Host and port.
    pub(crate) fn address(&self) -> &str {
        self.url.split_once("://").unwrap().1
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.client.request(method, format!("{}{path}", self.url));
        match &self.token {
            Some(token) => request.header("authorization", format!("Bearer {token}")),
            None => request,
        }
    }

    /// A query to an app; `app` may end with parameters.
    pub(crate) fn query(&self, app: &str, body: impl Into<reqwest::Body>) -> RequestBuilder {
        let (app, parameters) =
            app.split_once('?').map_or((app, String::new()), |(app, rest)| (app, format!("?{rest}")));
        self.request(Method::POST, &format!("/v1/apps/{app}/query{parameters}")).body(body)
    }

    pub(crate) async fn ask(&self, app: &str, body: impl Into<reqwest::Body>) -> Reply {
        send(self.query(app, body)).await
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        send(self.request(Method::GET, path)).await
    }

    /// Fetches a JSON document.
    pub(crate) async fn json(&self, path: &str) -> Value {
        self.get(path).await.expect(200).json()
    }

    /// The sum of a metric's samples that have all of these labels.
    pub(crate) async fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        let text = self.get("/metrics").await.expect(200).text();
        sum(&text, name, labels)
    }

    /// Waits until a metric fulfils a condition.
    pub(crate) async fn until(&self, name: &str, labels: &[&str], is: impl Fn(f64) -> bool) {
        let waiting = async {
            while !is(self.metric(name, labels).await) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        if tokio::time::timeout(PATIENCE, waiting).await.is_err() {
            panic!("{name} is {} and stays so", self.metric(name, labels).await);
        }
    }

    /// Waits until `count` leaves run or wait.
    pub(crate) async fn leaves(&self, count: usize) {
        let waiting = async {
            loop {
                let text = self.get("/metrics").await.expect(200).text();
                let all = sum(&text, "frond_leaves_running", &[]) + sum(&text, "frond_leaves_waiting", &[]);
                if all == count as f64 {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.expect("that many leaves run or wait");
    }

    /// Waits until no query runs.
    pub(crate) async fn idle(&self) {
        self.until("frond_queries_running", &[], |running| running == 0.0).await;
    }

    pub(crate) async fn order(&self, order: Order) {
        assert!(self.orders.send(order).await.is_ok(), "the server has ended");
    }

    /// Waits for the server's end.
    pub(crate) async fn ended(self) -> CutOff {
        within(self.task).await.unwrap()
    }
}

/// Fails instead of hanging.
pub(crate) async fn within<T>(waiting: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, waiting).await.expect("this should have ended long ago")
}

/// The sum of a metric's samples in `text` that have all of these labels.
pub(crate) fn sum(text: &str, name: &str, labels: &[&str]) -> f64 {
    let samples = text.lines().filter(|line| {
        let rest = line.strip_prefix(name).unwrap_or("");
        rest.starts_with([' ', '{']) && labels.iter().all(|label| rest.contains(label))
    });
    samples.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

/// A reply that was read to its end.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) body: Bytes,
}

pub(crate) async fn send(request: RequestBuilder) -> Reply {
    let response = within(request.send()).await.expect("a reply");
    whole(response).await
}

pub(crate) async fn whole(response: Response) -> Reply {
    let status = response.status().as_u16();
    let headers = response.headers().clone();
    Reply { status, headers, body: within(response.bytes()).await.expect("a whole body") }
}

impl Reply {
    /// Fails unless the reply has this status.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text());
        self
    }

    /// Fails unless the reply is a problem with this status and slug, and `text` in its detail.
    #[track_caller]
    pub(crate) fn problem(self, status: u16, slug: &str, text: &str) -> Value {
        assert_eq!(self.status, status, "{}", self.text());
        assert_eq!(self.header("content-type"), "application/problem+json");
        let problem = self.json();
        assert_eq!(problem["status"], status);
        assert_eq!(problem["type"], "about:blank");
        assert_eq!(problem["slug"], slug, "{problem}");
        assert!(problem["detail"].as_str().unwrap().contains(text), "{problem}");
        problem
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// A header's value; empty if it is missing.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The id of the query in a header.
    #[track_caller]
    pub(crate) fn query(&self) -> String {
        let id = self.header("frond-query");
        assert_eq!(id.len(), 32, "{:?}", self.headers);
        id.to_owned()
    }
}

/// An event of a stream.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct StreamEvent {
    pub(crate) name: String,
    pub(crate) id: Option<u64>,
    pub(crate) data: Value,
}

/// An event stream that is read incrementally.
pub(crate) struct Stream {
    response: Response,
    read: Vec<u8>,
}

impl Stream {
    pub(crate) async fn open(request: RequestBuilder) -> Self {
        let response = within(request.header("accept", EVENTS).send()).await.unwrap();
        assert_eq!(response.status(), 200);
        let content_type = response.headers().get("content-type").unwrap();
        assert!(content_type.to_str().unwrap().starts_with(EVENTS), "{content_type:?}");
        Self { response, read: Vec::new() }
    }

    pub(crate) fn header(&self, name: &str) -> String {
        self.response.headers().get(name).map_or("", |value| value.to_str().unwrap()).to_owned()
    }

    /// The next event; `None` at the end.
    pub(crate) async fn next(&mut self) -> Option<StreamEvent> {
        loop {
            if let Some(end) = self.read.windows(2).position(|two| two == b"\n\n") {
                let block: Vec<u8> = self.read.drain(..end + 2).collect();
                if let Some(told) = parse(std::str::from_utf8(&block).unwrap()) {
                    return Some(told);
                }
                continue;
            }
            let chunk = within(self.response.chunk()).await.unwrap()?;
            self.read.extend_from_slice(&chunk);
        }
    }

    /// The next event with this name.
    pub(crate) async fn next_named(&mut self, name: &str) -> StreamEvent {
        loop {
            match self.next().await {
                Some(told) if told.name == name => return told,
                Some(_) => {}
                None => panic!("the stream ended before `{name}` came"),
            }
        }
    }

    /// All events until the end.
    pub(crate) async fn rest(mut self) -> Vec<StreamEvent> {
        let mut all = Vec::new();
        while let Some(told) = self.next().await {
            all.push(told);
        }
        all
    }
}

/// Parses a block of a stream; `None` if it has only comments.
fn parse(block: &str) -> Option<StreamEvent> {
    let field = |name: &str| {
        let lines: Vec<_> = block.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).collect();
        (!lines.is_empty()).then(|| lines.join("\n"))
    };
    let data = field("data")?;
    Some(StreamEvent {
        name: field("event").unwrap_or_default(),
        id: field("id").map(|id| id.parse().unwrap()),
        data: serde_json::from_str(&data).unwrap_or_else(|error| panic!("{error}: {data}")),
    })
}
