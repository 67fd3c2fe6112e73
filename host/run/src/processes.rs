//! Worker processes of this machine: started, watched, and replaced when they end.
//!
//! Each process is this very program behind a second wall, and talks to its parent over a socket
//! pair. A leaf that brings its process down costs an attempt, and nothing else.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use frond_broker::carrier::over_stream;
use frond_broker::session::{Lost, Settings};
use frond_broker::worker::serve;
use frond_broker::{Introduction, Workers};
use frond_root::CancellationToken;
use frond_root::call::Grants;
use frond_wall::{Wall, is_breach, prepare};
use tokio::runtime::Handle;

use crate::error::RunError;
use crate::machine::Machine;
use crate::workers::{WorkerLeaves, engine};

/// Pause before a process that ended soon after its start is replaced.
const PAUSE: Duration = Duration::from_secs(1);
/// Time after which the end of a process is no longer soon after its start.
const STEADY: Duration = Duration::from_secs(5);

/// The running program, even if its file has been replaced or deleted since the start.
pub const THIS_PROGRAM: &str = "/proc/self/exe";

/// Worker processes to start.
#[derive(Clone, Debug)]
pub struct ProcessSettings {
    /// Number of processes.
    pub count: usize,
    /// The most leaves at once of each.
    pub slots: u16,
    /// The most private memory of each, in bytes.
    pub memory: u64,
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
    pub fn start(settings: &ProcessSettings, workers: &Workers, runtime: &Handle) -> Result<Self, RunError> {
        let processes = Self(CancellationToken::new());
        for number in 0..settings.count {
            let keeper = Keeper {
                settings: settings.clone(),
                workers: workers.clone(),
                runtime: runtime.clone(),
                ending: processes.0.clone(),
            };
            // The kernel ends a worker with the thread that started it.
            let thread = thread::Builder::new().name(format!("frond-process-{number}"));
            thread
                .spawn(move || keeper.keep(number))
                .map_err(|error| RunError::machine("the worker processes could not be started", error))?;
        }
        Ok(processes)
    }
}

/// Keeper of one process.
struct Keeper {
    settings: ProcessSettings,
    workers: Workers,
    runtime: Handle,
    ending: CancellationToken,
}

impl Keeper {
    /// Starts the process, and starts it again each time it ends.
    fn keep(&self, number: usize) {
        while !self.ending.is_cancelled() {
            let begun = Instant::now();
            match self.start(number) {
                Err(error) => tracing::error!(worker = number, "a worker process could not be started: {error}"),
                Ok((mut child, socket)) => {
                    let lost = self.converse(socket);
                    // It may be stuck in a leaf, and has nothing more to say.
                    let _ = child.kill();
                    let ended = child.wait();
                    if !self.ending.is_cancelled() {
                        let breach = ended.as_ref().is_ok_and(|status| is_breach(*status));
                        tracing::warn!(worker = number, ?ended, %lost, breach, "a worker process ended and is replaced");
                    }
                }
            }
            if begun.elapsed() < STEADY && !self.ending.is_cancelled() {
                let ending = self.ending.clone();
                self.runtime.block_on(async { tokio::time::timeout(PAUSE, ending.cancelled()).await.ok() });
            }
        }
    }

    fn start(&self, number: usize) -> io::Result<(Child, UnixStream)> {
        let (own, other) = UnixStream::pair()?;
        own.set_nonblocking(true)?;
        let mut command = Command::new(THIS_PROGRAM);
        command
            .args(["worker", "--child", &std::process::id().to_string()])
            .args(["--name", &format!("process-{number}")])
            .args(["--slots", &self.settings.slots.to_string()])
            .args(["--memory", &self.settings.memory.to_string()])
            .stdin(Stdio::from(OwnedFd::from(other)))
            .stdout(Stdio::null());
        prepare(&mut command)?;
        // Its allocator would otherwise take the memory of a whole arena at once.
        command.env("MIMALLOC_ARENA_EAGER_COMMIT", "0");
        Ok((command.spawn()?, own))
    }

    fn converse(&self, socket: UnixStream) -> Lost {
        let workers = self.workers.clone();
        let ending = self.ending.clone();
        self.runtime.block_on(async move {
            let Ok(socket) = tokio::net::UnixStream::from_std(socket) else { return Lost::Broken };
            tokio::select! {
                lost = workers.converse(over_stream(socket)) => lost,
                () = ending.cancelled() => Lost::Closed,
            }
        })
    }
}

/// Life of a worker process, from its start to its end.
///
/// # Errors
/// A [`RunError::Machine`] if the wall cannot be entered, or the machine denies a resource.
pub fn run_process(parent: u32, name: String, slots: u16, memory: u64) -> Result<(), RunError> {
    let wrong = |error: io::Error| RunError::machine("the worker process has no socket to its parent", error);
    let socket = io::stdin().as_fd().try_clone_to_owned().map_err(wrong)?;
    let socket = UnixStream::from(socket);
    socket.set_nonblocking(true).map_err(wrong)?;
    Wall::new(parent, memory)
        .enter()
        .map_err(|error| RunError::machine("the second wall could not be set up", error))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(|error| RunError::machine("the runtime could not be started", error))?;
    let machine = Arc::new(Machine::new(usize::from(slots))?);
    let threads = machine.start(runtime.handle())?;
    let waiting = u32::try_from(threads.room_to_wait()).unwrap_or(u32::MAX);
    let introduction = Introduction { name, slots: u32::from(slots), waiting, engine: engine() };
    let loader = Arc::new(WorkerLeaves::new(machine, threads, Grants::default(), true));
    runtime.block_on(async move {
        let socket = tokio::net::UnixStream::from_std(socket).map_err(wrong)?;
        serve(over_stream(socket), Settings::default(), &introduction, loader, CancellationToken::new()).await;
        Ok::<(), RunError>(())
    })?;
    // A leaf may still run.
    runtime.shutdown_background();
    Ok(())
}
