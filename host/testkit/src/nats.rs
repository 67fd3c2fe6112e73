//! NATS server for tests, on a free local port. Its files and its process are removed with the test
//! process, however that ends. It can be stopped, killed, paused, and started again on its port.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::skip::skipped;

/// Private NATS server of a test.
pub struct Nats {
    program: PathBuf,
    folder: TempDir,
    variables: Vec<(String, String)>,
    port: u16,
    running: Option<Child>,
    guard: Child,
}

impl Drop for Nats {
    fn drop(&mut self) {
        self.kill9();
        // The end of its input makes the guard remove the folder.
        drop(self.guard.stdin.take());
        let _ = self.guard.wait();
    }
}

impl Nats {
    /// Starts a server without users and without JetStream. Without nats-server it reports that and
    /// returns `None`; on CI it panics.
    #[must_use]
    pub fn start() -> Option<Self> {
        Self::start_with("", &[])
    }

    /// Starts a server with TLS: a certificate and its key, both as PEM.
    #[must_use]
    pub fn start_encrypted(certificate: &str, key: &str) -> Option<Self> {
        let server = Self::prepare("tls { cert_file: \"server.crt\", key_file: \"server.key\" }", &[])?;
        fs::write(server.folder.path().join("server.crt"), certificate).unwrap();
        fs::write(server.folder.path().join("server.key"), key).unwrap();
        Some(server.first_start())
    }

    /// Starts a server with a configuration and the environment variables that the configuration
    /// names. `jetstream: enabled` in the configuration stores below the server's folder. Relative
    /// paths in the configuration begin there.
    #[must_use]
    pub fn start_with(configuration: &str, variables: &[(&str, &str)]) -> Option<Self> {
        Some(Self::prepare(configuration, variables)?.first_start())
    }

    fn prepare(configuration: &str, variables: &[(&str, &str)]) -> Option<Self> {
        let program = program()?;
        let folder = tempfile::Builder::new().prefix("frond-nats-").tempdir().unwrap();
        fs::write(folder.path().join("nats.conf"), configuration).unwrap();
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let guard = guard(folder.path());
        Some(Self { program, folder, variables, port: 0, running: None, guard })
    }

    /// Lets the server choose its port, and reads it from the file that the server writes.
    fn first_start(mut self) -> Self {
        let ports = self.folder.path().join("ports");
        fs::create_dir(&ports).unwrap();
        self.run(&["--port", "-1", "--ports_file_dir", "ports"]);
        self.port = self.until(|_| port_in(&ports));
        self
    }

    /// Starts the server again, on the port and with the files that it had.
    pub fn start_again(&mut self) {
        assert!(self.running.is_none(), "the server is already running");
        let port = self.port;
        // Another process may have the port for a moment: as the local end of a connection.
        self.until(|_| TcpListener::bind(("127.0.0.1", port)).ok());
        self.run(&["--port", &port.to_string()]);
        self.until(|_| TcpStream::connect(("127.0.0.1", port)).ok());
    }

    /// Starts the server again on the port that it had, without what JetStream stored.
    pub fn start_empty(&mut self) {
        let _ = fs::remove_dir_all(self.folder.path().join("store"));
        self.start_again();
    }

    /// Stops the server in order (SIGTERM) and waits for its end.
    pub fn stop(&mut self) {
        self.signal("TERM");
        self.end();
    }

    /// Kills the server (SIGKILL) and waits for its end.
    pub fn kill9(&mut self) {
        if self.running.is_some() {
            self.signal("KILL");
            self.end();
        }
    }

    /// Pauses the server (SIGSTOP): its connections stay open, and it reads and writes nothing.
    pub fn pause(&self) {
        self.signal("STOP");
    }

    /// Continues a paused server (SIGCONT).
    pub fn proceed(&self) {
        self.signal("CONT");
    }

    /// Port that the server listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// URL of the server, without a user.
    #[must_use]
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Log of the server since its first start.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    fn run(&mut self, port: &[&str]) {
        let log = fs::OpenOptions::new().create(true).append(true).open(self.folder.path().join("log")).unwrap();
        let mut command = Command::new(&self.program);
        command.args(["--addr", "127.0.0.1", "--config", "nats.conf", "--store_dir", "store"]).args(port);
        command.current_dir(self.folder.path()).envs(self.variables.iter().map(|(name, value)| (name, value)));
        let server = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        fs::write(self.folder.path().join("pid"), server.id().to_string()).unwrap();
        self.running = Some(server);
    }

    fn signal(&self, name: &str) {
        let pid = self.running.as_ref().expect("the server is running").id();
        let sent = Command::new("kill").args(["-s", name, &pid.to_string()]).status().unwrap();
        assert!(sent.success(), "the server is gone:\n{}", self.log());
    }

    /// Waits for the end of a server that got its signal.
    fn end(&mut self) {
        if let Some(mut server) = self.running.take() {
            // Soon the number may be another process's: the guard must not kill that.
            fs::remove_file(self.folder.path().join("pid")).unwrap();
            let _ = server.wait();
        }
    }

    /// Calls `look` until it finds something, or panics if the server ends.
    fn until<T>(&mut self, look: impl Fn(&Self) -> Option<T>) -> T {
        loop {
            if let Some(found) = look(self) {
                return found;
            }
            let ended = self.running.as_mut().and_then(|server| server.try_wait().unwrap());
            assert!(ended.is_none(), "the server did not start:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Program that `.ci/install-nats` installs.
fn program() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
    let tools = std::env::var_os("FROND_TOOLS").map_or_else(|| root.join(".tools"), PathBuf::from);
    let versions = fs::read_dir(tools.join("nats")).into_iter().flatten().flatten();
    let found = versions.map(|version| version.path().join("bin/nats-server")).find(|program| program.is_file());
    if found.is_none() {
        skipped("nats-server is missing (.ci/install-nats installs it)");
    }
    found
}

/// Port in the file that the server writes into `folder`, once the file is whole.
fn port_in(folder: &Path) -> Option<u16> {
    let file = fs::read_dir(folder).unwrap().flatten().next()?;
    let text = fs::read_to_string(file.path()).ok().filter(|text| text.trim_end().ends_with('}'))?;
    let (_, port) = text.split_once("127.0.0.1:")?;
    port.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// Starts a process that kills the server and removes its folder once its input ends: when this
/// process ends, even by a kill.
fn guard(folder: &Path) -> Child {
    let script = "trap '' INT TERM HUP; cat; [ -f \"$1/pid\" ] && kill -KILL \"$(cat \"$1/pid\")\"; rm -rf \"$1\"";
    let mut guard = Command::new("sh");
    guard.args(["-c", script, "sh"]).arg(folder).current_dir(std::env::temp_dir());
    // A group of its own: a signal to the whole group of the test process must not end the guard.
    guard.process_group(0).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

#[cfg(test)]
mod tests;
