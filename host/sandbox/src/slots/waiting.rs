//! Leaves that wait without a thread: how many there may be, and their ends. A thread of its own
//! ends those whose time is up or whose query is over: every slot may be busy at that moment.

use std::collections::{BTreeMap, HashMap};
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::{self, Thread};
use std::time::Instant;

use frond_root::sync::lock;

use crate::clock::Clock;
use crate::park::Driver;

/// Default of the most leaves that wait, for each slot.
pub const WAITING: usize = 256;
/// Default bound on the memory of waiting leaves, in bytes.
pub const WAITING_MEMORY: u64 = 1 << 30;
/// Divisor: this part of the waiting leaves are other callers'.
const OTHERS: usize = 4;
/// Memory mappings of the process that a waiting leaf takes: its memory, table, stack and their
/// guards.
const MAPPINGS: usize = 9;
/// Divisor: waiting leaves take at most this part of the mappings that the system allows.
const OF_MAPPINGS: usize = 2;
/// Bytes of a page, the unit of the system's count of resident memory.
const PAGE: u64 = 4096;
/// Bytes that a waiting leaf is taken to hold on a system that does not tell.
const ASSUMED: u64 = 1 << 20;

/// Bounds on the leaves that wait without a slot. Beyond them a leaf waits in its slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaitLimits {
    /// Most waiting leaves for each slot, as far as the system has memory mappings for them; one
    /// caller has at most three quarters of all.
    pub leaves: usize,
    /// Most bytes by which the process's resident memory may have grown, since a leaf waited alone,
    /// for another one to wait.
    pub memory: u64,
}

impl Default for WaitLimits {
    fn default() -> Self {
        Self { leaves: WAITING, memory: WAITING_MEMORY }
    }
}

/// Task whose call waits.
pub(super) trait WaitingTask: Send + Sync {
    /// Returns the name of its query's caller.
    fn caller(&self) -> Arc<str>;

    /// Returns the instant by which the call ends.
    fn until(&self) -> Instant;

    /// Returns true if the call must stop before that.
    fn must_stop(&self) -> bool;

    /// Ends a call whose time is up or that must stop.
    fn end(&self, driver: &Driver);

    /// Drops the call.
    fn discard(&self);
}

/// Leaves that wait, and the thread that ends them.
pub(super) struct Waiting {
    list: Mutex<WaitList>,
    /// Most tasks.
    most: usize,
    memory: u64,
    /// Number of slots.
    slots: usize,
    /// True once some query is over, until its tasks have been ended.
    is_stopped: AtomicBool,
    is_closing: AtomicBool,
    thread: OnceLock<Thread>,
}

/// Waiting tasks, by the instant by which they end, and their number by caller.
#[derive(Default)]
struct WaitList {
    tasks: BTreeMap<Key, Arc<dyn WaitingTask>>,
    callers: HashMap<Arc<str>, usize>,
    /// Number of slots in which a call waits that found no room here.
    occupied: usize,
    /// Resident memory when the first of the current tasks began to wait, in bytes.
    before: u64,
    /// True from when the memory is used up until a task goes.
    is_memory_full: bool,
    /// True once the pool has ended: nothing is added any more.
    is_closed: bool,
}

/// Key of a task: its end, and its address.
type Key = (Instant, usize);

fn key<T: WaitingTask + ?Sized>(task: &T) -> Key {
    (task.until(), std::ptr::from_ref(task).addr())
}

impl Waiting {
    /// Makes an empty list for `slots` slots.
    pub(super) fn new(slots: usize, limits: WaitLimits) -> Self {
        Self {
            list: Mutex::default(),
            most: limits.leaves.saturating_mul(slots).min(mappable()),
            memory: limits.memory,
            slots,
            is_stopped: AtomicBool::new(false),
            is_closing: AtomicBool::new(false),
            thread: OnceLock::new(),
        }
    }

    /// Returns the most tasks.
    pub(super) fn most(&self) -> usize {
        self.most
    }

    /// Returns the number of tasks.
    pub(super) fn count(&self) -> usize {
        lock(&self.list).tasks.len()
    }

    /// Returns true if a task of this caller would find room. One caller leaves a part to others.
    pub(super) fn has_room(&self, caller: &str) -> bool {
        self.has_room_in(&lock(&self.list), caller)
    }

    /// Ends the wait of a call in its slot.
    pub(super) fn leave_slot(&self) {
        lock(&self.list).occupied -= 1;
    }

    fn has_room_in(&self, list: &WaitList, caller: &str) -> bool {
        let own = list.callers.get(caller).copied().unwrap_or(0);
        list.tasks.len() < self.most && own < self.most - self.most / OTHERS && !list.is_memory_full && !list.is_closed
    }

