//! The real server binary, which can be killed, frozen and restarted.

use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::kit::{Folder, cache, plugin};

/// Timeout of waits, ten times what any test needs.
const PATIENCE: Duration = Duration::from_secs(120);
/// Pause between two checks of threads: idle threads end after ten seconds, and each check wakes
/// some of them.
const LOOKS: Duration = Duration::from_secs(12);
/// Tolerance for open files: connections, and for each used slot an engine's page map and the
/// memory images of frequently called components.
const FILES: u64 = 12;
/// Tolerance for threads.
const THREADS: u64 = 4;

/// A running server.
pub(crate) struct Server {
    child: Child,
    pub(crate) url: String,
    client: reqwest::Client,
    folder: Arc<Folder>,
    name: String,
}

/// Resources of a server.
#[derive(Clone, Copy, Debug)]
#[allow(dead_code, reason = "all of it is printed")]
pub(crate) struct State {
    pub(crate) resident: u64,
    pub(crate) files: u64,
    pub(crate) threads: u64,
    pub(crate) leaves: u64,
}

fn serve(folder: &Folder, name: &str) -> (Child, String) {
    let log = std::fs::File::options().create(true).append(true).open(folder.path(&format!("{name}.log"))).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_frond"))
        .args(["serve", "apps", "--listen", "127.0.0.1:0", "--config", &format!("{name}.toml")])
        .current_dir(folder.dir())
        .env("FROND_CACHE", cache())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .expect("the binary starts");
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let url = line.trim().strip_prefix("listening on ").expect("it says where it listens").to_owned();
    (child, url)
}

/// Metrics of a server, as text.
pub(crate) struct Metrics(String);

impl Metrics {
    /// Returns the sum of a metric's samples with all of these labels.
    pub(crate) fn sum(&self, name: &str, labels: &[&str]) -> f64 {
        let samples = self.0.lines().filter(|line| {
            let rest = line.strip_prefix(name).unwrap_or("");
            rest.starts_with([' ', '{']) && labels.iter().all(|label| rest.contains(label))
        });
        samples.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }

    fn whole(&self, name: &str) -> u64 {
        self.sum(name, &[]) as u64
    }
}

impl Server {
    /// Starts a server with two apps of the plugin that misbehaves on command.
    pub(crate) fn start() -> Self {
        let folder = Folder::new();
        for app in ["steady", "changing"] {
            std::fs::create_dir_all(folder.path(&format!("apps/{app}"))).unwrap();
            std::fs::copy(plugin("faulty"), folder.path(&format!("apps/{app}/faulty.wasm"))).unwrap();
            folder.write(&format!("apps/{app}/frond.toml"), manifest(0));
        }
        Self::of(&Arc::new(folder), "server", "")
    }

    /// Starts a server of the folder's apps, with these settings. Several servers of one folder
    /// differ in their names.
    pub(crate) fn of(folder: &Arc<Folder>, name: &str, settings: &str) -> Self {
        folder.write(&format!("{name}.toml"), settings);
        let (child, url) = serve(folder, name);
        Self { child, url, client: client(), folder: folder.clone(), name: name.to_owned() }
    }

    /// Kills the server with SIGKILL, and starts it again.
    pub(crate) fn kill_and_start(&mut self) {
        self.child.kill().unwrap();
        let ended = self.child.wait().unwrap();
        assert_eq!(ended.signal(), Some(Signal::KILL.as_raw()), "it ended by itself: {ended}\n{}", self.log());
        (self.child, self.url) = serve(&self.folder, &self.name);
    }

    /// Stops the server with SIGSTOP, and waits until none of its threads runs.
    pub(crate) async fn freeze(&self) {
        self.signal(Signal::STOP);
        let stat = format!("/proc/{}/stat", self.child.id());
        self.until("it is frozen", async || {
            let stat = std::fs::read_to_string(&stat).unwrap();
            stat.rsplit(") ").next().unwrap().starts_with('T')
        })
        .await;
    }

    /// Resumes the server. It will close idle connections, so the client is replaced.
    pub(crate) fn thaw(&mut self) {
        self.client = client();
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path(&format!("{}.log", self.name))).unwrap()
    }

    /// Sends a request, and parses the JSON reply.
    pub(crate) async fn json(&self, request: reqwest::RequestBuilder) -> serde_json::Value {
        let reply = request.send().await.unwrap_or_else(|error| panic!("it does not answer: {error}\n{}", self.log()));
        let text = reply.text().await.expect("JSON is text");
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    pub(crate) async fn ready(&self) {
        self.until("it is ready", async || {
            let asked = self.client.get(format!("{}/readyz", self.url)).send().await;
            asked.is_ok_and(|reply| reply.status() == 200)
        })
        .await;
    }

    pub(crate) async fn until(&self, what: &str, is: impl AsyncFn() -> bool) {
        self.until_at(Duration::from_millis(20), what, is).await;
    }

    async fn until_at(&self, pace: Duration, what: &str, is: impl AsyncFn() -> bool) {
        let waiting = async {
            while !is().await {
                tokio::time::sleep(pace).await;
            }
        };
        if tokio::time::timeout(PATIENCE, waiting).await.is_err() {
            // The server may no longer answer.
            let state = tokio::time::timeout(Duration::from_secs(5), self.state()).await.ok();
            panic!("never was this so: {what}\n{state:?}\n{}", self.log());
        }
    }

    pub(crate) async fn metrics(&self) -> Metrics {
        let reply = self.client.get(format!("{}/metrics", self.url)).send().await.expect("it answers");
        Metrics(reply.text().await.expect("metrics are text"))
    }

    pub(crate) async fn state(&self) -> State {
        let metrics = self.metrics().await;
        State {
            resident: metrics.whole("frond_resident_bytes"),
            files: metrics.whole("frond_open_files"),
            threads: metrics.whole("frond_threads"),
            leaves: metrics.whole("frond_leaves_running") + metrics.whole("frond_leaves_waiting"),
        }
    }

    /// Waits until no query runs, and until files and threads are back to the state `new`, within
    /// the tolerances.
    pub(crate) async fn idle(&self, new: &State) -> State {
        self.until("nothing runs", async || {
            let metrics = self.metrics().await;
            let work = ["frond_queries_running", "frond_leaves_running", "frond_leaves_waiting"];
            work.iter().all(|name| metrics.sum(name, &[]) == 0.0)
        })
        .await;
        self.until_at(LOOKS, "files and threads are as before", async || {
            let state = self.state().await;
            state.files <= new.files + FILES && state.threads <= new.threads + THREADS
        })
        .await;
        self.state().await
    }

    /// Stops the server with SIGTERM, and asserts a clean end.
    pub(crate) fn stop(mut self) {
        self.signal(Signal::TERM);
        let ended = self.child.wait().unwrap();
        let log = self.log();
        assert!(ended.success(), "{ended}\n{log}");
        assert!(!log.contains("panicked"), "{log}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn client() -> reqwest::Client {
    reqwest::Client::builder().tls_backend_preconfigured(frond_tls::nobody().unwrap()).no_proxy().build().unwrap()
}

/// Returns an app's manifest, which differs for each number.
pub(crate) fn manifest(number: u64) -> String {
    let component = "component = \"faulty.wasm\"";
    format!(
        "content-type = \"application/json\"\n# {number}\n[leaf]\n{component}\n[merge]\n{component}\n[source]\nkind = \"query\"\n\
         [limits.leaf]\nfuel = 0\n[query]\ndeadline = \"10s\"\nfloor = \"best-effort\"\n"
    )
}
