//! The queue of the reconciler: changes of files, commands, and ended loads.
//! The queue is bounded, and nobody waits on it while holding a lock.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use frond_root::sync::lock;
use tokio::sync::watch;

use super::command::Command;
use super::error::ChangeError;
use super::managed::ManagedApp;
use super::version::Version;

/// The most commands that may be queued.
const MAX_COMMANDS: usize = 16;
/// Limit of the component bytes in queued and running commands, in units of the largest component.
const MAX_LARGE: u64 = 5;

/// The first idle request: the reconciler's start.
const START: u64 = 1;

/// A load that has ended, successfully or not.
pub(crate) struct Done {
    /// The load's number.
    pub(crate) load: u64,
    pub(crate) name: String,
    /// The app, given back by the load's thread, which owned it.
    pub(crate) kept: Box<ManagedApp>,
    /// True if another version serves now.
    pub(crate) changed: bool,
    /// The result for the sender of the command, if the load was for a command.
    pub(crate) result: Option<Result<Arc<Version>, ChangeError>>,
}

/// The reason why the reconciler wakes up.
pub(crate) enum Signal {
    /// The server is stopping.
    Close,
    /// Check all apps again, also the refused changes.
    Reload,
    /// Something may have changed.
    Changed,
    /// A command, whose sender waits.
    Command(Command),
    /// A load has ended.
    Done(Done),
    /// The wait timed out.
    Idle,
}

/// Pending work of the reconciler: commands, changes, finished loads.
#[derive(Default)]
struct Waiting {
    closing: bool,
    reload: bool,
    changed: bool,
    commands: VecDeque<Command>,
    /// The component bytes of running commands.
    running_bytes: u64,
    done: VecDeque<Done>,
    /// Number of idle requests so far; the start counts as the first.
    idle_requests: u64,
}

/// Queue of commands and changes: filled from any thread, emptied by the reconciler.
pub(crate) struct CommandQueue {
    waiting: Mutex<Waiting>,
    woken: Condvar,
    most_bytes: u64,
    /// The number up to which idle requests are answered.
    idle: watch::Sender<u64>,
}

impl CommandQueue {
    /// Creates a queue for components of at most `component_bytes` bytes.
    pub(crate) fn new(component_bytes: u64) -> Self {
        let most_bytes = component_bytes.saturating_mul(MAX_LARGE);
        let waiting = Mutex::new(Waiting { idle_requests: START, ..Waiting::default() });
        Self { waiting, woken: Condvar::new(), most_bytes, idle: watch::Sender::new(0) }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        lock(&self.waiting)
    }

    fn tell(&self, what: impl FnOnce(&mut Waiting)) {
        what(&mut self.lock());
        self.woken.notify_all();
    }

    /// Reports that something may have changed. Wakes the reconciler only the first time.
    pub(crate) fn changed(&self) {
        if !std::mem::replace(&mut self.lock().changed, true) {
            self.woken.notify_all();
        }
    }

    /// Reports that a load has ended.
    pub(crate) fn done(&self, done: Done) {
        self.tell(|waiting| waiting.done.push_back(done));
    }

    /// Releases the bytes of a command that has been carried out.
    pub(crate) fn release(&self, bytes: u64) {
        self.tell(|waiting| waiting.running_bytes = waiting.running_bytes.saturating_sub(bytes));
    }

    pub(crate) fn reload(&self) {
        self.tell(|waiting| waiting.reload = true);
    }

    /// Ends the reconciler.
    pub(crate) fn close(&self) {
        self.tell(|waiting| {
            waiting.closing = true;
            waiting.commands.clear();
        });
        self.idle.send_replace(u64::MAX);
    }

    /// Waits until everything reported so far has been processed, or the queue is closed.
    pub(crate) async fn settled(&self) {
        let mine = self.ask();
        self.answered(mine).await;
    }

    /// Waits until everything that was there at the start has been processed.
    pub(crate) async fn ready(&self) {
        self.answered(START).await;
    }

    pub(crate) fn is_ready(&self) -> bool {
        *self.idle.borrow() >= START
    }

    async fn answered(&self, request: u64) {
        // Waiting cannot fail while `self` holds the sender.
        let _ = self.idle.subscribe().wait_for(|answered| *answered >= request).await;
    }

    fn ask(&self) -> u64 {
        let mut waiting = self.lock();
        waiting.idle_requests += 1;
        self.woken.notify_all();
        waiting.idle_requests
    }

    /// Enqueues a command.
    ///
    /// # Errors
    /// [`ChangeError::Busy`] if too many commands wait, [`ChangeError::Stopping`] if the server is
    /// stopping.
    pub(crate) fn order(&self, order: Command) -> Result<(), ChangeError> {
        let mut waiting = self.lock();
        let bytes: u64 = waiting.running_bytes + waiting.commands.iter().map(Command::bytes).sum::<u64>();
        if waiting.closing {
            return Err(ChangeError::Stopping);
        }
        if waiting.commands.len() >= MAX_COMMANDS || bytes.saturating_add(order.bytes()) > self.most_bytes {
            return Err(ChangeError::Busy);
        }
        waiting.commands.push_back(order);
        drop(waiting);
        self.woken.notify_all();
        Ok(())
    }

    /// Number of queued commands.
    pub(crate) fn orders(&self) -> usize {
        self.lock().commands.len()
    }

    /// The next load that ends before `until`, once the queue is closed.
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

    /// Waits for the next signal, as `until` says.
    /// Changes of files are not reported before `rested`. The first command whose app `is_free` is
    /// returned.
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
            let free = waiting.commands.iter().position(|order| is_free(&order.app));
            if let Some(order) = free.and_then(|at| waiting.commands.remove(at)) {
                waiting.running_bytes += order.bytes();
                return Signal::Command(order);
            }
            let at = match until {
                Until::Held(at) => Some(at),
                Until::Told(at) => {
                    if !waiting.changed && waiting.commands.is_empty() {
                        self.idle.send_replace(waiting.idle_requests);
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

/// Time for which the reconciler waits for a signal.
#[derive(Clone, Copy)]
pub(crate) enum Until {
    /// Work is in progress or settling, at least until this time.
    Held(Instant),
    /// Nothing to do before a signal, or before this time.
    Told(Option<Instant>),
}
