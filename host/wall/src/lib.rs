//! The second wall around a worker process.
//!
//! A worker process runs leaves for its parent over an inherited socket. WebAssembly is the first
//! wall around a leaf. If a leaf breaks out of that sandbox, it runs native code in the worker. The
//! second wall is the kernel's: the process can do nothing outside its job, whoever controls it.
//!
//! The parent starts the worker with [`prepare`]. The worker loads its code, opens what it needs
//! (above all wasmtime's engine and its pool), and calls [`Wall::enter`] before it starts threads.
//! [`offered`] says without any effect what this kernel can enforce.
//!
//! | layer | refuses | holds for |
//! |---|---|---|
//! | seccomp | every system call that is not on the allow list | all threads |
//! | landlock | files, TCP, abstract sockets, signals | the calling thread, and later ones |
//! | capabilities | root's rights | the calling thread, and later ones |
//! | limits | memory, open files, file sizes, core dumps | the process |
//! | parent's death | a life without the parent | the process |
//!
//! Seccomp alone refuses everything; landlock stands behind it for a mistake in the list.
//!
//! # The socket
//! The worker's socket must be one end of a connected pair of streams. A datagram socket could send
//! to any address. The worker can pass descriptors over it, so the parent reads it with calls that
//! accept none (`read`, not `recvmsg`). The parent may pass open files, which the worker can read,
//! and can measure by `fstat` alone: calls with a path are refused, and the standard library's
//! `File::metadata` is one of them.
//!
//! # Error or death
//! A refused call fails with `EPERM`: libraries probe files, sockets and options, and continue
//! without them. Calls that no library makes by itself, and that serve only to reach other
//! programs, other processes or the kernel's rare parts, kill the process with `SIGSYS`: an
//! attacker gets a single try, and the parent learns of the breach ([`is_breach`]).
//!
//! # Memory
//! [`Wall::memory`] bounds private writable memory. It stops leaks and runaway growth, but not an
//! attacker: written pages that are made read-only are no longer counted. Such a process is the
//! kernel's first choice when memory runs out; a firm bound needs a control group
//! (`memory.max`), or a parent that watches the worker's resident memory.

mod command;
mod error;
mod report;
mod settings;

#[cfg(not(target_os = "linux"))]
mod elsewhere;
#[cfg(target_os = "linux")]
mod linux;

#[cfg(not(target_os = "linux"))]
use elsewhere as kernel;
#[cfg(target_os = "linux")]
use linux as kernel;

pub use command::{is_breach, prepare};
pub use error::WallError;
pub use report::{Guard, Part, Report, State};
pub use settings::Wall;

/// Reports what this kernel can enforce, without any effect: `frond doctor` prints it.
#[must_use]
pub fn offered() -> Report {
    kernel::offered()
}

/// Refuses new threads from now on, in all threads of the process. Threads that exist continue.
///
/// A worker calls this after it has started its last thread: otherwise an attacker could take all
/// the process numbers of the machine. `pthread_create` then fails with `EAGAIN`.
///
/// # Errors
/// If the kernel refuses the filter, for example before [`Wall::enter`] on a kernel without
/// seccomp.
pub fn forbid_threads() -> Result<(), WallError> {
    kernel::forbid_threads()
}

impl Wall {
    /// Confines this process for good, and reports which guards hold.
    ///
    /// Call it once, after the code is loaded and before threads are started. Threads that already
    /// run are under seccomp, but not under landlock on kernels before landlock's version 8, and
    /// keep their capabilities; the report says so. A guard that this kernel lacks is reported as
    /// missing and is no error: the caller decides with [`Report::is_enforced`].
    ///
    /// It also makes `/` the working directory, ignores `SIGXFSZ`, and makes the process the
    /// kernel's first choice when memory runs out. On other systems than Linux it has no effect,
    /// and reports every guard as missing.
    ///
    /// # Errors
    /// If the parent has died, or a guard that the kernel has cannot be set. The process may then
    /// be confined in part, and must exit.
    pub fn enter(&self) -> Result<Report, WallError> {
        kernel::enter(self)
    }
}
