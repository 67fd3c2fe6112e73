//! Leaf calls as tasks. A slot thread polls a call until it ends or waits for something outside; a
//! call that waits needs no thread. Once woken, it goes on in any slot, before new calls of its
//! query.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::task::{Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use frond_root::sync::lock;
use frond_root::waits::Waits;
use frond_root::{Attempt, AttemptId, Work};

use super::waiting::{Waiting, WaitingTask};
use crate::component::Plugin;
use crate::park::Driver;
use crate::permits::WaitPermit;

/// Leaf call that can be polled on any thread.
pub(super) type LeafCall = Pin<Box<dyn Future<Output = Ran> + Send>>;

/// Time after which a leaf that waits in its slot looks again for room to wait elsewhere.
const AGAIN: Duration = Duration::from_millis(10);

/// End of a leaf's call.
#[derive(Default)]
pub(super) struct Ran {
    /// The attempt, if it was given up only because it must not occupy this thread.
    pub(super) left: Option<Attempt>,
    /// Slot that now keeps the instance, and the instance's size in memories.
    pub(super) kept: Option<(usize, u32)>,
}

/// Receiver of news for idle threads: there is something to claim.
pub(super) trait Nudge: Send + Sync {
    /// Wakes an idle thread, if there is one.
    fn nudge(&self);
}

/// Woken tasks of one query, the first one first.
pub(super) struct WokenTasks {
    tasks: Mutex<VecDeque<Arc<Task>>>,
    count: AtomicUsize,
    /// Number of the query's tasks that wait or are woken.
    waiting: AtomicUsize,
    pool: Weak<dyn Nudge>,
}

impl WokenTasks {
    /// Makes an empty queue, whose tasks wake threads of `pool`.
    pub(super) fn new(pool: Weak<dyn Nudge>) -> Self {
        Self { tasks: Mutex::default(), count: AtomicUsize::new(0), waiting: AtomicUsize::new(0), pool }
    }

    /// Returns true if there may be a task.
    pub(super) fn has_some(&self) -> bool {
        self.count.load(Ordering::SeqCst) > 0
    }

    /// Returns true if a task of the query waits.
    pub(super) fn is_waiting(&self) -> bool {
        self.waiting.load(Ordering::SeqCst) > 0
    }

    /// Takes the first task.
    pub(super) fn take(&self) -> Option<Arc<Task>> {
        let task = self.has_some().then(|| lock(&self.tasks).pop_front()).flatten()?;
        self.count.fetch_sub(1, Ordering::SeqCst);
        Some(task)
    }

    fn push(&self, task: Arc<Task>) {
        lock(&self.tasks).push_back(task);
        self.count.fetch_add(1, Ordering::SeqCst);
        self.nudge();
    }

    fn nudge(&self) {
        if let Some(pool) = self.pool.upgrade() {
            pool.nudge();
        }
    }
}

/// Call of a leaf, and its wake-ups.
pub(super) struct Task {
    work: Arc<dyn Work>,
    id: AttemptId,
    /// Instant by which the call ends.
    until: Instant,
    plugin: Arc<Plugin>,
    /// Queue of its query, which may hold this task.
    woken: Weak<WokenTasks>,
    waiting: Arc<Waiting>,
    state: Mutex<State>,
    /// Times without a slot.
    waits: Mutex<Waits>,
}

/// State of a task.
enum State {
    /// A thread polls the call, or sleeps until it can poll it again.
    Running { is_woken: bool, sleeper: Option<Thread> },
    /// The call waits without a thread.
    Waiting(WaitingCall),
    /// The call has been woken and is in its query's queue.
    Woken(WaitingCall),
}

/// RAII guard of a slot in which a call waits, for want of room elsewhere.
pub(super) struct OccupiedSlot(Arc<Waiting>);

impl Drop for OccupiedSlot {
    fn drop(&mut self) {
        self.0.leave_slot();
    }
}

/// Call without a thread, with its permit to wait.
struct WaitingCall {
    call: LeafCall,
    since: Instant,
    permit: WaitPermit,
}

impl State {
    const RUNNING: Self = Self::Running { is_woken: false, sleeper: None };
}

impl Task {
    /// Makes the task of a call that this thread is about to poll.
    pub(super) fn new(
        (work, id, until): (Arc<dyn Work>, AttemptId, Instant),
        plugin: &Arc<Plugin>,
        woken: &Arc<WokenTasks>,
        waiting: &Arc<Waiting>,
    ) -> Arc<Self> {
        let state = Mutex::new(State::RUNNING);
        Arc::new(Self {
            work,
            id,
            until,
            plugin: plugin.clone(),
            woken: Arc::downgrade(woken),
            waiting: waiting.clone(),
            state,
            waits: Mutex::default(),
        })
    }

