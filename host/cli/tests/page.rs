//! The page in a real browser: headless Chromium, driven by the scripts in `host/page/tests`. Each
//! script reports in TAP, one line a behaviour. `.ci/install-browser` installs the requirements.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests stop where they are")]

mod kit;

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use kit::{frond, root, skip_without};

/// Limit on the time until a server has read its apps, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// Browser and the tools that drive it.
struct Browser {
    tools: PathBuf,
    chromium: PathBuf,
}

const REMEDY: &str = "run .ci/install-browser";

fn on_path(names: &[&str]) -> Option<PathBuf> {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let found =
        |name: &&str| std::env::split_paths(&folders).map(|folder| folder.join(name)).find(|path| path.is_file());
    names.iter().find_map(found)
}

fn browser() -> Option<Browser> {
    let tools = std::env::var_os("FROND_TOOLS").map_or_else(|| root().join(".tools"), PathBuf::from).join("browser");
    let named = std::env::var_os("CHROMIUM").map(PathBuf::from);
    let chromium = named.or_else(|| on_path(&["chromium", "chromium-browser", "google-chrome"]));
    let what = match &chromium {
        _ if on_path(&["node"]).is_none() => "node",
        None => "chromium",
        _ if !tools.join("node_modules/playwright-core").is_dir() => "playwright-core",
        Some(chromium) => return Some(Browser { chromium: chromium.clone(), tools }),
    };
    skip_without(what, REMEDY);
    None
}

impl Browser {
    /// Runs a script of `host/page/tests`, and fails with its report unless all of its checks hold.
    #[expect(clippy::print_stdout, reason = "the harness shows it of a test that fails")]
    fn run(&self, script: &str, args: &[impl AsRef<OsStr>]) {
        let output = Command::new("node")
            .arg(root().join("host/page/tests").join(script))
            .args(args)
            .env("FROND_BROWSER_TOOLS", &self.tools)
            .env("FROND_CHROMIUM", &self.chromium)
            .stdin(Stdio::null())
            .output()
            .expect("node runs");
        let report = String::from_utf8_lossy(&output.stdout);
        println!("{report}{}", String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{script}: not everything holds");
        assert!(report.contains("\nok 1 "), "{script}: nothing was tested");
    }
}

#[test]
fn commands_to_be_pasted_are_what_was_asked() {
    if on_path(&["node"]).is_none() {
        skip_without("node", REMEDY);
        return;
    }
    let script = root().join("host/page/tests/commands.mjs");
    let output = Command::new("node").arg(script).stdin(Stdio::null()).output().expect("node runs");
    println!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "not everything holds");
}

/// Records a query, and explains it as a page and in the terminal.
fn explained(folder: &Path, name: &str, app: &Path, query: &str, more: &[&str]) {
    let recording = folder.join(format!("{name}.ndjson"));
    let mut args = vec!["query", app.to_str().unwrap(), query, "--record", recording.to_str().unwrap()];
    args.extend(more);
    frond(&args).run();
    page_of(folder, name, &recording);
}

fn page_of(folder: &Path, name: &str, recording: &Path) {
    let page = folder.join(format!("{name}.html"));
    let recording = recording.to_str().unwrap();
    frond(["explain", "--html", recording, "--output", page.to_str().unwrap()]).run().expect(0);
    let text = frond(["explain", recording]).run();
    fs::write(folder.join(format!("{name}.txt")), text.stdout).unwrap();
}

/// Partitions whose leaves panic, are retried, are slow, write to the log, or return too much, and
/// a key that is HTML.
const FAULTY: &str = r#"{"query":{},"partitions":[{"key":"ok","data":""},{"key":"panic","data":""},{"key":"unavailable","data":""},
    {"key":"sleep-ms:30","data":""},{"key":"say:hello","data":""},{"key":"huge-output","data":""},{"key":"<img src=x onerror=alert(1)>\u202egnp.exe","data":""}]}"#;

