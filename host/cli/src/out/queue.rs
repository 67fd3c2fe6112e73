//! A bounded FIFO queue of lines, written by a separate thread. When the reader is slow or the disk
//! is full, lines are dropped and counted, and no caller blocks.

use std::io::Write;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Limit on the bytes of queued lines.
pub(crate) const CAPACITY: usize = 4 << 20;
/// Limit on the bytes of one system call.
const CHUNK: usize = 64 << 10;

/// Formats the notice of a number of lost lines, without a line feed.
pub(crate) type Notice = fn(u64) -> String;

/// A bounded queue of lines.
pub(crate) struct Queue {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// Queue as its users and its thread share it.
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    notice: Notice,
}

/// Queued lines, and whether the queue is closed.
#[derive(Default)]
struct State {
    waiting: Vec<Entry>,
    /// Bytes of the queued lines.
    size: usize,
    closed: bool,
    /// True once the thread has ended.
    done: bool,
    /// Number of lines lost so far.
    lost: u64,
    /// Called with the number of lines at each loss.
    on_loss: Option<Box<dyn Fn(u64) + Send>>,
}

/// One entry of the queue.
enum Entry {
    /// A line, with its line feed.
    Line(String),
    /// Number of lines dropped because the queue was full.
    Gap(u64),
}

impl State {
    fn lose(&mut self, lines: u64) {
        self.lost = self.lost.saturating_add(lines);
        if let Some(on_loss) = &self.on_loss {
            on_loss(lines);
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
    /// Starts the thread that writes to `out`. If no thread can be started, every line is lost.
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

    /// Queues a line, which may contain line feeds. A `vital` line is queued even beyond the limit.
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

    /// Calls `on_loss` at each loss with the number of lines, starting with those lost so far.
    pub(crate) fn tell_losses(&self, on_loss: impl Fn(u64) + Send + 'static) {
        let mut state = self.shared.state();
        on_loss(state.lost);
        state.on_loss = Some(Box::new(on_loss));
    }

    /// Closes the queue, and waits until all queued lines are written.
    pub(crate) fn close(&self) {
        self.shared.state().closed = true;
        self.shared.changed.notify_all();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // The thread can only have panicked in the writer, which is then of no further use.
            let _ = thread.join();
        }
    }

    /// Closes the queue, and waits at most `time` for the queued lines to be written.
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
    /// Lost lines that no notice has reported yet.
    lost: u64,
    /// True after an incomplete write: the output ends in the middle of a line.
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

    /// Writes the notice of lost lines, then the lines. Lines that cannot be written are lost too.
    fn write_chunk(&mut self, lines: &mut String, shared: &Shared) {
        let lines = std::mem::take(lines);
        let announced = self.tell(shared);
        let unwritten = if announced { self.put(lines.as_bytes()) } else { lines.as_bytes() };
        let lost = unwritten.iter().filter(|byte| **byte == b'\n').count() as u64;
        if lost > 0 {
            self.lost += lost;
            shared.state().lose(lost);
        }
    }

    /// Writes the notice of lost lines, if there are any. Returns false if it cannot be written.
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

    /// Writes as much as possible, and returns the rest.
    fn put<'a>(&mut self, text: &'a [u8]) -> &'a [u8] {
        let mut rest = text;
        while !rest.is_empty() {
            match self.out.write(rest) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                // The error cannot be reported anywhere; the lost lines are counted.
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
