//! Parent's side: starting a worker process, and reading how it ended.

use std::io;
use std::process::{Command, ExitStatus};

/// Prepares the start of a worker: an empty environment, its own process group, and no inherited
/// descriptors besides stdin, stdout and stderr.
///
/// Call it last before `spawn`. Variables that are set afterwards are passed on. Every descriptor
/// of this process above 2 is marked as closed by `exec`, so that none is passed on by mistake; to
/// pass one on, make it the worker's stdin.
///
/// Nothing runs between fork and exec, so the standard library can start the worker by
/// `posix_spawn`, whose cost does not grow with the parent's memory. The worker therefore asks for
/// its death with its parent in [`Wall::enter`](crate::Wall::enter), which needs this process's
/// number.
///
/// The kernel ends the worker when the *thread* that started it ends. Start workers from a thread
/// that lives as long as they do: not from a blocking thread of tokio, which ends when idle.
///
/// # Errors
/// If the descriptors cannot be marked.
pub fn prepare(command: &mut Command) -> io::Result<()> {
    command.env_clear();
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(command, 0);
    #[cfg(target_os = "linux")]
    crate::linux::close_on_exec()?;
    Ok(())
}

/// Returns true if the kernel killed the worker for a system call that only an attacker makes.
#[must_use]
pub fn is_breach(status: ExitStatus) -> bool {
    #[cfg(target_os = "linux")]
    return std::os::unix::process::ExitStatusExt::signal(&status) == Some(libc::SIGSYS);
    #[cfg(not(target_os = "linux"))]
    {
        let _ = status;
        false
    }
}
