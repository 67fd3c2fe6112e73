//! Parent's side of a compilation: starts the child, feeds it, and reports why it ended.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;

use super::child::{BROKEN, CODE, ENGINE, MAX_CODE, PROPOSALS, TOO_COSTLY, TOO_DEMANDING};
use super::limits::CompileLimits;
use crate::escape::clip;
use crate::inspect::Misfit;
use crate::load_error::LoadError;
use crate::tuning::Tuning;

/// Most bytes that are read of the child's stderr.
const MAX_STDERR: u64 = 16 << 10;
/// Most threads of one compilation: each takes memory.
const MAX_THREADS: usize = 8;

/// Memory of one compiler thread, in bytes.
const THREAD_MEMORY: u64 = 128 << 20;

/// Signals by which a person, a supervisor or the kernel ends processes: none of them is the
/// component's fault.
const FROM_OUTSIDE: [i32; 4] = [1, 2, 9, 15];
/// Signal of an abort, for example after a failed allocation.
const SIGABRT: i32 = 6;
/// Signal of the limit on processor time.
const SIGXCPU: i32 = 24;

/// Failed compilation, and whether the next attempt would fail in the same way.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) misfit: Misfit,
    pub(crate) is_lasting: bool,
}

/// Compiles a component in a child process.
pub(super) fn compile(
    program: &Path,
    limits: &CompileLimits,
    stopped: &CancellationToken,
    tuning: Tuning,
    bytes: &[u8],
) -> Result<Result<Vec<u8>, Refusal>, LoadError> {
    let command = command(program, limits, tuning);
    // On a separate thread: the caller may be inside a runtime, and the child ends with the thread
    // that started it.
    let ended = std::thread::scope(|scope| {
        let job = || runtime()?.block_on(watched(command, limits.time, stopped, bytes));
        scope.spawn(job).join().unwrap_or_else(|_| Err(io::Error::other("the compiler's thread panicked")))
    });
    match ended {
        Ok(ChildExit::Exited { status, answer, stderr }) => outcome(limits, status, answer, &stderr),
        Ok(ChildExit::OutOfTime) => {
            Ok(Err(costly(format!("compiling it took longer than {:?}", limits.time), "FROND_COMPILE_TIME", false)))
        }
        Ok(ChildExit::Stopped) => Err(LoadError::Stopped),
        Err(error) => Err(LoadError::Engine(format!("the compiler could not be started: {error}"))),
    }
}

/// End of the compiling child process.
enum ChildExit {
    Exited { status: ExitStatus, answer: Vec<u8>, stderr: Vec<u8> },
    OutOfTime,
    Stopped,
}

fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

/// Builds the child's command line. The child inherits no environment, and gets no signal that a
/// terminal sends to its parent.
fn command(program: &Path, limits: &CompileLimits, tuning: Tuning) -> Command {
    let mut command = Command::new(program);
    command.arg0("frond").arg("compile");
    command.arg(format!("--memory={}", limits.memory)).arg(format!("--cpu={}", limits.cpu.as_secs()));
    if limits.nice > 0 {
        command.arg(format!("--nice={}", limits.nice));
    }
    command.arg(format!("--metering={}", tuning.metering.word()));
    if let Some(bytes) = tuning.frugal {
        command.arg(format!("--frugal={bytes}"));
    }
    command
        .env_clear()
        .env("RAYON_NUM_THREADS", threads(limits.memory).to_string())
        // Makes the allocator commit memory on use and not by the gibibyte: committed memory counts
        // against the limit.
        .env("MIMALLOC_ARENA_EAGER_COMMIT", "0")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    command
}

/// Returns the number of threads for a compilation with this much memory: one for each core, as
/// long as each has [`THREAD_MEMORY`].
fn threads(memory: u64) -> u64 {
    let cores = std::thread::available_parallelism().map_or(1, usize::from).min(MAX_THREADS);
    (memory / THREAD_MEMORY).clamp(1, cores as u64)
}