#[test]
fn a_recording_is_explained_by_one_file_in_a_browser() {
    let Some(browser) = browser() else {
        return;
    };
    let made = tempfile::tempdir().unwrap();
    let folder = made.path();
    let rail = root().join("examples/rail");
    let stalled = r#"{"from":"London","budget":60,"stall":"Scotland"}"#;
    explained(folder, "partial", &rail, stalled, &[]);
    explained(folder, "failed", &rail, stalled, &["--deadline", "300ms", "--floor", "0.95"]);
    explained(folder, "faulty", &root().join("examples/faulty"), FAULTY, &[]);
    explained(folder, "noted", &compressed_input(folder), r#"{"top":1}"#, &[]);
    explained(folder, "many", &many_partitions(folder), r#"{"seed":1}"#, &["--deadline", "60s"]);
    let whole = fs::read_to_string(folder.join("partial.ndjson")).unwrap();
    let cut: String = whole.lines().take(6).map(|line| format!("{line}\n")).collect();
    fs::write(folder.join("cut.ndjson"), cut).unwrap();
    page_of(folder, "cut", &folder.join("cut.ndjson"));
    browser.run("explain.mjs", &[folder]);
}

/// Returns a copy of the example `pi`, cut into 10,000 partitions.
fn many_partitions(folder: &Path) -> PathBuf {
    let app = copied(folder, "pi");
    let manifest = app.join("frond.toml");
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, text.replace("step = \"auto\"", "step = 10_000")).unwrap();
    app
}

/// Returns a copy of the example `wordcount`, over a compressed file and without its cases.
fn compressed_input(folder: &Path) -> PathBuf {
    let app = copied(folder, "wordcount");
    let manifest = app.join("frond.toml");
    let text = fs::read_to_string(&manifest).unwrap();
    fs::remove_dir_all(app.join("cases")).unwrap();
    fs::write(app.join("text.gz"), b"\x1f\x8b\x08\0\0\0\0\0\0\x03").unwrap();
    fs::write(&manifest, text.replace("data/**/*.txt", "text.gz")).unwrap();
    app
}

/// Copies an example with its data into `folder`.
fn copied(folder: &Path, name: &str) -> PathBuf {
    let app = folder.join(name);
    copy(&root().join("examples").join(name), &app);
    let manifest = app.join("frond.toml");
    let text = fs::read_to_string(&manifest).unwrap();
    let plugins = root().join("target/plugins");
    fs::write(&manifest, text.replace("../../target/plugins", plugins.to_str().unwrap())).unwrap();
    app
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// A running `frond serve`, on a free port.
struct Serving {
    child: Child,
    url: String,
}

impl Serving {
    /// Serves the apps in `dir` with these settings, and writes the server's log to `log`.
    fn start(dir: &Path, settings: &str, log: &Path) -> Self {
        let config = log.with_extension("toml");
        fs::write(&config, settings).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_frond"))
            .args(["serve".as_ref(), dir.as_os_str(), "--listen".as_ref(), "127.0.0.1:0".as_ref()])
            .args(["--config".as_ref(), config.as_os_str()])
            .env("FROND_CACHE", kit::cache())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(fs::File::create(log).unwrap())
            .spawn()
            .expect("the binary starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim().strip_prefix("listening on ").map(|url| format!("{}/", url.trim_end_matches('/')));
        let Some(url) = url else {
            let _ = child.kill();
            panic!("it does not listen: {line}{}", fs::read_to_string(log).unwrap());
        };
        let serving = Self { child, url };
        serving.until_ready();
        serving
    }

    /// Waits until the server has read its apps, which is after it listens.
    fn until_ready(&self) {
        let address = self.url.trim_start_matches("http://").trim_end_matches('/');
        let start = Instant::now();
        loop {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.write_all(b"GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").unwrap();
            let mut reply = String::new();
            stream.read_to_string(&mut reply).unwrap();
            if reply.starts_with("HTTP/1.1 200") {
                return;
            }
            assert!(start.elapsed() < PATIENCE, "{reply}");
            std::thread::yield_now();
        }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_server_is_asked_and_watched_in_a_browser() {
    let Some(browser) = browser() else {
        return;
    };
    let made = tempfile::tempdir().unwrap();
    let apps = made.path().join("apps");
    copied(&apps, "rail");
    copied(&apps, "faulty");
    many_partitions(&apps);
    compressed_input(&apps);
    let state = |name: &str| format!("state = '{}'\nslots = 2\n", made.path().join(name).display());
    let open = Serving::start(&apps, &state("open"), &made.path().join("open.log"));
    let token = frond(["token", "page"]).run().expect(0);
    let secret = token.err().lines().find_map(|line| Some(line.split_once("stored nowhere: ")?.1.trim().to_owned()));
    let settings = format!("{}{}", state("guarded"), token.out());
    let guarded = Serving::start(&apps, &settings, &made.path().join("guarded.log"));
    let settings = format!("{}[workers]\nprocesses = 2\n", state("crewed"));
    let crewed = Serving::start(&apps, &settings, &made.path().join("crewed.log"));
    let secret = secret.expect("a token");
    browser.run("served.mjs", &[open.url.as_str(), guarded.url.as_str(), &secret, crewed.url.as_str()]);
}
