//! The servers under test, each a separate process: Frond, `wasmtime serve`, and an axum handler
//! that makes an instance for each request.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use axum::Router;
use axum::routing::{get, post};
use bytes::Bytes;

use super::load;
use super::talk::talk;
use crate::floor::{Floor, Meters, Task};
use crate::guests::top;
use crate::work::spans;
use frond_root::call::Limits;

/// Upper bound on a server's start.
const READY: Duration = Duration::from_secs(60);
/// Hidden verb that makes this program the axum handler.
pub(crate) const AXUM: &str = "http-axum";

/// Trivial queries: one partition of one sample.
pub(super) const ONE: App<'_> = App { name: "one", partitions: 1, samples: 1, deadline: "2s" };
/// The query that all of the apps get.
pub(super) const QUERY: &str = "{\"seed\":1}";

/// A server process, killed on drop.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
    dir: Option<tempfile::TempDir>,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    /// Kills the server, as a crash would, and starts another on the same folder.
    pub(crate) fn again(&mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        let dir = self.dir.take().context("it has no folder")?;
        *self = serve(dir)?;
        Ok(())
    }

    /// Replaces an app's component while the server runs.
    pub(crate) fn replace(&self, app: &App<'_>, component: &[u8]) -> anyhow::Result<()> {
        let dir = self.dir.as_ref().context("it has no folder")?.path();
        // Atomic rename: the server never reads a half-written file.
        fs::write(dir.join("new.wasm"), component)?;
        fs::rename(dir.join("new.wasm"), dir.join("apps").join(app.name).join("pi.wasm")).context("cannot rename")
    }

    /// Returns the server's resident memory, in MiB.
    pub(crate) fn resident(&self) -> f64 {
        let text = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        line.and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
    }
}

/// An app of the plugin `pi`: `partitions` of `samples` each.
pub(crate) struct App<'a> {
    pub(crate) name: &'a str,
    pub(crate) partitions: u64,
    pub(crate) samples: u64,
    pub(crate) deadline: &'a str,
}

impl App<'_> {
    /// Returns the bytes of a request that queries the app.
    pub(super) fn query(&self) -> Vec<u8> {
        load::post(&format!("/v1/apps/{}/query", self.name), QUERY)
    }
}

/// Any app, as its files by name.
pub(crate) struct Folder {
    pub(crate) name: &'static str,
    pub(crate) files: Vec<(String, Bytes)>,
}

impl Folder {
    /// Makes an app with one component as leaf and merge, this source, and these data files.
    pub(crate) fn new(name: &'static str, component: &[u8], source: &str, data: Vec<(String, Bytes)>) -> Self {
        let manifest = format!(
            "[leaf]\ncomponent = \"it.wasm\"\n[merge]\ncomponent = \"it.wasm\"\n[query]\ndeadline = \"60s\"\n{source}"
        );
        let own = [("it.wasm", Bytes::copy_from_slice(component)), ("frond.toml", manifest.into())];
        Self { name, files: own.map(|(name, bytes)| (name.to_owned(), bytes)).into_iter().chain(data).collect() }
    }
}

