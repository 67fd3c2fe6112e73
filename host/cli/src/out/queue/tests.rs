//! Delivery of lines, and counting of lost ones.

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::{CAPACITY, Queue};

/// Outcome of a writer's next call.
enum Step {
    /// The call takes at most this many bytes.
    Take(usize),
    Fail,
}

/// A writer whose calls follow a script of steps. After the last step it takes all bytes.
struct Scripted {
    steps: Receiver<Step>,
    called: Sender<()>,
    written: Arc<Mutex<Vec<u8>>>,
    /// True if each call waits for its step instead.
    waits: bool,
}

impl Write for Scripted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.called.send(());
        let step = if self.waits { self.steps.recv().ok() } else { self.steps.try_recv().ok() };
        let taken = match step {
            Some(Step::Fail) => return Err(io::Error::other("no space left")),
            Some(Step::Take(most)) => most.min(bytes.len()),
            None => bytes.len(),
        };
        self.written.lock().unwrap().extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Rig {
    queue: Queue,
    steps: Sender<Step>,
    called: Receiver<()>,
    written: Arc<Mutex<Vec<u8>>>,
    lost: Arc<Mutex<u64>>,
}

impl Rig {
    fn new(waits: bool, first: impl IntoIterator<Item = Step>) -> Self {
        let ((steps, of_writer), (calls, called)) = (channel(), channel());
        first.into_iter().for_each(|step| steps.send(step).unwrap());
        let written = Arc::<Mutex<Vec<u8>>>::default();
        let writer = Scripted { steps: of_writer, called: calls, written: written.clone(), waits };
        let queue = Queue::new(writer, |lines| format!("lost {lines}"));
        let lost = Arc::<Mutex<u64>>::default();
        let heard = lost.clone();
        queue.tell_losses(move |lines| *heard.lock().unwrap() += lines);
        Self { queue, steps, called, written, lost }
    }

    /// Queues a line, and waits until the writer is called for it.
    fn push(&self, line: &str) -> &Self {
        self.queue.push(line, false);
        self.called.recv().unwrap();
        self
    }

    #[track_caller]
    fn check(&self, written: &str, lost: u64) {
        self.queue.close();
        assert_eq!(String::from_utf8_lossy(&self.written.lock().unwrap()), written);
        assert_eq!(*self.lost.lock().unwrap(), lost);
    }
}

#[test]
fn lines_are_written_whole_however_few_bytes_are_taken() {
    let rig = Rig::new(false, [Step::Take(1), Step::Take(2), Step::Take(3)]);
    rig.push("one").push("two");
    rig.check("one\ntwo\n", 0);
}

#[test]
fn lines_that_cannot_be_written_are_told_of_when_it_works_again() {
    let rig = Rig::new(true, [Step::Fail]);
    rig.push("one");
    // The notice fails, and the line with it.
    rig.steps.send(Step::Fail).unwrap();
    rig.push("two");
    rig.steps.send(Step::Take(usize::MAX)).unwrap();
    rig.steps.send(Step::Take(usize::MAX)).unwrap();
    rig.push("three");
    rig.check("lost 2\nthree\n", 2);
}

#[test]
fn a_line_that_broke_off_is_lost_and_does_not_run_into_the_next() {
    let rig = Rig::new(true, [Step::Take(2), Step::Fail]);
    rig.push("one");
    rig.steps.send(Step::Take(usize::MAX)).unwrap();
    rig.steps.send(Step::Take(usize::MAX)).unwrap();
    rig.called.recv().unwrap();
    rig.push("two");
    rig.check("on\nlost 1\ntwo\n", 1);
}

#[test]
fn what_has_no_room_is_lost_and_told_of_where_it_is_missing() {
    let rig = Rig::new(true, []);
    let half = "x".repeat(CAPACITY / 2);
    // The writer has taken the first line, and waits with it.
    rig.push("first");
    for line in [half.as_str(), "kept", half.as_str(), "left out"] {
        rig.queue.push(line, false);
    }
    rig.queue.push("vital", true);
    assert_eq!(*rig.lost.lock().unwrap(), 1, "before anything is written");
    (0..1000).for_each(|_| rig.steps.send(Step::Take(usize::MAX)).unwrap());
    rig.check(&format!("first\n{half}\nkept\nlost 1\nleft out\nvital\n"), 1);
}

#[test]
fn a_reader_that_never_reads_does_not_keep_it_open() {
    let rig = Rig::new(true, []);
    rig.push("stuck");
    rig.queue.push("waits", false);
    rig.queue.close_within(Duration::ZERO);
    rig.queue.push("too late", false);
    assert_eq!(rig.written.lock().unwrap().len(), 0);
}
