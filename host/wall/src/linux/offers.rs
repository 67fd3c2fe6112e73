//! Guards that this kernel offers, found out without any effect.

use std::io;

use super::landlock;
use crate::report::{Guard, Part, Report};

/// Advice for a container whose profile refuses a call.
const CONTAINER: &str = "allow the calls of landlock and seccomp in the container's profile";

/// Reports what this kernel can enforce.
pub(crate) fn offered() -> Report {
    Report { parts: vec![landlock(), seccomp(), no_new_privileges(), parent_death()] }
}

fn landlock() -> Part {
    match landlock::version() {
        Ok(version) => landlock::described(version),
        Err(error) => landlock::absent(&error),
    }
}

pub(super) fn seccomp() -> Part {
    let action = libc::SECCOMP_RET_KILL_PROCESS;
    #[expect(unsafe_code, reason = "no safe interface asks which actions seccomp knows")]
    // SAFETY: the kernel reads a number of 32 bits from `action`, and writes nothing.
    let answer = unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_GET_ACTION_AVAIL, 0, &raw const action) };
    if answer == 0 {
        return seccomp_is_for_this_processor();
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        Some(libc::EPERM) => Part::missing(Guard::Seccomp, "the container refuses seccomp filters", CONTAINER),
        _ => Part::missing(
            Guard::Seccomp,
            "the kernel has no seccomp filters that end a process",
            "run Linux 4.14 or later, built with CONFIG_SECCOMP_FILTER",
        ),
    }
}

fn seccomp_is_for_this_processor() -> Part {
    if cfg!(any(target_arch = "x86_64", target_arch = "aarch64")) {
        Part::whole(Guard::Seccomp, "seccomp: only the system calls of a worker's job")
    } else {
        Part::missing(Guard::Seccomp, "there is no filter for this processor", "run workers on x86-64 or AArch64")
    }
}

fn no_new_privileges() -> Part {
    let guard = Guard::NoNewPrivileges;
    match rustix::thread::no_new_privs() {
        Ok(_) => Part::whole(guard, "no program can give a worker more rights"),
        Err(error) => Part::missing(guard, format!("not offered ({error})"), "run Linux 3.5 or later"),
    }
}

fn parent_death() -> Part {
    match rustix::process::parent_process_death_signal() {
        Ok(_) => Part::whole(Guard::ParentDeath, "the kernel ends a worker with its parent"),
        Err(error) => Part::missing(Guard::ParentDeath, format!("not offered ({error})"), CONTAINER),
    }
}
