//! Seccomp: the filters of the wall, built and installed for all threads.
//!
//! A filter has one answer for its calls, so the wall has three. If several answer, the kernel
//! takes the most severe answer. Calls that every filter allows whatever their arguments are
//! remembered by the kernel and cost nothing.

use std::collections::BTreeMap;

use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch};

use super::calls;
use super::check::{Call, int, rules};
use crate::error::WallError;
use crate::report::{Part, State};
use crate::settings::Wall;

/// Installs the filters: calls unknown to the kernel, then deadly calls, then the allow list.
pub(super) fn restrict(wall: &Wall) -> Result<Part, WallError> {
    let part = super::offers::seccomp();
    if part.state != State::Whole {
        return Ok(part);
    }
    install(calls::UNKNOWN, error(libc::ENOSYS), SeccompAction::Allow)?;
    if wall.images == 0 {
        install(calls::IMAGES, error(libc::ENOSYS), SeccompAction::Allow)?;
    }
    install(calls::DEADLY, SeccompAction::KillProcess, SeccompAction::Allow)?;
    // Signals to this process (T): `abort` and `raise` send them.
    let own = [u64::from(std::process::id())];
    let to_itself = [int(0, &own)];
    let signals = [(libc::SYS_kill, &to_itself[..]), (libc::SYS_tgkill, &to_itself[..])];
    let scheduling = if wall.schedules_threads { calls::SCHEDULING_OF_ANY } else { calls::SCHEDULING_OF_ITSELF };
    let allowed = [calls::FREE, calls::CHECKED, calls::IMAGES, scheduling, &signals].concat();
    install(&allowed, SeccompAction::Allow, error(libc::EPERM))?;
    Ok(part)
}

/// Refuses new threads.
pub(super) fn forbid_threads() -> Result<(), WallError> {
    install(&[(libc::SYS_clone, &[])], error(libc::EAGAIN), SeccompAction::Allow)
}

fn error(number: libc::c_int) -> SeccompAction {
    SeccompAction::Errno(number.unsigned_abs())
}

/// Installs a filter in all threads: `answer` for these calls, `otherwise` for all others. A call
/// of another processor's numbering ends the process.
fn install(calls: &[Call<'_>], answer: SeccompAction, otherwise: SeccompAction) -> Result<(), WallError> {
    let program = program(calls, answer, otherwise).map_err(|error| WallError::Seccomp(error.to_string()))?;
    seccompiler::apply_filter_all_threads(&program).map_err(|error| WallError::Seccomp(error.to_string()))
}

fn program(
    calls: &[Call<'_>],
    answer: SeccompAction,
    otherwise: SeccompAction,
) -> Result<BpfProgram, seccompiler::BackendError> {
    let rules: Result<BTreeMap<_, _>, _> = calls.iter().map(|(call, checks)| Ok((*call, rules(checks)?))).collect();
    let processor = TargetArch::try_from(std::env::consts::ARCH)?;
    SeccompFilter::new(rules?, otherwise, answer, processor)?.try_into()
}
