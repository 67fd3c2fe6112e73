//! Quotas of callers on the store. They are checked while a job runs, since its size is unknown
//! when it is submitted.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;

use crate::store::{OverBound, StoreError};

/// Fraction (1/n) of a quota that one job may add before the store is asked again for its caller's
/// total.
const UNCHECKED: u64 = 32;

/// Quotas on the bytes that each caller's jobs may take in the store. Clones share the values.
#[derive(Clone, Debug, Default)]
pub struct Quotas(Arc<RwLock<Table>>);

/// Quotas as the settings give them: the usual one, and those of named callers.
#[derive(Debug, Default)]
struct Table {
    usual: Option<u64>,
    callers: BTreeMap<String, u64>,
}

impl Quotas {
    /// Replaces the quotas: `usual` holds for callers without a separate one. `None` is unlimited.
    pub fn set(&self, usual: Option<u64>, callers: BTreeMap<String, u64>) {
        *self.0.write() = Table { usual, callers };
    }

    fn of(&self, caller: &str) -> Option<u64> {
        let table = self.0.read();
        table.callers.get(caller).copied().or(table.usual)
    }
}

/// Counts the bytes that one job stores, against the quota of its caller.
pub(crate) struct Meter {
    quotas: Quotas,
    caller: Option<String>,
    /// Bytes since the store was last asked; [`u64::MAX`] before the first time.
    unchecked: AtomicU64,
}

impl Meter {
    pub(crate) fn new(quotas: Quotas, caller: Option<String>) -> Self {
        Self { quotas, caller, unchecked: AtomicU64::new(u64::MAX) }
    }

    /// Counts bytes before the job stores them. Returns the caller if the store must be asked for
    /// the caller's total.
    pub(crate) fn adds(&self, bytes: u64) -> Option<&str> {
        let caller = self.caller.as_deref()?;
        let quota = self.quotas.of(caller)?;
        let add = |unchecked: u64| Some(unchecked.saturating_add(bytes));
        let before = self.unchecked.fetch_update(Ordering::SeqCst, Ordering::SeqCst, add).unwrap_or(u64::MAX);
        (before.saturating_add(bytes) > quota / UNCHECKED).then_some(caller)
    }

    /// Refuses bytes that would take the caller, whose jobs take `used` bytes, over its quota.
    ///
    /// # Errors
    /// [`StoreError::OverBound`].
    pub(crate) fn check(&self, used: u64, bytes: u64) -> Result<(), StoreError> {
        let quota = self.caller.as_deref().and_then(|caller| self.quotas.of(caller));
        match quota.filter(|quota| used.saturating_add(bytes) > *quota) {
            // `unchecked` stays high, so the next bytes are checked, too.
            Some(quota) => Err(StoreError::OverBound(OverBound::CallerBytes(quota, None))),
            None => {
                self.unchecked.store(bytes, Ordering::SeqCst);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn meter(usual: Option<u64>) -> Meter {
        let quotas = Quotas::default();
        quotas.set(usual, [("bob".to_owned(), 64)].into());
        Meter::new(quotas, Some("ann".to_owned()))
    }

    #[test]
    fn without_a_caller_or_a_quota_nothing_is_asked() {
        assert_eq!(meter(None).adds(u64::MAX), None);
        let nobody = Meter::new(meter(Some(1)).quotas, None);
        assert_eq!(nobody.adds(u64::MAX), None);
        assert!(nobody.check(u64::MAX, 1).is_ok());
    }

    #[test]
    fn callers_have_quotas_of_their_own() {
        let quotas = meter(Some(10)).quotas;
        assert_eq!((quotas.of("bob"), quotas.of("ann")), (Some(64), Some(10)));
    }

    proptest! {
        #[test]
        fn a_job_keeps_no_more_than_its_quota_and_a_part(
            quota in 0_u64..100_000, batches in prop::collection::vec(0_u64..1_000, 0..300),
        ) {
            let meter = meter(Some(quota));
            let mut kept = 0;
            for bytes in batches {
                if meter.adds(bytes).is_some() && meter.check(kept, bytes).is_err() {
                    prop_assert!(kept + bytes > quota);
                    continue;
                }
                kept += bytes;
                prop_assert!(kept <= quota + quota / UNCHECKED);
            }
        }
    }
}
