//! Landlock: a ruleset without any rule, so that every right it knows is refused.

use std::io;

use ::landlock::{
    ABI, Access, AccessFs, AccessNet, RestrictSelfAttr, Ruleset, RulesetAttr, RulesetError, RulesetStatus, Scope,
};

use crate::error::WallError;
use crate::report::{Guard, Part, State};

/// Newest version whose rights are refused; older kernels refuse those that they know.
const NEWEST: ABI = ABI::V9;
/// Version that refuses TCP.
const WITH_TCP: i64 = 4;
/// Version that refuses abstract sockets, and signals to other processes.
const WITH_SCOPES: i64 = 6;

/// Flag by which the kernel makes no ruleset but returns its version.
const ASK_VERSION: u32 = 1;

/// Advice for kernels whose landlock is too old.
const NEWER: &str = "run Linux 6.12 or later; seccomp refuses all of it, too";

/// Restricts this thread and the threads that it starts; all threads where the kernel can do that.
pub(super) fn restrict(others: Option<usize>) -> Result<Part, WallError> {
    let version = match version() {
        Ok(version) => version,
        Err(error) => return Ok(absent(&error)),
    };
    let restricted = restrict_all().map_err(|error| WallError::Landlock(error.to_string()))?;
    if restricted.ruleset == RulesetStatus::NotEnforced {
        return Ok(Part::missing(Guard::Landlock, "the kernel accepted no restriction by landlock", NEWER));
    }
    let part = described(version);
    if restricted.all_threads || others == Some(0) || part.state != State::Whole {
        return Ok(part);
    }
    let message = "threads that were started before the wall are not under landlock, only under seccomp";
    Ok(Part::partial(Guard::Landlock, message, "start threads after the wall, or run a kernel with landlock version 8"))
}

fn restrict_all() -> Result<::landlock::RestrictionStatus, RulesetError> {
    Ruleset::default()
        .handle_access(AccessFs::from_all(NEWEST))?
        .handle_access(AccessNet::from_all(NEWEST))?
        .scope(Scope::from_all(NEWEST))?
        .create()?
        .all_threads(true)?
        .restrict_self()
}

/// Asks the kernel for its version of landlock.
#[expect(unsafe_code, reason = "the library tells the reasons for a missing landlock apart only in part")]
pub(super) fn version() -> io::Result<i64> {
    let nothing = std::ptr::null::<libc::c_void>();
    // SAFETY: without attributes and with this flag, the call reads and writes no memory.
    let version = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, nothing, 0_usize, ASK_VERSION) };
    if version < 0 { Err(io::Error::last_os_error()) } else { Ok(version) }
}

/// Describes a version by what it refuses.
pub(super) fn described(version: i64) -> Part {
    let partial = |rest: &str| {
        let message = format!("landlock (version {version}) refuses {rest}");
        Part::partial(Guard::Landlock, message, NEWER)
    };
    if version < WITH_TCP {
        partial("files, but not network and signals")
    } else if version < WITH_SCOPES {
        partial("files and TCP, but not abstract sockets and signals")
    } else {
        let message = format!("landlock (version {version}): no files, no TCP, no signals to other processes");
        Part::whole(Guard::Landlock, message)
    }
}

/// Describes a kernel without landlock, by the error of asking for its version.
pub(super) fn absent(error: &io::Error) -> Part {
    let missing = |message: &str, remedy: &str| Part::missing(Guard::Landlock, message, remedy);
    match error.raw_os_error() {
        Some(libc::EOPNOTSUPP) => missing("landlock is switched off", "add `landlock` to the boot parameter `lsm=`"),
        Some(libc::EPERM) => missing(
            "the container refuses landlock",
            "allow the calls of landlock (`landlock_*`) in the container's seccomp profile",
        ),
        _ => missing("the kernel has no landlock", "run Linux 5.13 or later, built with CONFIG_SECURITY_LANDLOCK"),
    }
}

#[cfg(test)]
mod tests;
