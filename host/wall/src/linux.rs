//! Linux: the order in which the guards are set, and what is set without a filter.

mod calls;
mod check;
mod landlock;
mod limits;
mod offers;
mod seccomp;

use std::io;

use rustix::process::{DumpableBehavior, Pid, Signal};
use rustix::thread::{CapabilitySet, CapabilitySets};

use crate::error::WallError;
use crate::report::{Guard, Part, Report};
use crate::settings::Wall;

pub(crate) use offers::offered;

/// Score by which the kernel's out-of-memory killer takes this process before all others.
const FIRST_TO_GO: &str = "1000";

/// Enters the wall. The guards that need files or privileges come first, the filter that refuses
/// them comes last.
pub(crate) fn enter(wall: &Wall) -> Result<Report, WallError> {
    std::env::set_current_dir("/").map_err(|error| system("leave the working directory", error))?;
    let others = other_threads();
    // Before the process becomes undumpable, which makes its files in /proc those of root.
    let out_of_memory = goes_first();
    let parent_death = end_with_parent(wall.parent)?;
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(|error| system("forbid core dumps", error))?;
    let limits = limits::set(wall)?;
    let capabilities = drop_capabilities(others)?;
    rustix::thread::set_no_new_privs(true).map_err(|error| system("forbid new privileges", error))?;
    let landlock = landlock::restrict(others)?;
    let seccomp = seccomp::restrict(wall)?;
    let no_new_privileges = Part::whole(Guard::NoNewPrivileges, "no program can give this process more rights");
    Ok(Report { parts: vec![landlock, seccomp, no_new_privileges, parent_death, limits, capabilities, out_of_memory] })
}

pub(crate) fn forbid_threads() -> Result<(), WallError> {
    seccomp::forbid_threads()
}

/// Marks every descriptor above 2 as closed by `exec`.
pub(crate) fn close_on_exec() -> io::Result<()> {
    limits::close_on_exec()
}

/// Number of threads besides the calling one; `None` if /proc is not mounted.
fn other_threads() -> Option<usize> {
    std::fs::read_dir("/proc/self/task").ok().map(|tasks| tasks.count().saturating_sub(1))
}

/// Makes this process the first that the kernel ends when memory runs out.
fn goes_first() -> Part {
    match std::fs::write("/proc/self/oom_score_adj", FIRST_TO_GO) {
        Ok(()) => Part::whole(Guard::OutOfMemory, "when memory runs out, the kernel ends this process first"),
        Err(error) => {
            let message = format!("this process is not the kernel's first choice when memory runs out ({error})");
            Part::partial(Guard::OutOfMemory, message, "mount /proc, writable for the worker's own entries")
        }
    }
}

/// Has the kernel end this process with its parent. The parent may have died before this call.
fn end_with_parent(parent: u32) -> Result<Part, WallError> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(|error| system("ask for this process's end with its parent", error))?;
    let found = rustix::process::getppid().map_or(0, Pid::as_raw_pid);
    if i64::from(found) == i64::from(parent) {
        Ok(Part::whole(Guard::ParentDeath, "the kernel ends this process with its parent"))
    } else {
        Err(WallError::ParentGone)
    }
}

/// Gives up every capability of this thread, and of threads that it starts.
fn drop_capabilities(others: Option<usize>) -> Result<Part, WallError> {
    let read = || rustix::thread::capabilities(None).map_err(|error| system("read capabilities", error));
    let had_any = !read()?.permitted.is_empty();
    let none = CapabilitySet::empty();
    let sets = CapabilitySets { effective: none, permitted: none, inheritable: none };
    rustix::thread::set_capabilities(None, sets).map_err(|error| system("give up capabilities", error))?;
    if had_any && others != Some(0) {
        let message = "threads that were started before the wall keep their capabilities";
        return Ok(Part::partial(Guard::Capabilities, message, "start threads after the wall, or do not run as root"));
    }
    Ok(Part::whole(Guard::Capabilities, "this process has no capabilities"))
}

fn system(step: &'static str, error: impl Into<io::Error>) -> WallError {
    WallError::System { step, error: error.into() }
}
