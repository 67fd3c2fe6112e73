//! Test kit: the binary, run and watched; folders with apps; the plugins that `make plugins` built.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests stop the test where it is, and no test needs all of them"
)]

pub mod folder;
pub mod hostile;
pub mod redact;

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

#[allow(unused_imports, reason = "no test needs all of them")]
pub use {
    folder::Folder,
    redact::{lasting, outcome, plain},
};

/// Timeout for output of the binary, ten times what any test needs.
const PATIENCE: Duration = Duration::from_secs(120);
/// Pause between two looks at something that changes by itself.
const PAUSE: Duration = Duration::from_millis(20);

/// Returns the workspace's root.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("the workspace's root")
}

/// Returns the folder of compiled components that tests share.
pub fn cache() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache")
}

/// Returns the path of a built plugin, by its file's name without `.wasm`.
pub fn plugin(name: &str) -> PathBuf {
    let path = root().join("target/plugins/wasm32-wasip2/guest").join(format!("{name}.wasm"));
    assert!(path.is_file(), "the plugin {name}.wasm is not built: run `make plugins`");
    path
}

/// Returns true where a missing tool is an error and not a reason to skip.
pub fn is_ci() -> bool {
    std::env::var("CI").is_ok_and(|value| value == "true")
}

/// Reports a skipped test, past the harness's capture of output.
#[expect(clippy::disallowed_methods, reason = "the harness captures what is printed")]
pub fn skip(why: &str) {
    let _ = std::io::stderr().write_all(format!("skipped: {why}\n").as_bytes());
}

/// Skips a test for lack of something; fails in CI, where it must be available.
pub fn skip_without(what: &str, remedy: &str) {
    assert!(!is_ci(), "{what} is missing: {remedy}");
    skip(&format!("{what} is missing: {remedy}"));
}

/// Returns true if plugins in the language can be built; otherwise reports the skipped test.
pub fn can_build(lang: &str) -> bool {
    let doctor = frond(["doctor", "--lang", lang]).run();
    if doctor.code != Some(0) {
        skip_without(&format!("what plugins in {lang} need"), &format!("\n{}", doctor.out()));
    }
    doctor.code == Some(0)
}

/// Looks again and again, with pauses, until there is something to see.
#[track_caller]
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(begun.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        thread::sleep(PAUSE);
    }
}

/// A command line of the binary.
pub struct Frond {
    command: Command,
    input: Option<Vec<u8>>,
}

/// Returns `frond` with these arguments, at the workspace's root, with an empty stdin and a plain
/// terminal environment.
pub fn frond<T: AsRef<OsStr>>(args: impl IntoIterator<Item = T>) -> Frond {
    let mut command = Command::new(env!("CARGO_BIN_EXE_frond"));
    command.args(args).current_dir(root()).env("FROND_CACHE", cache());
    for unset in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "LANG", "LC_CTYPE", "SSL_CERT_FILE", "SSL_CERT_DIR"] {
        command.env_remove(unset);
    }
    command.env("LC_ALL", "C.UTF-8").env("TERM", "dumb").env("COLUMNS", "160");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Frond { command, input: None }
}

/// Restores the default signal handlers: a shell ignores signals in background processes, and
/// `frond` respects that.
fn hear_signals(command: &mut Command) {
    use std::os::unix::process::CommandExt;
    let reset = || {
        for signal in [libc::SIGINT, libc::SIGQUIT, libc::SIGHUP, libc::SIGTERM] {
            #[expect(unsafe_code, reason = "signal(2) is safe between fork and exec, and has no safe interface")]
            unsafe {
                libc::signal(signal, libc::SIG_DFL);
            }
        }
        Ok(())
    };
    #[expect(unsafe_code, reason = "the closure calls nothing but signal(2)")]
    unsafe {
        command.pre_exec(reset);
    }
}

