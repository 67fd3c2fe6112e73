//! Guards of worker processes: what this kernel offers of the wall behind which they run.

use frond_wall::{State, offered};

use super::check::Check;

/// Checks of the guards, one each.
pub(super) fn checks() -> Vec<Check> {
    let parts = offered().parts;
    let check = |part: frond_wall::Part| {
        let remedy = part.remedy.unwrap_or_else(|| "this kernel cannot do better".to_owned());
        Check::new(part.guard.name(), part.state != State::Missing, part.message, remedy)
    };
    parts.into_iter().map(check).collect()
}
