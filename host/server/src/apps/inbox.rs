//! What waits for the keeper: that something changed, and what somebody asked for. Bounded, and never waited on while a
//! lock is held.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use frond_root::Cancel;
use frond_run::Role;
use tokio::sync::{oneshot, watch};

use super::error::ChangeError;
use super::version::Version;

/// The most changes that may wait.
const MAX_ORDERS: usize = 16;
/// The bytes that components of waiting changes may have, in largest components.
const MAX_LARGE: u64 = 4;

/// The first question whether anything is left to do.
const START: u64 = 1;

/// What is asked for.
pub(crate) enum Wish {
    /// This component in this role.
    Put(Role, Bytes),
    /// The folder's own component in this role.
    Delete(Role),
    /// The version before.
    Rollback,
}

/// A change that somebody waits for.
pub(crate) struct Order {
    pub(crate) app: String,
    pub(crate) wish: Wish,
    pub(crate) reply: oneshot::Sender<Result<Arc<Version>, ChangeError>>,
}

impl Order {
    fn bytes(&self) -> u64 {
        match &self.wish {
            Wish::Put(_, bytes) => bytes.len() as u64,
            Wish::Delete(_) | Wish::Rollback => 0,
        }
    }
}

/// Why the keeper is to do something.
pub(crate) enum Signal {
    /// The server ends.
    Close,
    /// Everything is to be looked at again, what was refused included.
    Reload,
    /// Something may have changed.
    Changed,
    /// Somebody waits.
    Order(Order),
    /// Nothing came.
    Idle,
}

#[derive(Default)]
struct Waiting {
    closing: bool,
    reload: bool,
    changed: bool,
    orders: VecDeque<Order>,
    canary: Option<Cancel>,
    /// How often somebody has asked to be told when nothing is left to do; the first to ask is the start.
    asked: u64,
}

/// It is filled by anyone, and emptied by the keeper.
pub(crate) struct Inbox {
    waiting: Mutex<Waiting>,
    woken: Condvar,
    most_bytes: u64,
    /// Up to which of these questions the answer is yes.
    idle: watch::Sender<u64>,
}

impl Inbox {
    /// One for components of up to so many bytes.
    pub(crate) fn new(component_bytes: u64) -> Self {
        let most_bytes = component_bytes.saturating_mul(MAX_LARGE);
        let waiting = Mutex::new(Waiting { asked: START, ..Waiting::default() });
        Self { waiting, woken: Condvar::new(), most_bytes, idle: watch::Sender::new(0) }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, what: impl FnOnce(&mut Waiting)) {
        what(&mut self.lock());
        self.woken.notify_all();
    }

    pub(crate) fn changed(&self) {
        self.tell(|waiting| waiting.changed = true);
    }

    pub(crate) fn reload(&self) {
        self.tell(|waiting| waiting.reload = true);
    }

    /// Ends the keeper, and the canary that it waits for.
    pub(crate) fn close(&self) {
        self.tell(|waiting| {
            waiting.closing = true;
            waiting.orders.clear();
            if let Some(canary) = &waiting.canary {
                canary.cancel();
            }
        });
        self.idle.send_replace(u64::MAX);
    }

    /// Comes back when nothing is left to do of all that has been told so far, or nothing will be done any more.
    pub(crate) async fn settled(&self) {
        let mine = self.ask();
        self.answered(mine).await;
    }

    /// Comes back when nothing is left to do of what there was at the start.
    pub(crate) async fn ready(&self) {
        self.answered(START).await;
    }

    pub(crate) fn is_ready(&self) -> bool {
        *self.idle.borrow() >= START
    }

    async fn answered(&self, question: u64) {
        // It cannot fail while `self` holds the sender.
        let _ = self.idle.subscribe().wait_for(|answered| *answered >= question).await;
    }

    fn ask(&self) -> u64 {
        let mut waiting = self.lock();
        waiting.asked += 1;
        self.woken.notify_all();
        waiting.asked
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.lock().closing
    }

    pub(crate) fn cancel_when_closing(&self, canary: Option<Cancel>) {
        let mut waiting = self.lock();
        if let (true, Some(canary)) = (waiting.closing, &canary) {
            canary.cancel();
        }
        waiting.canary = canary;
    }

    /// Takes an order.
    ///
    /// # Errors
    /// Too many that wait, or a server that ends.
    pub(crate) fn order(&self, order: Order) -> Result<(), ChangeError> {
        let mut waiting = self.lock();
        let bytes: u64 = waiting.orders.iter().map(Order::bytes).sum();
        if waiting.closing {
            return Err(ChangeError::Stopping);
        }
        if waiting.orders.len() >= MAX_ORDERS || bytes.saturating_add(order.bytes()) > self.most_bytes {
            return Err(ChangeError::Busy);
        }
        waiting.orders.push_back(order);
        drop(waiting);
        self.woken.notify_all();
        Ok(())
    }

    /// Orders that wait.
    pub(crate) fn orders(&self) -> usize {
        self.lock().orders.len()
    }

    /// Whether something changed since this was last asked.
    pub(crate) fn take_changed(&self) -> bool {
        std::mem::take(&mut self.lock().changed)
    }

    /// The next signal, waited for as `until` says.
    pub(crate) fn next(&self, until: Until) -> Signal {
        let mut waiting = self.lock();
        loop {
            if waiting.closing {
                return Signal::Close;
            }
            if std::mem::take(&mut waiting.reload) {
                return Signal::Reload;
            }
            // Further changes and orders wait until files are still.
            if !matches!(until, Until::Still(_)) {
                if std::mem::take(&mut waiting.changed) {
                    return Signal::Changed;
                }
                if let Some(order) = waiting.orders.pop_front() {
                    return Signal::Order(order);
                }
            }
            let at = match until {
                Until::Now => return Signal::Idle,
                Until::Still(at) => Some(at),
                Until::Held(at) => Some(at),
                Until::Told(at) => {
                    self.idle.send_replace(waiting.asked);
                    at
                }
            };
            waiting = match at.map(|at| at.saturating_duration_since(Instant::now())) {
                None => self.woken.wait(waiting).unwrap_or_else(PoisonError::into_inner),
                Some(Duration::ZERO) => return Signal::Idle,
                Some(left) => self.woken.wait_timeout(waiting, left).unwrap_or_else(PoisonError::into_inner).0,
            };
        }
    }
}

/// How long the keeper waits.
#[derive(Clone, Copy)]
pub(crate) enum Until {
    /// It has something to do, and only asks whether something else comes first.
    Now,
    /// Files are to be still until then.
    Still(Instant),
    /// Half of a change waits for the other half until then.
    Held(Instant),
    /// It has nothing to do until it is told, or until then.
    Told(Option<Instant>),
}
