//! The server: the real binary, which can be killed, frozen and started again.

use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::kit::{Folder, cache, plugin};

/// Nothing here takes a tenth of this.
const PATIENCE: Duration = Duration::from_secs(120);
/// Between two looks at whether threads have gone: those that wait for work end after ten seconds without any, and each
/// look gives some of them work.
const LOOKS: Duration = Duration::from_secs(12);
/// Connections that come and go by themselves; and what slots have of their own once they are used: an engine's page map, and
/// the memory image of each component that is called often.
const FILES: u64 = 12;
/// Threads that come and go by themselves.
const THREADS: u64 = 4;

/// The server.
pub(crate) struct Server {
    child: Child,
    pub(crate) url: String,
    client: reqwest::Client,
    folder: Arc<Folder>,
    name: String,
}

/// What it holds.
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

/// Its metrics, as text.
pub(crate) struct Metrics(String);

impl Metrics {
    /// The sum of a metric's samples that have all of these labels.
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
    /// With two apps that obey.
    pub(crate) fn start() -> Self {
        let folder = Folder::new();
        for app in ["steady", "changing"] {
            std::fs::create_dir_all(folder.path(&format!("apps/{app}"))).unwrap();
            std::fs::copy(plugin("faulty"), folder.path(&format!("apps/{app}/faulty.wasm"))).unwrap();
            folder.write(&format!("apps/{app}/frond.toml"), manifest(0));
        }
        Self::of(&Arc::new(folder), "server", "")
    }

    /// One of those that serve the apps of the folder, with these settings, by its name.
    pub(crate) fn of(folder: &Arc<Folder>, name: &str, settings: &str) -> Self {
        folder.write(&format!("{name}.toml"), settings);
        let (child, url) = serve(folder, name);
        Self { child, url, client: client(), folder: folder.clone(), name: name.to_owned() }
    }

    /// Kills it, as nothing can be prepared for, and starts it again.
    pub(crate) fn kill_and_start(&mut self) {
        self.child.kill().unwrap();
        let ended = self.child.wait().unwrap();
        assert_eq!(ended.signal(), Some(Signal::KILL.as_raw()), "it ended by itself: {ended}\n{}", self.log());
        (self.child, self.url) = serve(&self.folder, &self.name);
    }

    /// Lets none of its threads run any more. Comes back when none does.
    pub(crate) async fn freeze(&self) {
        self.signal(Signal::STOP);
        let stat = format!("/proc/{}/stat", self.child.id());
        self.until("it is frozen", async || {
            let stat = std::fs::read_to_string(&stat).unwrap();
            stat.rsplit(") ").next().unwrap().starts_with('T')
        })
        .await;
    }

    /// Lets it run again. Connections that it has kept are too old for it by then.
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

    /// Asks, and reads JSON.
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
            // It may not answer any more.
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
            leaves: metrics.whole("frond_leaves_running"),
        }
    }

    /// Waits until nothing runs, and nothing is open that was not when it was `new`.
    pub(crate) async fn idle(&self, new: &State) -> State {
        self.until("nothing runs", async || {
            let metrics = self.metrics().await;
            metrics.sum("frond_queries_running", &[]) + metrics.sum("frond_leaves_running", &[]) == 0.0
        })
        .await;
        self.until_at(LOOKS, "files and threads are as before", async || {
            let state = self.state().await;
            state.files <= new.files + FILES && state.threads <= new.threads + THREADS
        })
        .await;
        self.state().await
    }

    /// Stops it as a service manager would.
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

/// An app's manifest; each number makes another one.
pub(crate) fn manifest(number: u64) -> String {
    let component = "component = \"faulty.wasm\"";
    format!(
        "content-type = \"application/json\"\n# {number}\n[leaf]\n{component}\n[merge]\n{component}\n[source]\nkind = \"query\"\n\
         [limits.leaf]\nfuel = 0\n[query]\ndeadline = \"10s\"\nfloor = \"best-effort\"\n"
    )
}