/// Starts `frond serve` with these apps.
pub(crate) fn frond(component: &[u8], apps: &[App<'_>]) -> anyhow::Result<Server> {
    frond_with(component, apps, &[], "")
}

/// Starts `frond serve` with these apps, other apps, and further settings of its configuration.
pub(crate) fn frond_with(
    component: &[u8],
    apps: &[App<'_>],
    others: &[Folder],
    settings: &str,
) -> anyhow::Result<Server> {
    let dir = tempfile::tempdir()?;
    let all = format!("[log]\nlevel = \"error\"\n[limits]\nqueries = 512\n{settings}");
    fs::write(dir.path().join("server.toml"), all)?;
    for app in apps {
        let folder = dir.path().join("apps").join(app.name);
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("pi.wasm"), component)?;
        fs::write(folder.join("frond.toml"), manifest(app))?;
    }
    for app in others {
        let folder = dir.path().join("apps").join(app.name);
        fs::create_dir_all(&folder)?;
        for (name, bytes) in &app.files {
            fs::write(folder.join(name), bytes)?;
        }
    }
    serve(dir)
}

fn serve(dir: tempfile::TempDir) -> anyhow::Result<Server> {
    let mut command = Command::new(top().join("target/release/frond"));
    command.arg("serve").arg(dir.path().join("apps")).arg("--config").arg(dir.path().join("server.toml"));
    command.args(["--listen", "127.0.0.1:0"]);
    let server = spawn_server(command.stdout(Stdio::piped()).stderr(Stdio::null()), Some(dir))?;
    // It listens before it has loaded its apps and opened its store.
    let start = Instant::now();
    for path in ["/readyz", "/v1/jobs"] {
        while let Err(error) = talk(server.address, "GET", path, b"") {
            ensure!(start.elapsed() < READY, "it was never ready: {error:#}");
            std::thread::sleep(Duration::from_millis(2));
        }
    }
    Ok(server)
}

fn manifest(app: &App<'_>) -> String {
    let end = app.partitions * app.samples;
    let step = app.samples;
    format!(
        "[leaf]\ncomponent = \"pi.wasm\"\n[merge]\ncomponent = \"pi.wasm\"\n\
         [source]\nkind = \"range\"\nstart = 0\nend = {end}\nstep = {step}\n[query]\ndeadline = \"{}\"\n",
        app.deadline
    )
}

/// Starts the axum handler as a separate process.
pub(crate) fn axum() -> anyhow::Result<Server> {
    let mut command = Command::new(std::env::current_exe()?);
    spawn_server(command.arg(AXUM).stdout(Stdio::piped()), None)
}

/// Starts `wasmtime serve`, if it is installed, with its pool and a fresh instance for each
/// request.
pub(crate) fn wasmtime() -> anyhow::Result<Option<Server>> {
    let program = top().join(".tools/wasmtime/bin/wasmtime");
    if !program.exists() {
        return Ok(None);
    }
    let mut command = Command::new(program);
    command.args([
        "serve",
        "-S",
        "cli",
        "-O",
        "pooling-allocator=y",
        "-W",
        "epoch-interruption=y,timeout=2s,fuel=1000000000",
    ]);
    command.args(["--max-instance-reuse-count", "1", "--addr", "127.0.0.1:0"]).arg(guest()?);
    spawn_server(command.stderr(Stdio::piped()).stdout(Stdio::null()), None).map(Some)
}

fn guest() -> anyhow::Result<PathBuf> {
    let target = top().join("target/plugins-http");
    let mut cargo = Command::new("cargo");
    cargo.current_dir(top().join("host/bench/http-guest")).args([
        "build",
        "--quiet",
        "--release",
        "--target",
        "wasm32-wasip2",
    ]);
    cargo.arg("--target-dir").arg(&target);
    ensure!(
        cargo.status().context("cargo cannot be run")?.success(),
        "the guest for wasmtime serve could not be built"
    );
    Ok(target.join("wasm32-wasip2/release/http_guest.wasm"))
}

/// Starts a server, and waits until it has printed its address.
fn spawn_server(command: &mut Command, dir: Option<tempfile::TempDir>) -> anyhow::Result<Server> {
    let name = Path::new(command.get_program()).display().to_string();
    let mut child = command.spawn().with_context(|| format!("`{name}` cannot be run"))?;
    let lines: Box<dyn std::io::Read + Send> = match (child.stdout.take(), child.stderr.take()) {
        (Some(out), _) => Box::new(out),
        (None, Some(err)) => Box::new(err),
        (None, None) => anyhow::bail!("`{name}` says nothing"),
    };
    let mut lines = BufReader::new(lines).lines();
    let address = lines.by_ref().map_while(Result::ok).find_map(|line| {
        let (_, rest) = line.split_once("http://")?;
        rest.trim_end_matches('/').parse().ok()
    });
    // Drains the rest of the output, so that the server never blocks on a full pipe.
    std::thread::spawn(move || lines.for_each(drop));
    let address = address.with_context(|| format!("`{name}` did not start"))?;
    Ok(Server { child, address, dir })
}

/// Serves as the axum handler until the process is killed.
pub(crate) fn be_axum(component: &[u8]) -> anyhow::Result<()> {
    let floor = Arc::new(Floor::new(component, Meters::Both, Limits::default())?);
    let task = spans(1, 1).into_iter().next().context("no task")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        println!("listening on http://{}", listener.local_addr()?);
        let app = Router::new()
            .route("/empty", get(async || "ok\n"))
            .route("/", post(async move |body: Bytes| leaf(&floor, &task, &body)));
        axum::serve(listener, app).await?;
        Ok(())
    })
}

fn leaf(floor: &Floor, task: &Task, query: &[u8]) -> Result<Bytes, http::StatusCode> {
    floor.leaf(query, task).map_err(|_| http::StatusCode::INTERNAL_SERVER_ERROR)
}
