//! Resource limits, and descriptors that are not inherited.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::error::WallError;
use crate::report::{Guard, Part};
use crate::settings::Wall;

/// First descriptor after stdin, stdout and stderr.
const FIRST_OTHER: u32 = 3;
/// Most descriptors that are marked one by one, on kernels before 5.11: those beyond it would take
/// too long, and the standard library marks its own.
const MARKED_ONE_BY_ONE: u64 = 65_536;

/// Sets the limits, soft and hard, so that the process cannot raise them again.
///
/// `RLIMIT_NPROC` stays as it is: it counts all processes of the user, so no number is right for
/// one process, and it does not hold for root. Seccomp refuses processes, and
/// [`forbid_threads`](crate::forbid_threads) refuses threads. `RLIMIT_AS` would count wasmtime's
/// reserved address space.
pub(super) fn set(wall: &Wall) -> Result<Part, WallError> {
    ignore_file_size_signal()?;
    let limits = [
        (Resource::Core, 0, "forbid core dumps"),
        (Resource::Fsize, wall.images, "limit the size of files"),
        (Resource::Nofile, wall.files, "limit open files"),
        (Resource::Data, wall.memory, "limit memory"),
    ];
    for (resource, most, step) in limits {
        // A lower limit from outside stays.
        let most = getrlimit(resource).maximum.map_or(most, |hard| hard.min(most));
        let rlimit = Rlimit { current: Some(most), maximum: Some(most) };
        setrlimit(resource, rlimit).map_err(|error| WallError::System { step, error: error.into() })?;
    }
    let message = format!("at most {} MiB of memory, {} open files, no core dumps", wall.memory >> 20, wall.files);
    Ok(Part::whole(Guard::Limits, message))
}

/// Turns the signal of a file that grows too large into an ordinary error: stderr may be a file.
#[expect(unsafe_code, reason = "no safe interface ignores a signal")]
fn ignore_file_size_signal() -> Result<(), WallError> {
    // SAFETY: no handler is installed, so nothing runs in a signal's context.
    let before = unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
    if before == libc::SIG_ERR {
        return Err(WallError::System { step: "ignore SIGXFSZ", error: io::Error::last_os_error() });
    }
    Ok(())
}

/// Marks every descriptor above 2 as closed by `exec`.
#[expect(unsafe_code, reason = "no safe interface has close_range")]
pub(super) fn close_on_exec() -> io::Result<()> {
    // SAFETY: with this flag the call closes nothing; it only sets a flag of open descriptors.
    let done = unsafe { libc::syscall(libc::SYS_close_range, FIRST_OTHER, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    if done == 0 {
        return Ok(());
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        Some(libc::ENOSYS | libc::EINVAL | libc::EPERM) => mark_one_by_one(),
        _ => Err(error),
    }
}

/// Marks descriptors as closed by `exec`, on kernels that cannot mark a range.
#[expect(unsafe_code, reason = "safe interfaces want the owners of the descriptors")]
fn mark_one_by_one() -> io::Result<()> {
    let most = getrlimit(Resource::Nofile).current.unwrap_or(MARKED_ONE_BY_ONE).min(MARKED_ONE_BY_ONE);
    for descriptor in FIRST_OTHER..u32::try_from(most).unwrap_or(u32::MAX) {
        let descriptor = i32::try_from(descriptor).map_err(io::Error::other)?;
        // SAFETY: the call changes no memory. It fails on a number that is not open, which is right.
        let _ = unsafe { libc::fcntl(descriptor, libc::F_SETFD, libc::FD_CLOEXEC) };
    }
    Ok(())
}
