//! Parent's side of the tests: starts this program as a worker, and reads what it says.

use std::io::{BufRead, BufReader};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};

/// First argument of a worker.
pub(crate) const WORKER: &str = "worker";

/// Worker under test.
pub(crate) struct Worker {
    pub(crate) process: Child,
    /// Parent's end of the worker's stdin.
    pub(crate) socket: UnixStream,
    lines: BufReader<ChildStdout>,
}

/// End of a worker.
pub(crate) struct Ended {
    pub(crate) lines: Vec<String>,
    pub(crate) status: ExitStatus,
}

impl Worker {
    /// Starts a worker that acts as `mode` says.
    pub(crate) fn start(mode: &str, more: &[&str]) -> Self {
        Self::of(mode, &std::process::id().to_string(), more)
    }

    /// Starts a worker that is told this number of its parent.
    pub(crate) fn of(mode: &str, parent: &str, more: &[&str]) -> Self {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args([WORKER, mode, parent]).args(more);
        command.stdin(OwnedFd::from(theirs)).stdout(Stdio::piped());
        frond_wall::prepare(&mut command).unwrap();
        let mut process = command.spawn().unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap());
        Self { process, socket: ours, lines }
    }

    /// Waits for the worker's next line; `None` after its end.
    pub(crate) fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let read = self.lines.read_line(&mut line).unwrap();
        (read > 0).then(|| line.trim_end().to_owned())
    }

    /// Waits for the worker's end.
    pub(crate) fn finish(mut self) -> Ended {
        let mut lines = Vec::new();
        while let Some(line) = self.line() {
            lines.push(line);
        }
        Ended { lines, status: self.process.wait().unwrap() }
    }
}
