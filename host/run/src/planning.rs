//! Bulkhead for queries that search for files: each takes a thread, and memory for the found files.
//! Permits are shared fairly between callers, whatever apps they ask.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use frond_root::Tenant;
use tokio::sync::oneshot;
use tokio::sync::oneshot::error::RecvError;

/// The most plans that search for files at once, over all apps of a machine. The last permit is for
/// a caller without one.
pub const MAX_PLANS: usize = 8;
/// The most plans of one app at once, which leaves permits to other apps.
pub const MAX_PLANS_OF_APP: usize = MAX_PLANS / 2;

/// Permits for plans that search for files.
#[derive(Clone, Debug, Default)]
pub(crate) struct Planning(Arc<Mutex<Queue<oneshot::Sender<PlanPermit>>>>);

/// RAII guard of a permit for one plan.
#[derive(Debug)]
pub(crate) struct PlanPermit {
    tenant: Tenant,
    planning: Planning,
}

impl Drop for PlanPermit {
    fn drop(&mut self) {
        self.planning.lock().give_back(&self.tenant);
        self.planning.grant();
    }
}

impl Planning {
    /// Waits for a permit. Hold it as long as a thread works on the plan, even if nobody waits any
    /// more.
    pub(crate) async fn permit(&self, tenant: &Tenant) -> Result<PlanPermit, RecvError> {
        let (waiter, granted) = oneshot::channel();
        self.lock().wait(tenant.clone(), waiter);
        self.grant();
        granted.await
    }

    /// Hands out the free permits.
    fn grant(&self) {
        loop {
            let mut queue = self.lock();
            queue.forget(oneshot::Sender::is_closed);
            let Some((tenant, waiter)) = queue.next() else { return };
            drop(queue);
            // If nobody waits any more, the permit is dropped, and given back.
            let _ = waiter.send(PlanPermit { tenant, planning: self.clone() });
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue<oneshot::Sender<PlanPermit>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Permits in use, and the waiters in the order in which they came.
#[derive(Debug)]
struct Queue<W> {
    held: Vec<Tenant>,
    waiting: VecDeque<(Tenant, W)>,
}

impl<W> Default for Queue<W> {
    fn default() -> Self {
        Self { held: Vec::new(), waiting: VecDeque::new() }
    }
}

impl<W> Queue<W> {
    fn wait(&mut self, tenant: Tenant, waiter: W) {
        self.waiting.push_back((tenant, waiter));
    }

    /// Drops the waiters that have gone.
    fn forget(&mut self, has_gone: impl Fn(&W) -> bool) {
        self.waiting.retain(|(_, waiter)| !has_gone(waiter));
    }

    /// Takes a permit for the waiter whose caller holds the fewest, and among these for the first;
    /// `None` if nobody may have one.
    fn next(&mut self) -> Option<(Tenant, W)> {
        let places = self.waiting.iter().enumerate().filter(|(_, (tenant, _))| self.may_have(tenant));
        let (place, _) = places.min_by_key(|(_, (tenant, _))| self.of_caller(tenant))?;
        let (tenant, waiter) = self.waiting.remove(place)?;
        self.held.push(tenant.clone());
        Some((tenant, waiter))
    }

    fn give_back(&mut self, tenant: &Tenant) {
        if let Some(place) = self.held.iter().position(|one| one == tenant) {
            self.held.swap_remove(place);
        }
    }

    fn may_have(&self, tenant: &Tenant) -> bool {
        let of_app = self.held.iter().filter(|one| one.app == tenant.app).count();
        let for_others = usize::from(self.of_caller(tenant) > 0);
        of_app < MAX_PLANS_OF_APP && self.held.len() + for_others < MAX_PLANS
    }

    /// Permits that the tenant's caller holds, in all apps.
    fn of_caller(&self, tenant: &Tenant) -> usize {
        self.held.iter().filter(|one| one.caller == tenant.caller).count()
    }
}

#[cfg(test)]
mod tests;
