//! An owner that cannot renew its lease stops in time, without help.

use std::sync::Arc;
use std::time::Duration;

use frond_jobs::UnixMs;
use frond_jobs::clock::{SetClock, ms};
use frond_jobs::store::JobFilter;
use frond_testkit::{Merges, Script, Turn};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, advance};

use crate::kit::{App, Bench, Gate, Running};

const LEASE: Duration = Duration::from_secs(10);
const STEP: Duration = Duration::from_millis(100);
/// More polls than any wait in these tests needs: a test that needs more hangs.
const LOOKS: usize = 60_000;

/// The paused clock of the processor, advanced step by step, and the equal clock of its store.
pub(crate) struct Time {
    pub(crate) clock: SetClock,
    pub(crate) start: Instant,
}

impl Time {
    pub(crate) fn new() -> Self {
        let time = Self { clock: SetClock::default(), start: Instant::now() };
        time.clock.set(time.now());
        time
    }

    pub(crate) fn now(&self) -> UnixMs {
        UnixMs(1_000_000 + ms(self.start.elapsed()))
    }

    /// Lets all tasks work without advancing the time: paused time stands still while a blocking
    /// thread runs.
    async fn stand_still() {
        spawn_blocking(|| std::thread::sleep(Duration::from_millis(1))).await.unwrap();
    }

    /// Waits until the condition holds, without advancing the time.
    pub(crate) async fn until(what: &str, is_so: impl Fn() -> bool) {
        for _ in 0..LOOKS {
            if is_so() {
                return;
            }
            Self::stand_still().await;
        }
        panic!("never was this so: {what}");
    }

    /// Advances the time by one step, and lets all tasks work.
    pub(crate) async fn pass(&self) {
        advance(STEP).await;
        self.clock.set(self.now());
        Self::stand_still().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_falls_silent_ends_the_work_before_the_lease_ends() {
    let time = Time::new();
    let bench = Bench::by(time.clock.clone());
    let gate = Gate::new();
    let app = App::new(Script::all(Turn::never()), Merges::sorted(), 3);
    let stage = app.stage.clone();
    let id = bench.submit().await;
    let running = Running::with(bench.hooked(gate.hook("renew")), Arc::new(app), LEASE);
    Time::until("the leaves run", || stage.leaves.running() > 0).await;
    // No renewal is ever answered.
    while stage.leaves.running() > 0 {
        assert!(time.start.elapsed() < LEASE, "the lease is over, and the leaves still run");
        time.pass().await;
    }
    assert!(gate.has_held(), "the owner gave up without a try");
    Time::until("the job counts as lost", || running.tally.lost() == 1).await;
    let job = bench.store.get(id).await.unwrap();
    assert!(!job.state.is_ended(), "it is left to others: {job:?}");
    let until = job.lease_until.unwrap();
    assert!(time.now() < until, "the leaves stopped at {:?}, and the lease was over at {until:?}", time.now());
    let take = async || bench.store.take("other", &JobFilter::All, LEASE).await.unwrap();
    assert_eq!(take().await, None, "the lease still holds when the leaves have stopped");
    running.kill().await;
    while time.now() < until {
        time.pass().await;
    }
    assert_eq!(take().await.map(|taken| (taken.job.id, taken.epoch)), Some((id, 2)));
}
