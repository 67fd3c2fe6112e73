//! Stand-in for systems other than Linux, which have no such guards.

use crate::error::WallError;
use crate::report::{Guard, Part, Report};
use crate::settings::Wall;

pub(crate) fn offered() -> Report {
    let missing = |guard| Part::missing(guard, "not available on this system", "run workers on Linux");
    Report {
        parts: vec![
            missing(Guard::Landlock),
            missing(Guard::Seccomp),
            missing(Guard::NoNewPrivileges),
            missing(Guard::ParentDeath),
        ],
    }
}

#[expect(clippy::unnecessary_wraps, reason = "it can fail on Linux")]
pub(crate) fn enter(_: &Wall) -> Result<Report, WallError> {
    Ok(offered())
}

pub(crate) fn forbid_threads() -> Result<(), WallError> {
    Err(WallError::Seccomp("not available on this system".to_owned()))
}
