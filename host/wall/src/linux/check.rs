//! Conditions on the arguments of a system call, and their translation to rules of seccomp.

use seccompiler::{BackendError, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompRule};

/// Condition on one argument: under the mask, it has one of these values.
#[derive(Clone, Copy, Debug)]
pub(super) struct Check<'a> {
    argument: u8,
    is_int: bool,
    mask: u64,
    values: &'a [u64],
}

/// System call with the conditions that must hold all together.
pub(super) type Call<'a> = (libc::c_long, &'a [Check<'a>]);

/// Accepts an argument whose type is an `int`: the kernel ignores its upper half, and so does the
/// check.
pub(super) const fn int(argument: u8, values: &[u64]) -> Check<'_> {
    Check { argument, is_int: true, mask: u32::MAX as u64, values }
}

/// Accepts an argument whose type is as wide as a pointer.
pub(super) const fn wide(argument: u8, values: &[u64]) -> Check<'_> {
    Check { argument, is_int: false, mask: u64::MAX, values }
}

impl Check<'_> {
    /// Compares only the bits of the mask.
    pub(super) const fn masked(self, mask: u64) -> Self {
        Self { mask, ..self }
    }

    fn conditions(&self) -> Result<Vec<SeccompCondition>, BackendError> {
        let width = if self.is_int { SeccompCmpArgLen::Dword } else { SeccompCmpArgLen::Qword };
        let condition = |value: &u64| {
            SeccompCondition::new(self.argument, width.clone(), SeccompCmpOp::MaskedEq(self.mask), *value)
        };
        self.values.iter().map(condition).collect()
    }
}

/// Translates a call's conditions: one rule for each combination of values, of which one must
/// match.
pub(super) fn rules(checks: &[Check<'_>]) -> Result<Vec<SeccompRule>, BackendError> {
    if checks.is_empty() {
        return Ok(Vec::new());
    }
    let mut combinations = vec![Vec::new()];
    for check in checks {
        let conditions = check.conditions()?;
        let with_each = |combination: Vec<SeccompCondition>| {
            conditions.iter().map(move |condition| [&combination[..], std::slice::from_ref(condition)].concat())
        };
        combinations = combinations.into_iter().flat_map(with_each).collect();
    }
    combinations.into_iter().map(SeccompRule::new).collect()
}