/// Runs the child until it ends, its time is up, or the compiler is stopped.
async fn watched(
    mut command: Command,
    time: Duration,
    stopped: &CancellationToken,
    bytes: &[u8],
) -> io::Result<ChildExit> {
    let mut child = command.spawn()?;
    let ended = tokio::select! {
        exited = exchange(&mut child, bytes) => return exited,
        () = tokio::time::sleep(time) => ChildExit::OutOfTime,
        () = stopped.cancelled() => ChildExit::Stopped,
    };
    child.kill().await?;
    Ok(ended)
}

/// Writes the component and reads the answer concurrently.
async fn exchange(child: &mut Child, bytes: &[u8]) -> io::Result<ChildExit> {
    let missing = || io::Error::other("it has no pipes");
    let mut stdin = child.stdin.take().ok_or_else(missing)?;
    let stdout = child.stdout.take().ok_or_else(missing)?;
    let stderr = child.stderr.take().ok_or_else(missing)?;
    let feed = async move {
        // A child that ends early has the reason in its status.
        let _ = stdin.write_all(bytes).await;
    };
    let ((), answer, stderr) = tokio::join!(feed, all(stdout, MAX_CODE + 1), all(stderr, MAX_STDERR));
    Ok(ChildExit::Exited { status: child.wait().await?, answer: answer?, stderr: stderr? })
}

async fn all(from: impl AsyncRead + Unpin, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(most).read_to_end(&mut bytes).await?;
    Ok(bytes)
}

/// Maps the child's status and answer to an outcome.
fn outcome(
    limits: &CompileLimits,
    status: ExitStatus,
    mut answer: Vec<u8>,
    stderr: &[u8],
) -> Result<Result<Vec<u8>, Refusal>, LoadError> {
    let text = |bytes: &[u8]| clip(&String::from_utf8_lossy(bytes));
    if !status.success() {
        return died(limits, status, text(stderr).trim());
    }
    let Some(kind) = answer.pop() else {
        return Err(LoadError::Engine("the compiler ended without an answer".to_owned()));
    };
    let refused = |misfit, is_lasting| Ok(Err(Refusal { misfit, is_lasting }));
    match kind {
        CODE => Ok(Ok(answer)),
        BROKEN => refused(Misfit::Broken(text(&answer)), false),
        TOO_DEMANDING => refused(Misfit::TooDemanding(text(&answer)), false),
        PROPOSALS => refused(Misfit::Proposals(text(&answer)), false),
        TOO_COSTLY => refused(Misfit::TooCostly(text(&answer)), false),
        ENGINE => Err(LoadError::Engine(text(&answer))),
        other => Err(LoadError::Engine(format!("the compiler's answer ends with {other}"))),
    }
}

/// Maps the status of a child that failed or was killed to an outcome.
fn died(limits: &CompileLimits, status: ExitStatus, stderr: &str) -> Result<Result<Vec<u8>, Refusal>, LoadError> {
    let memory = || {
        let why = format!("compiling it takes more than {} MiB of memory", limits.memory >> 20);
        Ok(Err(costly(why, "FROND_COMPILE_MEMORY", true)))
    };
    match status.signal() {
        Some(SIGXCPU) => {
            let why = format!("compiling it takes more than {:?} of processor time", limits.cpu);
            Ok(Err(costly(why, "FROND_COMPILE_CPU", true)))
        }
        Some(SIGABRT) if stderr.contains("memory allocation of") => memory(),
        Some(signal) if FROM_OUTSIDE.contains(&signal) => {
            let why = "the system may be short of memory, see its log";
            Err(LoadError::Engine(format!("the compiler was killed by signal {signal}\n({why})")))
        }
        Some(signal) => Ok(Err(Refusal {
            misfit: Misfit::TooCostly(format!("compiling it ended the compiler by signal {signal}: {stderr}")),
            is_lasting: true,
        })),
        None => Err(LoadError::Engine(format!("the compiler failed ({status}): {stderr}"))),
    }
}

fn costly(why: String, setting: &str, is_lasting: bool) -> Refusal {
    let remedy = format!("{why}\n(build it smaller, or raise {setting})");
    Refusal { misfit: Misfit::TooCostly(remedy), is_lasting }
}