impl Frond {
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    pub fn args<T: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = T>) -> Self {
        self.command.args(args);
        self
    }

    pub fn dir(mut self, dir: &Path) -> Self {
        self.command.current_dir(dir);
        self
    }

    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Sets the bytes that are piped into stdin.
    pub fn input(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.input = Some(bytes.into());
        self.command.stdin(Stdio::piped());
        self
    }

    pub fn stdin(mut self, from: impl Into<Stdio>) -> Self {
        self.command.stdin(from);
        self
    }

    /// Redirects stdout, which then is not in [`Ended::stdout`].
    pub fn stdout(mut self, to: impl Into<Stdio>) -> Self {
        self.command.stdout(to);
        self
    }

    /// Redirects stderr, which then is not in [`Ended::stderr`] and cannot be waited for.
    pub fn stderr(mut self, to: impl Into<Stdio>) -> Self {
        self.command.stderr(to);
        self
    }

    /// Runs the command by another program, which is to replace itself with it (exec).
    pub fn through<T: AsRef<OsStr>>(mut self, program: &str, args: impl IntoIterator<Item = T>) -> Self {
        let mut outer = Command::new(program);
        outer.args(args).arg(self.command.get_program()).args(self.command.get_args());
        outer.current_dir(self.command.get_current_dir().expect("a folder to run in"));
        for (name, value) in self.command.get_envs() {
            match value {
                Some(value) => outer.env(name, value),
                None => outer.env_remove(name),
            };
        }
        outer.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        self.command = outer;
        self
    }

    pub fn run(self) -> Ended {
        self.start().end()
    }

    pub fn start(mut self) -> Running {
        hear_signals(&mut self.command);
        let mut child = self.command.spawn().expect("the binary starts");
        if let (Some(mut pipe), Some(bytes)) = (child.stdin.take(), self.input) {
            // A process that does not read its input may close the pipe.
            thread::spawn(move || drop(pipe.write_all(&bytes)));
        }
        let stdout = child.stdout.take().map(|mut pipe| {
            thread::spawn(move || {
                let mut bytes = Vec::new();
                pipe.read_to_end(&mut bytes).expect("stdout can be read");
                bytes
            })
        });
        let lines = child.stderr.take().map_or_else(|| channel().1, lines);
        Running { child, stdout, lines, seen: Vec::new() }
    }
}

fn lines(pipe: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (sender, lines) = channel();
    thread::spawn(move || {
        let mut pipe = BufReader::new(pipe);
        loop {
            let mut line = Vec::new();
            let read = pipe.read_until(b'\n', &mut line).expect("stderr can be read");
            if read == 0 || sender.send(line).is_err() {
                return;
            }
        }
    });
    lines
}

/// A running process of the binary.
pub struct Running {
    child: Child,
    stdout: Option<JoinHandle<Vec<u8>>>,
    lines: Receiver<Vec<u8>>,
    seen: Vec<u8>,
}

impl Running {
    /// Waits for a line on stderr that contains `text`.
    pub fn wait_for(&mut self, text: &str) -> &mut Self {
        loop {
            match self.next_line() {
                Some(line) if line.contains(text) => return self,
                Some(_) => {}
                None => panic!("stderr ended before `{text}` came:\n{}", String::from_utf8_lossy(&self.seen)),
            }
        }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Returns the lines of stderr that have been waited for so far.
    pub fn said(&self) -> String {
        String::from_utf8_lossy(&self.seen).into_owned()
    }

    /// Sends an interrupt, as Ctrl-C does.
    pub fn interrupt(&mut self) -> &mut Self {
        self.signal("INT")
    }

    /// Sends a signal, by its name without `SIG`.
    pub fn signal(&mut self, name: &str) -> &mut Self {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(sent.expect("`kill` runs").success(), "the process was gone before it got the signal {name}");
        self
    }

    pub fn end(mut self) -> Ended {
        while self.next_line().is_some() {}
        let code = self.child.wait().expect("the process ends").code();
        let stdout = self.stdout.take().map(|thread| thread.join().expect("stdout was read"));
        Ended { code, stdout: stdout.unwrap_or_default(), stderr: std::mem::take(&mut self.seen) }
    }

    fn next_line(&mut self) -> Option<String> {
        match self.lines.recv_timeout(PATIENCE) {
            Ok(line) => {
                self.seen.extend_from_slice(&line);
                Some(String::from_utf8_lossy(&line).into_owned())
            }
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => {
                let _ = self.child.kill();
                panic!("nothing more came on stderr, nor did it end:\n{}", String::from_utf8_lossy(&self.seen));
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Outcome of a run.
#[derive(Debug)]
pub struct Ended {
    /// The exit code; `None` if a signal ended the process.
    pub code: Option<i32>,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
}

impl Ended {
    /// Asserts the exit code.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "\nstdout: {}\nstderr: {}", self.out(), self.err());
        self
    }

    pub fn out(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    pub fn err(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    /// Parses stdout as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}", self.out()))
    }

    /// Returns the events that `--progress json` wrote to stderr.
    pub fn events(&self) -> Vec<serde_json::Value> {
        self.err().lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }
}