    /// Returns the instant by which the call ends.
    pub(super) fn until(&self) -> Instant {
        self.until
    }

    /// Takes the times that the call has been without a slot.
    pub(super) fn take_waits(&self) -> Waits {
        std::mem::take(&mut *lock(&self.waits))
    }

    /// Lets a pending call wait without a thread, if there is room; otherwise returns it, with the
    /// slot in which it waits.
    pub(super) fn leave(self: &Arc<Self>, call: LeafCall) -> Option<(LeafCall, Option<OccupiedSlot>)> {
        let Some(permit) = self.plugin.wait_permit() else { return Some((call, None)) };
        let mut state = lock(&self.state);
        if !self.waiting.add(self.clone()) {
            return Some((call, Some(OccupiedSlot(self.waiting.clone()))));
        }
        self.work.wait(self.id);
        let queue = self.woken.upgrade();
        if let Some(queue) = &queue {
            queue.waiting.fetch_add(1, Ordering::SeqCst);
        }
        let is_woken = matches!(*state, State::Running { is_woken: true, .. });
        let call = WaitingCall { call, since: Instant::now(), permit };
        *state = if is_woken { State::Woken(call) } else { State::Waiting(call) };
        drop(state);
        if let Some(queue) = queue.filter(|_| is_woken) {
            queue.push(self.clone());
        }
        if self.must_stop() {
            // The query ended just before: its end did not find this task.
            self.waiting.stop();
        }
        None
    }

    /// Takes the call of a task that waits or has been woken, to poll it on this thread. `None` if
    /// another thread has taken it.
    pub(super) fn resume(&self) -> Option<LeafCall> {
        let mut state = lock(&self.state);
        let call = match std::mem::replace(&mut *state, State::RUNNING) {
            State::Waiting(waiting) | State::Woken(waiting) => waiting,
            running @ State::Running { .. } => {
                *state = running;
                return None;
            }
        };
        drop(state);
        self.work.resume(self.id);
        // Before the nudge: whoever is nudged must find the room.
        let had_no_permit = !self.plugin.has_wait_room();
        let WaitingCall { call, since, permit } = call;
        drop(permit);
        let was_full = self.waiting.remove(self) || had_no_permit;
        if let Some(queue) = self.woken.upgrade() {
            queue.waiting.fetch_sub(1, Ordering::SeqCst);
            if was_full {
                queue.nudge();
            }
        }
        lock(&self.waits).add(since.into(), Instant::now().into());
        Some(call)
    }

    /// Sleeps until the running call is woken, or returns early.
    pub(super) fn sleep(&self) {
        let set = |thread: Option<Thread>| match &mut *lock(&self.state) {
            State::Running { is_woken, sleeper } => {
                *sleeper = thread;
                std::mem::take(is_woken)
            }
            State::Waiting(..) | State::Woken(..) => true,
        };
        if !set(Some(thread::current())) {
            // It may find room to wait elsewhere before it is woken.
            thread::park_timeout(self.until.saturating_duration_since(Instant::now()).min(AGAIN));
            set(None);
        }
    }
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let mut state = lock(&self.state);
        match std::mem::replace(&mut *state, State::RUNNING) {
            State::Running { sleeper, .. } => {
                if let Some(sleeper) = &sleeper {
                    sleeper.unpark();
                }
                *state = State::Running { is_woken: true, sleeper };
            }
            State::Waiting(call) => {
                *state = State::Woken(call);
                drop(state);
                if let Some(queue) = self.woken.upgrade() {
                    queue.push(self.clone());
                }
            }
            woken @ State::Woken(..) => *state = woken,
        }
    }
}

impl WaitingTask for Task {
    fn caller(&self) -> Arc<str> {
        self.work.tenant().caller.clone()
    }

    fn until(&self) -> Instant {
        self.until
    }

    fn must_stop(&self) -> bool {
        self.work.stop(self.id).is_some()
    }

    fn end(&self, driver: &Driver) {
        if let Some(mut call) = self.resume() {
            // The call is over, so the guest is unwound and does not run on.
            let _ended = driver.poll(call.as_mut(), Waker::noop(), self.until);
        }
    }

    fn discard(&self) {
        drop(self.resume());
    }
}
