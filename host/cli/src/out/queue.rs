//! A bounded queue of lines, written by a thread of its own: when their reader is slow, or the disk is full, lines are
//! left out and counted, and nobody waits.

use std::io::Write;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The most bytes of lines that wait to be written.
pub(crate) const CAPACITY: usize = 4 << 20;
/// The most bytes that one system call writes.
const CHUNK: usize = 64 << 10;

/// The text that stands in for so many lines that are missing, without a line end.
pub(crate) type Notice = fn(u64) -> String;

/// The queue.
pub(crate) struct Queue {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    notice: Notice,
}

#[derive(Default)]
struct State {
    waiting: Vec<Entry>,
    /// Bytes of the lines that wait.
    size: usize,
    closed: bool,
    /// The thread has ended.
    done: bool,
    /// Lines lost so far.
    lost: u64,
    /// Hears of each loss.
    heard: Option<Box<dyn Fn(u64) + Send>>,
}

enum Entry {
    /// A line, with its end.
    Line(String),
    /// Number of lines for which there was no room.
    Gap(u64),
}

impl State {
    fn lose(&mut self, lines: u64) {
        self.lost = self.lost.saturating_add(lines);
        if let Some(heard) = &self.heard {
            heard(lines);
        }
    }

    fn skip(&mut self) {
        match self.waiting.last_mut() {
            Some(Entry::Gap(lines)) => *lines += 1,
            _ => self.waiting.push(Entry::Gap(1)),
        }
        self.lose(1);
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    /// Starts the thread that writes to `out`. Without a thread every line is lost.
    pub(crate) fn new(out: impl Write + Send + 'static, notice: Notice) -> Self {
        let shared = Arc::new(Shared { state: Mutex::default(), changed: Condvar::new(), notice });
        let of_thread = Arc::clone(&shared);
        let work = move || {
            Writer { out, lost: 0, broken: false }.run(&of_thread);
            of_thread.state().done = true;
            of_thread.changed.notify_all();
        };
        let thread = std::thread::Builder::new().name("lines".to_owned()).spawn(work);
        Self { shared, thread: Mutex::new(thread.ok()) }
    }

    /// Adds a line, which may have several within. One that is `vital` comes through even when there is no room.
    pub(crate) fn push(&self, line: &str, vital: bool) {
        let mut state = self.shared.state();
        if state.closed {
            return;
        }
        if state.size.saturating_add(line.len()) >= CAPACITY && !vital {
            state.skip();
            return;
        }
        state.size += line.len() + 1;
        state.waiting.push(Entry::Line(format!("{line}\n")));
        drop(state);
        self.shared.changed.notify_all();
    }

    /// Tells `heard` of all lines that are lost, those lost so far included.
    pub(crate) fn tell_losses(&self, heard: impl Fn(u64) + Send + 'static) {
        let mut state = self.shared.state();
        heard(state.lost);
        state.heard = Some(Box::new(heard));
    }

    /// Writes all that waits, however long that takes, and no more.
    pub(crate) fn close(&self) {
        self.shared.state().closed = true;
        self.shared.changed.notify_all();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // It can only have panicked in the writer, which is then of no use any more.
            let _ = thread.join();
        }
    }

    /// Writes what can be written within `time`, and no more.
    pub(crate) fn close_within(&self, time: Duration) {
        let until = Instant::now() + time;
        let mut state = self.shared.state();
        state.closed = true;
        self.shared.changed.notify_all();
        while !state.done {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            state = self.shared.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// The thread's side of the queue.
struct Writer<W> {
    out: W,
    /// Lines that are lost, and of which nobody has read yet.
    lost: u64,
    /// The last that was written is a part of a line.
    broken: bool,
}

impl<W: Write> Writer<W> {
    fn run(&mut self, shared: &Shared) {
        let mut state = shared.state();
        loop {
            let ready = std::mem::take(&mut state.waiting);
            state.size = 0;
            if ready.is_empty() {
                if state.closed {
                    return;
                }
                state = shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            drop(state);
            self.write(ready, shared);
            state = shared.state();
        }
    }

    fn write(&mut self, ready: Vec<Entry>, shared: &Shared) {
        let mut chunk = String::new();
        for entry in ready {
            match entry {
                Entry::Line(line) => chunk.push_str(&line),
                Entry::Gap(lines) => {
                    self.write_chunk(&mut chunk, shared);
                    self.lost += lines;
                }
            }
            if chunk.len() >= CHUNK {
                self.write_chunk(&mut chunk, shared);
            }
        }
        self.write_chunk(&mut chunk, shared);
    }

    /// Writes the notice of what was lost, then the lines. Those that cannot be written are lost, too.
    fn write_chunk(&mut self, lines: &mut String, shared: &Shared) {
        let lines = std::mem::take(lines);
        let told = self.tell(shared);
        let unwritten = if told { self.put(lines.as_bytes()) } else { lines.as_bytes() };
        let lost = unwritten.iter().filter(|byte| **byte == b'\n').count() as u64;
        if lost > 0 {
            self.lost += lost;
            shared.state().lose(lost);
        }
    }

    /// True unless there is something to say of lost lines that cannot be written.
    fn tell(&mut self, shared: &Shared) -> bool {
        if self.lost == 0 {
            return true;
        }
        let end = if self.broken { "\n" } else { "" };
        let notice = format!("{end}{}\n", (shared.notice)(self.lost));
        let whole = self.put(notice.as_bytes()).is_empty();
        if whole {
            self.lost = 0;
        }
        whole
    }

    /// Writes as much as can be written; returns the rest.
    fn put<'a>(&mut self, text: &'a [u8]) -> &'a [u8] {
        let mut rest = text;
        while !rest.is_empty() {
            match self.out.write(rest) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                // There is nobody to tell of the error; the lines are counted.
                Ok(0) | Err(_) => break,
                Ok(written) => {
                    let (done, after) = rest.split_at(written.min(rest.len()));
                    self.broken = done.last() != Some(&b'\n');
                    rest = after;
                }
            }
        }
        let _ = self.out.flush();
        rest
    }
}

#[cfg(test)]
mod tests;
