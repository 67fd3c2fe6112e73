//! Worker processes of this machine: started, watched, and replaced when they end.
//!
//! Each process is this very program behind a second wall, and talks to its parent over a socket
//! pair. A leaf that brings its process down costs an attempt, and nothing else. Spare processes
//! stand ready: when one ends, a spare takes attempts at once, and the new process is the next
//! spare.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use frond_broker::carrier::over_stream;
use frond_broker::session::Lost;
use frond_broker::{Origin, Workers};
use frond_root::CancellationToken;
use frond_wall::{is_breach, prepare};
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;

use crate::error::RunError;

/// The most private memory of a worker process, in bytes. All that was ever accessible in the pool
/// of its instances counts, also while nobody uses it: this bounds a process that runs away.
pub const PROCESS_MEMORY: u64 = 64 << 30;
/// The most threads that read contents for one process at once.
const READERS: usize = 16;
/// Pause before a process that ended soon after its start is replaced.
const PAUSE: Duration = Duration::from_secs(1);
/// Time after which the end of a process is no longer soon after its start.
const STEADY: Duration = Duration::from_secs(5);

/// The running program, even if its file has been replaced or deleted since the start.
pub const THIS_PROGRAM: &str = "/proc/self/exe";

/// Number of processes that stand ready to replace others, unless a setting says another one.
pub const USUAL_SPARES: usize = 1;

/// Worker processes to start.
#[derive(Clone, Debug)]
pub struct ProcessSettings {
    /// Beginning of their names, before a number.
    pub name: &'static str,
    /// Number of processes that take attempts, each with one slot.
    pub count: usize,
    /// Number of further processes that stand ready to replace one that ends.
    pub spares: usize,
    /// True if a process must not run with a part of the second wall missing.
    pub needs_wall: bool,
}

/// Running worker processes. Dropping it ends them.
#[derive(Debug)]
pub struct Processes(CancellationToken);

impl Drop for Processes {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

impl Processes {
    /// Starts the processes, which join `workers`.
    ///
    /// # Errors
    /// A [`RunError::Machine`] if a thread that watches one cannot be started.
    pub fn start(settings: &ProcessSettings, workers: &Workers) -> Result<Self, RunError> {
        let failed = |error| RunError::machine("the worker processes could not be started", error);
        let processes = Self(CancellationToken::new());
        let turns = Arc::new(Semaphore::new(settings.count));
        let all = if settings.count > 0 { settings.count + settings.spares } else { 0 };
        for number in 0..all {
            let keeper = Keeper {
                settings: settings.clone(),
                turns: turns.clone(),
                workers: workers.clone(),
                runtime: runtime().map_err(failed)?,
                ending: processes.0.clone(),
            };
            // The kernel ends a worker with the thread that started it.
            let thread = thread::Builder::new().name(format!("frond-process-{number}"));
            thread.spawn(move || keeper.keep(number)).map_err(failed)?;
        }
        Ok(processes)
    }
}

/// Makes the runtime of a keeper: it outlives that of the program, which may end first.
fn runtime() -> io::Result<Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(READERS).build()
}

/// Keeper of one process.
struct Keeper {
    settings: ProcessSettings,
    /// Permits of the processes that take attempts.
    turns: Arc<Semaphore>,
    workers: Workers,
    runtime: Runtime,
    ending: CancellationToken,
}

impl Keeper {
    /// Starts the process, and starts it again each time it ends.
    fn keep(&self, number: usize) {
        while !self.ending.is_cancelled() {
            let begun = Instant::now();
            let was_dropped = match self.start(number) {
                Err(error) => {
                    tracing::error!(worker = self.name(number), "a worker process could not be started: {error}");
                    false
                }
                Ok((child, socket)) => self.live(number, child, socket),
            };
            // One that was dropped had an attempt that cost it its life: the next is another one.
            if !was_dropped && begun.elapsed() < STEADY && !self.ending.is_cancelled() {
                let ending = self.ending.clone();
                self.runtime.block_on(async { tokio::time::timeout(PAUSE, ending.cancelled()).await.ok() });
            }
        }
    }

    /// Talks with a process until its end, and buries it. True if this process dropped it.
    fn live(&self, number: usize, mut child: Child, socket: UnixStream) -> bool {
        let lost = self.converse(child.id(), socket);
        // It may be stuck in a leaf, and has nothing more to say.
        let _ = child.kill();
        let ended = child.wait();
        let was_dropped = matches!(lost, Lost::Protocol(_));
        let worker = self.name(number);
        if self.ending.is_cancelled() || was_dropped {
            tracing::debug!(worker, %lost, "a worker process was ended");
        } else if lost == Lost::Closed {
            tracing::info!(worker, "a worker process has left, as it was asked to, and is replaced");
        } else {
            let breach = ended.as_ref().is_ok_and(|status| is_breach(*status));
            tracing::warn!(worker, ?ended, %lost, breach, "a worker process ended and is replaced");
        }
        was_dropped
    }

    fn name(&self, number: usize) -> String {
        format!("{}-{number}", self.settings.name)
    }

    fn start(&self, number: usize) -> io::Result<(Child, UnixStream)> {
        let (own, other) = UnixStream::pair()?;
        own.set_nonblocking(true)?;
        let mut command = Command::new(THIS_PROGRAM);
        command
            .args(["worker", "--child", &std::process::id().to_string()])
            .args(["--name", &self.name(number)])
            .args(["--slots", "1", "--memory", &PROCESS_MEMORY.to_string()])
            .args(self.settings.needs_wall.then_some("--needs-wall"))
            .stdin(Stdio::from(OwnedFd::from(other)))
            .stdout(Stdio::null());
        prepare(&mut command)?;
        // Its allocator would otherwise take the memory of a whole arena at once.
        command.env("MIMALLOC_ARENA_EAGER_COMMIT", "0");
        Ok((command.spawn()?, own))
    }

    fn converse(&self, pid: u32, socket: UnixStream) -> Lost {
        let workers = self.workers.clone();
        // This keeper kills a process whose conversation has ended.
        let turns = Some(self.turns.clone());
        let origin = Origin { pid: Some(pid), turns, is_expendable: true, ..Origin::default() };
        let ending = self.ending.clone();
        self.runtime.block_on(async move {
            let Ok(socket) = tokio::net::UnixStream::from_std(socket) else { return Lost::Broken };
            tokio::select! {
                lost = workers.converse_with(over_stream(socket), origin) => lost,
                () = ending.cancelled() => Lost::Closed,
            }
        })
    }
}
