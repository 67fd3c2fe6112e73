//! Placement of slot threads on cores: the core on which a sleeping thread wakes up. The kernel
//! tends to place a woken thread on its waker's core; two busy threads there then alternate in
//! slices of some milliseconds although another core idles. With 1,000 trivial leaves on two cores,
//! the second slot's first leaf waited for 4 ms, half of the query's whole time. So each slot
//! thread has a core to wake on, different from those of other slots while there are enough cores.
//! Once awake, the thread may be moved: the kernel knows the other load of the machine.

use std::sync::{Mutex, MutexGuard};
use std::thread::{self, Thread};

use frond_root::sync::lock;

/// Parker of one slot thread: lets it sleep and wakes it on a chosen core.
pub(crate) struct Parker {
    thread: Thread,
    core: Option<kernel::Core>,
    sleep: Mutex<ParkState>,
}

/// State of a parked thread.
#[derive(Default)]
struct ParkState {
    /// True from before its thread sleeps until the thread is awake.
    is_in: bool,
    /// Cores that the thread gets back once it is awake, if it is confined now.
    up: Option<kernel::Cores>,
}

impl Parker {
    /// Makes the parker of the current thread, which has this slot. Unless `placed`, the thread has
    /// no core of its own, and the kernel alone places it.
    pub(crate) fn new(slot: u32, placed: bool) -> Self {
        // Adds the process id, as every process has a first slot.
        let number = std::process::id().wrapping_add(slot);
        let core = placed.then(|| kernel::Core::nth(number)).flatten();
        Self { thread: thread::current(), core, sleep: Mutex::default() }
    }

    /// Returns true unless the current thread runs on the core where this one would wake up.
    pub(crate) fn is_elsewhere(&self) -> bool {
        self.core.as_ref().is_none_or(|core| !core.is_here())
    }

    /// Sleeps until [`Parker::wake`], or returns early.
    pub(crate) fn sleep(&self) {
        self.lock().is_in = true;
        thread::park();
        let mut sleep = self.lock();
        sleep.is_in = false;
        if let Some(cores) = sleep.up.take() {
            cores.allow();
        }
    }

    /// Wakes the thread, or ends its next sleep at once. With `apart`, the thread wakes on its own
    /// core, which takes some system calls.
    pub(crate) fn wake(&self, apart: bool) {
        let mut sleep = self.lock();
        // A thread that is awake is left where it runs. One that was woken but is not yet up keeps
        // its saved cores.
        if apart && sleep.is_in && sleep.up.is_none() {
            sleep.up = self.core.as_ref().and_then(kernel::Core::confine);
        }
        drop(sleep);
        self.thread.unpark();
    }

    fn lock(&self) -> MutexGuard<'_, ParkState> {
        lock(&self.sleep)
    }
}

#[cfg(target_os = "linux")]
mod kernel {
    use rustix::thread::{CpuSet, Pid, gettid, sched_getaffinity, sched_getcpu, sched_setaffinity};

    /// Core on which a thread may run.
    pub(super) struct Core {
        thread: Pid,
        number: usize,
    }

    /// Set of cores on which a thread may run.
    pub(super) struct Cores(CpuSet);

    impl Core {
        /// Picks a core among those of this thread; `None` if there is only one, or if there are
        /// more cores than a set holds (1,024).
        pub(super) fn nth(number: u32) -> Option<Self> {
            let cores = sched_getaffinity(None).ok().filter(|cores| cores.count() > 1)?;
            let at = (number % cores.count()) as usize;
            let number = (0..CpuSet::MAX_CPU).filter(|core| cores.is_set(*core)).nth(at)?;
            Some(Self { thread: gettid(), number })
        }

        #[cfg(test)]
        pub(super) fn number(&self) -> usize {
            self.number
        }

        pub(super) fn is_here(&self) -> bool {
            sched_getcpu() == self.number
        }

        /// Confines the thread to this core. Returns the cores that it could run on before; `None`
        /// if this core was not among them.
        pub(super) fn confine(&self) -> Option<Cores> {
            let cores = sched_getaffinity(Some(self.thread)).ok().filter(|cores| cores.is_set(self.number))?;
            let mut only = CpuSet::new();
            only.set(self.number);
            sched_setaffinity(Some(self.thread), &only).ok().map(|()| Cores(cores))
        }
    }

    impl Cores {
        /// Allows the current thread these cores.
        pub(super) fn allow(&self) {
            let _ = sched_setaffinity(None, &self.0);
        }
    }
}

/// Stand-in for other systems, which leave the placement to the kernel.
#[cfg(not(target_os = "linux"))]
mod kernel {
    /// Core of the machine, of which this system reports none.
    pub(super) enum Core {}

    /// Set of cores, which this system does not let a thread choose.
    pub(super) enum Cores {}

    impl Core {
        pub(super) fn nth(_: u32) -> Option<Self> {
            None
        }

        pub(super) fn is_here(&self) -> bool {
            match *self {}
        }

        pub(super) fn confine(&self) -> Option<Cores> {
            match *self {}
        }
    }

    impl Cores {
        pub(super) fn allow(&self) {
            match *self {}
        }
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::sync::Arc;
    use std::sync::mpsc::channel;

    use rustix::thread::{CpuSet, sched_getaffinity};

    use super::*;

    /// Returns the cores on which this thread may run.
    fn cores() -> Vec<usize> {
        let cores = sched_getaffinity(None).expect("a thread knows its cores");
        (0..CpuSet::MAX_CPU).filter(|core| cores.is_set(*core)).collect()
    }

    #[test]
    fn a_thread_may_run_on_all_its_cores_after_any_wake_up() {
        let (send, receive) = channel();
        let sleeper = thread::spawn(move || {
            let parker = Arc::new(Parker::new(1, true));
            // Woken before it sleeps, and twice.
            for _ in 0..2 {
                send.send((parker.clone(), Vec::new())).expect("the test listens");
                parker.sleep();
            }
            send.send((parker, cores())).expect("the test listens");
        });
        for _ in 0..2 {
            let (parker, _) = receive.recv().expect("it tells");
            parker.wake(true);
            parker.wake(true);
        }
        let (_, after) = receive.recv().expect("it tells");
        sleeper.join().expect("it ends");
        assert_eq!(after, cores());
    }

    #[test]
    fn a_thread_that_is_awake_is_left_where_it_runs() {
        let parker = Parker::new(1, true);
        let before = cores();
        parker.wake(true);
        assert_eq!(cores(), before);
        // The wake-up above ends the next sleep at once.
        parker.sleep();
        parker.wake(true);
        assert_eq!(cores(), before);
    }

    #[test]
    fn slots_wake_on_cores_of_their_own_while_there_are_enough() {
        let cores = cores();
        let parkers: Vec<_> = (0_u32..).take(cores.len()).map(|slot| Parker::new(slot, true)).collect();
        let mut numbers: Vec<_> =
            parkers.iter().filter_map(|parker| parker.core.as_ref()).map(kernel::Core::number).collect();
        numbers.sort_unstable();
        // A single core leaves no choice.
        assert!(numbers == cores || cores.len() == 1, "{numbers:?} of {cores:?}");
    }
}
