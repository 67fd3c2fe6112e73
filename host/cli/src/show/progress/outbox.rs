//! A bounded buffer between the query's task and a thread that writes: when the reader of our stderr is slow, lines are
//! left out and counted, and the query goes on.

use std::io::Write;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// The most bytes that wait to be written.
pub(super) const CAPACITY: usize = 4 << 20;

pub(super) struct Outbox {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    /// Says that lines are missing, and how many.
    missed: fn(u64) -> String,
}

#[derive(Default)]
struct State {
    waiting: String,
    missed: u64,
    closed: bool,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Outbox {
    pub(super) fn new(out: impl Write + Send + 'static, missed: fn(u64) -> String) -> Self {
        let shared = Arc::new(Shared { state: Mutex::default(), changed: Condvar::new(), missed });
        let of_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("progress".to_owned()).spawn(move || write(&of_thread, out));
        Self { shared, thread: Mutex::new(thread.ok()) }
    }

    /// Adds a line. One that is `vital` comes through even when there is no room.
    pub(super) fn push(&self, line: &str, vital: bool) {
        let mut state = self.shared.state();
        if state.closed {
            return;
        }
        if state.waiting.len().saturating_add(line.len()) >= CAPACITY && !vital {
            state.missed += 1;
            return;
        }
        if state.missed > 0 {
            let missed = (self.shared.missed)(std::mem::take(&mut state.missed));
            state.waiting.push_str(&missed);
            state.waiting.push('\n');
        }
        state.waiting.push_str(line);
        state.waiting.push('\n');
        drop(state);
        self.shared.changed.notify_one();
    }

    /// Writes all that waits, and no more.
    pub(super) fn close(&self) {
        self.shared.state().closed = true;
        self.shared.changed.notify_all();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // It can only have panicked in the writer, which is then of no use any more.
            let _ = thread.join();
        }
    }
}

fn write(shared: &Shared, mut out: impl Write) {
    let mut state = shared.state();
    loop {
        let mut ready = std::mem::take(&mut state.waiting);
        if state.closed && state.missed > 0 {
            ready.push_str(&(shared.missed)(std::mem::take(&mut state.missed)));
            ready.push('\n');
        }
        if !ready.is_empty() {
            drop(state);
            // A closed stderr is no reason to stop the query, and there is nobody left to tell.
            let _ = out.write_all(ready.as_bytes()).and_then(|()| out.flush());
            state = shared.state();
        } else if state.closed {
            return;
        } else {
            state = shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}
