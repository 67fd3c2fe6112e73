//! What waits for the keeper: that something changed, what somebody asked for, and loads that have ended. Bounded, and never
//! waited on while a lock is held.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use frond_run::Role;
use tokio::sync::{oneshot, watch};

use super::error::ChangeError;
use super::managed::ManagedApp;
use super::version::Version;

/// The most changes that may wait.
const MAX_ORDERS: usize = 16;
/// The bytes that components of changes that wait or are under way may have, in largest components.
const MAX_LARGE: u64 = 5;

/// The first question whether anything is left to do.
const START: u64 = 1;

/// What is asked for.
pub(crate) enum CommandKind {
    /// This component in this role.
    Put(Role, Bytes),
    /// The folder's own component in this role.
    Delete(Role),
    /// The version before.
    Rollback,
}

/// A change that somebody waits for.
pub(crate) struct Command {
    pub(crate) app: String,
    pub(crate) kind: CommandKind,
    pub(crate) reply: oneshot::Sender<Result<Arc<Version>, ChangeError>>,
}

/// A load that has ended, whatever has become of it.
pub(crate) struct Done {
    /// Which one.
    pub(crate) load: u64,
    pub(crate) name: String,
    /// The app, which its thread has had to itself.
    pub(crate) kept: Box<ManagedApp>,
    /// True when another version serves.
    pub(crate) changed: bool,
    /// What is replied to whoever asked for it.
    pub(crate) result: Option<Result<Arc<Version>, ChangeError>>,
}

impl Command {
    /// The bytes that it holds.
    pub(crate) fn bytes(&self) -> u64 {
        match &self.kind {
            CommandKind::Put(_, bytes) => bytes.len() as u64,
            CommandKind::Delete(_) | CommandKind::Rollback => 0,
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
    Command(Command),
    /// A load has ended.
    Done(Done),
    /// Nothing came.
    Idle,
}

#[derive(Default)]
struct Waiting {
    closing: bool,
    reload: bool,
    changed: bool,
    orders: VecDeque<Command>,
    /// The bytes of orders that are under way.
    under_way: u64,
    done: VecDeque<Done>,
    /// How often somebody has asked to be told when nothing is left to do; the first to ask is the start.
    asked: u64,
}

/// It is filled by anyone, and emptied by the keeper.
pub(crate) struct CommandQueue {
    waiting: Mutex<Waiting>,
    woken: Condvar,
    most_bytes: u64,
    /// Up to which of these questions the answer is yes.
    idle: watch::Sender<u64>,
}

impl CommandQueue {
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

    /// Something may have changed. Wakes the keeper only the first time, however often it is told.
    pub(crate) fn changed(&self) {
        if !std::mem::replace(&mut self.lock().changed, true) {
            self.woken.notify_all();
        }
    }

    /// A load has ended.
    pub(crate) fn done(&self, done: Done) {
        self.tell(|waiting| waiting.done.push_back(done));
    }

    /// An order of so many bytes has been seen to.
    pub(crate) fn release(&self, bytes: u64) {
        self.tell(|waiting| waiting.under_way = waiting.under_way.saturating_sub(bytes));
    }

    pub(crate) fn reload(&self) {
        self.tell(|waiting| waiting.reload = true);
    }

    /// Ends the keeper.
    pub(crate) fn close(&self) {
        self.tell(|waiting| {
            waiting.closing = true;
            waiting.orders.clear();
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

    /// Takes an order.
    ///
    /// # Errors
    /// Too many that wait, or a server that ends.
    pub(crate) fn order(&self, order: Command) -> Result<(), ChangeError> {
        let mut waiting = self.lock();
        let bytes: u64 = waiting.under_way + waiting.orders.iter().map(Command::bytes).sum::<u64>();
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

    /// A load that ends until then, once the inbox is closed.
    pub(crate) fn last_done(&self, until: Instant) -> Option<Done> {
        let mut waiting = self.lock();
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match waiting.done.pop_front() {
                None if !left.is_zero() => {
                    waiting = self.woken.wait_timeout(waiting, left).unwrap_or_else(PoisonError::into_inner).0;
                }
                done => return done,
            }
        }
    }

    /// The next signal, waited for as `until` says. Changes of files are not told before `rested`; of orders the first one
    /// whose app `is_free`.
    pub(crate) fn next(&self, until: Until, rested: Instant, is_free: impl Fn(&str) -> bool) -> Signal {
        let mut waiting = self.lock();
        loop {
            if waiting.closing {
                return Signal::Close;
            }
            if let Some(done) = waiting.done.pop_front() {
                return Signal::Done(done);
            }
            if std::mem::take(&mut waiting.reload) {
                return Signal::Reload;
            }
            let now = Instant::now();
            if waiting.changed && now >= rested {
                waiting.changed = false;
                return Signal::Changed;
            }
            let free = waiting.orders.iter().position(|order| is_free(&order.app));
            if let Some(order) = free.and_then(|at| waiting.orders.remove(at)) {
                waiting.under_way += order.bytes();
                return Signal::Command(order);
            }
            let at = match until {
                Until::Held(at) => Some(at),
                Until::Told(at) => {
                    if !waiting.changed && waiting.orders.is_empty() {
                        self.idle.send_replace(waiting.asked);
                    }
                    at
                }
            };
            let rested = waiting.changed.then_some(rested);
            let at = at.into_iter().chain(rested).min();
            waiting = match at.map(|at| at.saturating_duration_since(now)) {
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
    /// Something is under way, or settles, until then at least.
    Held(Instant),
    /// It has nothing to do until it is told, or until then.
    Told(Option<Instant>),
}
