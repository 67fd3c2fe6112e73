//! Where a leaf thread sleeps, and how it is woken. A kernel likes to put a thread that is woken beside its waker, and where
//! two that are busy have met, they take turns of some milliseconds though another core idles: of 1,000 trivial leaves on
//! two cores, the second slot's first one then waited for 4 ms, half of what the whole query takes. So each slot's
//! thread has a core where it wakes, another than the other slots' as long as there are enough. Once it is awake
//! it may be moved: what else the machine does, the kernel knows.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread};

/// A leaf thread's.
pub(crate) struct Parker {
    thread: Thread,
    core: Option<kernel::Core>,
    sleep: Mutex<ParkState>,
}

#[derive(Default)]
struct ParkState {
    /// True from before its thread sleeps until that is up.
    is_in: bool,
    /// Where it may run once it is up, if it may not run there now.
    up: Option<kernel::Cores>,
}

impl Parker {
    /// For this thread, which is that of `slot`.
    pub(crate) fn new(slot: u32) -> Self {
        // Other processes have a first slot too.
        let number = std::process::id().wrapping_add(slot);
        Self { thread: thread::current(), core: kernel::Core::nth(number), sleep: Mutex::default() }
    }

    /// True unless whoever asks runs where this thread would wake.
    pub(crate) fn is_elsewhere(&self) -> bool {
        self.core.as_ref().is_none_or(|core| !core.is_here())
    }

    /// Sleeps until [`Parker::wake`], or shorter.
    pub(crate) fn sleep(&self) {
        self.lock().is_in = true;
        thread::park();
        let mut sleep = self.lock();
        sleep.is_in = false;
        if let Some(cores) = sleep.up.take() {
            cores.allow();
        }
    }

    /// Ends its thread's sleep, or its next one; `apart` makes it wake on its own core, which takes some system calls.
    pub(crate) fn wake(&self, apart: bool) {
        let mut sleep = self.lock();
        // One that is up, by itself or by another, is left where it runs; one that has been woken and is not up yet keeps what
        // it was to have.
        if apart && sleep.is_in && sleep.up.is_none() {
            sleep.up = self.core.as_ref().and_then(kernel::Core::confine);
        }
        drop(sleep);
        self.thread.unpark();
    }

    fn lock(&self) -> MutexGuard<'_, ParkState> {
        self.sleep.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(target_os = "linux")]
mod kernel {
    use rustix::thread::{CpuSet, Pid, gettid, sched_getaffinity, sched_getcpu, sched_setaffinity};

    /// One of a thread's cores.
    pub(super) struct Core {
        thread: Pid,
        number: usize,
    }

    /// Those that a thread may run on.
    pub(super) struct Cores(CpuSet);

    impl Core {
        /// One that this thread may run on; none where there is no choice, nor with more cores than a set holds (1,024).
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

        /// Leaves its thread no other core; where it could run before, if it could run here.
        pub(super) fn confine(&self) -> Option<Cores> {
            let cores = sched_getaffinity(Some(self.thread)).ok().filter(|cores| cores.is_set(self.number))?;
            let mut only = CpuSet::new();
            only.set(self.number);
            sched_setaffinity(Some(self.thread), &only).ok().map(|()| Cores(cores))
        }
    }

    impl Cores {
        /// To this thread.
        pub(super) fn allow(&self) {
            let _ = sched_setaffinity(None, &self.0);
        }
    }
}

/// Elsewhere the kernel is left to itself.
#[cfg(not(target_os = "linux"))]
mod kernel {
    pub(super) enum Core {}

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

    /// Where this thread may run.
    fn cores() -> Vec<usize> {
        let cores = sched_getaffinity(None).expect("a thread knows its cores");
        (0..CpuSet::MAX_CPU).filter(|core| cores.is_set(*core)).collect()
    }

    #[test]
    fn whoever_is_woken_and_however_often_may_run_everywhere_afterwards() {
        let (tell, told) = channel();
        let sleeper = thread::spawn(move || {
            let parker = Arc::new(Parker::new(1));
            // Woken before it sleeps, and twice.
            for _ in 0..2 {
                tell.send((parker.clone(), Vec::new())).expect("the test listens");
                parker.sleep();
            }
            tell.send((parker, cores())).expect("the test listens");
        });
        for _ in 0..2 {
            let (parker, _) = told.recv().expect("it tells");
            parker.wake(true);
            parker.wake(true);
        }
        let (_, after) = told.recv().expect("it tells");
        sleeper.join().expect("it ends");
        assert_eq!(after, cores());
    }

    #[test]
    fn who_is_up_is_left_where_it_runs() {
        let (parker, before) = (Parker::new(1), cores());
        parker.wake(true);
        assert_eq!(cores(), before);
        // The wake-up that it has had ends its next sleep at once.
        parker.sleep();
        parker.wake(true);
        assert_eq!(cores(), before);
    }

    #[test]
    fn slots_wake_on_cores_of_their_own_while_there_are_enough() {
        let cores = cores();
        let beds: Vec<_> = (0_u32..).take(cores.len()).map(Parker::new).collect();
        let mut numbers: Vec<_> =
            beds.iter().filter_map(|parker| parker.core.as_ref()).map(kernel::Core::number).collect();
        numbers.sort_unstable();
        // With a single core there is nothing to choose.
        assert!(numbers == cores || cores.len() == 1, "{numbers:?} of {cores:?}");
    }
}