    /// Adds a task and returns true, if there is room. Without room it waits in its slot, until
    /// [`Waiting::leave_slot`]; but it does not take the last slot from leaves that compute: one
    /// beyond the bounds is better than a pool that stands still.
    pub(super) fn add(&self, task: Arc<impl WaitingTask + 'static>) -> bool {
        let caller = task.caller();
        let until = task.until();
        let mut list = lock(&self.list);
        list.look_at_memory(self.memory);
        if !self.has_room_in(&list, &caller) && !self.is_last_slot(&list) {
            list.occupied += 1;
            return false;
        }
        let is_first = list.tasks.first_key_value().is_none_or(|(first, _)| until < first.0);
        list.tasks.insert(key(&*task), task);
        *list.callers.entry(caller).or_default() += 1;
        drop(list);
        if is_first {
            self.wake();
        }
        true
    }

    /// Returns true if calls that wait occupy all slots but one.
    fn is_last_slot(&self, list: &WaitList) -> bool {
        self.most > 0 && !list.is_closed && list.occupied + 1 >= self.slots
    }

    /// Removes a task. Returns true if there was no room for another one of its caller until now.
    pub(super) fn remove(&self, task: &impl WaitingTask) -> bool {
        let caller = task.caller();
        let mut list = lock(&self.list);
        let was_full = !self.has_room_in(&list, &caller);
        if list.tasks.remove(&key(task)).is_some()
            && let Some(count) = list.callers.get_mut(&caller)
        {
            *count -= 1;
            if *count == 0 {
                list.callers.remove(&caller);
            }
        }
        list.is_memory_full = false;
        was_full
    }

    /// Ends the tasks of the queries that are over.
    pub(super) fn stop(&self) {
        self.is_stopped.store(true, Ordering::SeqCst);
        self.wake();
    }

    /// Drops all tasks, and ends the thread.
    pub(super) fn close(&self) {
        self.is_closing.store(true, Ordering::SeqCst);
        self.wake();
    }

    /// Ends tasks in time until the list is closed. Calls `nudge` after it has ended some: for a
    /// moment they had places that a slot may have been refused.
    pub(super) fn run(&self, clock: &Clock, nudge: impl Fn()) {
        let _ = self.thread.set(thread::current());
        let driver = Driver::new(clock.watch());
        while !self.is_closing.load(Ordering::SeqCst) {
            let due = self.due();
            // A bug in the host or in a source costs only the attempt.
            for task in &due {
                let _panic = panic::catch_unwind(AssertUnwindSafe(|| task.end(&driver)));
            }
            if !due.is_empty() {
                nudge();
            }
            let next = lock(&self.list).tasks.first_key_value().map(|(key, _)| key.0);
            match next {
                _ if self.is_stopped.load(Ordering::SeqCst) => {}
                Some(next) => thread::park_timeout(next.saturating_duration_since(Instant::now())),
                None => thread::park(),
            }
        }
        let mut list = lock(&self.list);
        list.is_closed = true;
        let all: Vec<_> = list.tasks.values().cloned().collect();
        drop(list);
        for task in all {
            let _panic = panic::catch_unwind(AssertUnwindSafe(|| task.discard()));
        }
    }

    /// Returns the tasks whose time is up or that must stop.
    fn due(&self) -> Vec<Arc<dyn WaitingTask>> {
        let now = Instant::now();
        let stopped = self.is_stopped.swap(false, Ordering::SeqCst);
        let list = lock(&self.list);
        let tasks = &list.tasks;
        let late = tasks.range(..(now, usize::MAX)).map(|(_, task)| task);
        let mut due: Vec<_> = late.cloned().collect();
        if stopped {
            let others = tasks.range((now, usize::MAX)..).map(|(_, task)| task);
            due.extend(others.filter(|task| task.must_stop()).cloned());
        }
        due
    }

    fn wake(&self) {
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }
}

impl WaitList {
    /// Notes whether the memory is used up.
    fn look_at_memory(&mut self, most: u64) {
        let count = self.tasks.len() as u64;
        let resident = resident().unwrap_or(count * ASSUMED);
        if count == 0 {
            self.before = resident;
        }
        self.is_memory_full = resident.saturating_sub(self.before) > most;
    }
}

/// Returns the most leaves whose memory mappings the system allows, in a process that has others.
fn mappable() -> usize {
    let text = frond_files::read(Path::new("/proc/sys/vm/max_map_count"), 64).unwrap_or_default();
    let most = std::str::from_utf8(&text).ok().and_then(|text| text.trim().parse::<usize>().ok());
    most.map_or(usize::MAX, |most| most / OF_MAPPINGS / MAPPINGS)
}

/// Returns the resident memory of this process in bytes, if the system tells.
fn resident() -> Option<u64> {
    let text = frond_files::read(Path::new("/proc/self/statm"), 256).ok()?;
    let pages: u64 = std::str::from_utf8(&text).ok()?.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * PAGE)
}
