//! Watch over what a worker has: attempts that it does not start are asked back, and a worker that
//! keeps attempts for too long is dropped. Decisions alone, without a clock.

use std::time::Duration;

use tokio::time::Instant;

/// The least time for a worker to start an attempt when a slot elsewhere is idle, and to give it
/// back: many times the scheduling delay of a busy machine.
const LEAST_PATIENCE: Duration = Duration::from_millis(500);
/// The least time after which an attempt that waits behind others is asked back, if a slot
/// elsewhere is idle: many times what it waits behind leaves that are as short as those before.
const BEHIND: Duration = Duration::from_millis(20);
/// The most round trips that are waited for: a worker that delays its answers gains little.
const MOST_PATIENCE: Duration = Duration::from_secs(10);
/// Round trips until an attempt must have started: it waits for at most two in a healthy worker.
const ROUND_TRIPS: u32 = 8;
/// Least throughput to a worker that is worth having, in bytes a second: what is queued before a
/// frame delays it.
const SLOWEST: u64 = 256 << 10;
/// Time after its deadline, or after its query, within which a leaf must have ended: many times
/// what a leaf needs to stop.
const GRACE: Duration = Duration::from_secs(10);
/// Time after its query within which a leaf on an expendable worker must have ended: many times
/// the way of two frames on one machine, and little of what a slot costs that nobody needs.
const LAST_MOMENT: Duration = Duration::from_millis(50);
/// Time to hear the end of a leaf that was in time, or that its worker stopped at its deadline: no
/// more than a leaf has to stop in this process. Once more after a look that came late: the end may
/// have arrived unheard, as this process, too, may have stood still.
const HEARING: Duration = Duration::from_millis(2);
/// Time after which a look comes late: timers have a granularity of a millisecond.
const LATE_LOOK: Duration = Duration::from_millis(2);
/// Time between two looks at all workers without a cause while any has attempts.
const WATCH: Duration = Duration::from_millis(250);
/// Time between two looks without a cause while none has any.
const LOOK: Duration = Duration::from_secs(1);

/// Time of the next look at all workers. `expiry` is the first one of their attempts.
pub(super) fn next_look(now: Instant, is_busy: bool, expiry: Option<Instant>) -> Instant {
    let next = now + if is_busy { WATCH } else { LOOK };
    expiry.map_or(next, |expiry| expiry.min(next))
}

/// Time within which a worker must have acted on a frame that is sent now, behind so many bytes.
pub(super) fn patience(round_trip: Option<Duration>, queued: usize) -> Duration {
    let trips = round_trip.unwrap_or_default().saturating_mul(ROUND_TRIPS);
    trips.clamp(LEAST_PATIENCE, MOST_PATIENCE) + Duration::from_millis(queued as u64 * 1000 / SLOWEST)
}

/// Times by which a worker must have acted on one attempt.
#[derive(Clone, Copy, Debug)]
pub(super) struct Schedule {
    /// Time by which the attempt should have started. `None` before its order was sent, and once
    /// it has started.
    start_by: Option<Instant>,
    /// Time by which it should have started if all slots of the worker run others.
    behind_by: Option<Instant>,
    /// Time by which the worker must have started it or given it back, once it was asked.
    answer_by: Option<Instant>,
    /// Time by which the leaf must have ended.
    deadline: Instant,
    /// Time by which the worker must have ended it.
    end_by: Instant,
    /// Time after its query within which the worker must have ended it.
    after_query: Duration,
    is_expendable: bool,
    /// True once it has started on an expendable worker.
    expires: bool,
    /// Time at which it expires, once a late look has found it beyond its time.
    expires_at: Option<Instant>,
}

/// Judgement of a worker by one of its attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// All is well.
    Fine,
    /// The attempt should have started: others may have it.
    Late,
    /// The root ends the attempt, and drops the worker.
    Expired,
    /// The worker is no good: the reason.
    Drop(&'static str),
}

impl Schedule {
    /// Schedule of an attempt whose order is not sent, by the deadline of its leaf.
    pub(super) fn new(deadline: Instant, is_expendable: bool) -> Self {
        Self {
            start_by: None,
            behind_by: None,
            answer_by: None,
            deadline,
            end_by: deadline + GRACE,
            after_query: GRACE + MOST_PATIENCE,
            is_expendable,
            expires: false,
            expires_at: None,
        }
    }

    /// Notes that the order was sent.
    pub(super) fn sent(&mut self, now: Instant, patience: Duration) {
        self.start_by = Some(now + patience);
        self.behind_by = Some(now + (patience - LEAST_PATIENCE.min(patience)) + BEHIND);
        self.end_by += patience;
    }

    /// Notes that the leaf began, which must have ended by `deadline`.
    pub(super) fn started(&mut self, now: Instant, deadline: Instant) {
        self.start_by = None;
        self.answer_by = None;
        // What its order waited for still counts.
        self.end_by = deadline + (self.end_by.saturating_duration_since(self.deadline));
        self.deadline = deadline;
        if self.is_expendable {
            // One that begins too late has a moment to find out.
            self.end_by = if now < self.deadline { self.deadline + HEARING } else { now + LAST_MOMENT };
            self.after_query = LAST_MOMENT;
            self.expires = true;
        }
    }

    /// Notes that the worker was asked to give the attempt back.
    pub(super) fn asked(&mut self, now: Instant, patience: Duration) {
        self.answer_by = Some(now + patience);
    }

    /// Time by which the worker must have ended the attempt, if the query ended at `stopped`.
    fn end_by(&self, stopped: Option<Instant>) -> Instant {
        stopped.map_or(self.end_by, |at| self.end_by.min(at + self.after_query))
    }

    /// Time of the next look at the attempt, if the root does not wait for the worker's report to
    /// end it. `stopped` is the time at which the query ended.
    pub(super) fn expiry(&self, stopped: Option<Instant>) -> Option<Instant> {
        self.expires.then(|| self.expires_at.unwrap_or_else(|| self.end_by(stopped)))
    }

    /// Judges the worker. `stopped` is the time at which the query ended; `is_full` if all slots of
    /// the worker run leaves.
    pub(super) fn verdict(&mut self, now: Instant, stopped: Option<Instant>, is_full: bool) -> Verdict {
        if let Some(at) = self.expiry(stopped).filter(|at| now >= *at) {
            let is_late = self.expires_at.is_none() && now > at + LATE_LOOK;
            if is_late {
                self.expires_at = Some(now + HEARING);
            }
            return if is_late { Verdict::Fine } else { Verdict::Expired };
        }
        if now > self.end_by(stopped) {
            return Verdict::Drop("has kept attempts for long after their time");
        }
        let behind_by = self.behind_by.filter(|_| is_full);
        match (self.start_by.min(behind_by.or(self.start_by)), self.answer_by) {
            (_, Some(by)) if now > by => Verdict::Drop("has kept attempts without starting them"),
            (Some(by), None) if now > by => Verdict::Late,
            _ => Verdict::Fine,
        }
    }
}

/// Pause of a worker that gave attempts back although it had slots for them: it gets no others for
/// a time that doubles, so that it cannot keep them from others in turns.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pause {
    until: Option<Instant>,
    /// Number of pauses since a leaf began.
    times: u32,
}

/// First pause.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The most doublings of the pause, up to 8 s: its leaf's code may have been on its way.
const MOST_DOUBLINGS: u32 = 3;

impl Pause {
    /// Begins a pause, unless there is one.
    pub(super) fn begin(&mut self, now: Instant) {
        if !self.is_on(now) {
            self.until = Some(now + FIRST_PAUSE * (1 << self.times.min(MOST_DOUBLINGS)));
            self.times = self.times.saturating_add(1);
        }
    }

    /// Notes that a leaf began: the next pause is short.
    pub(super) fn has_started(&mut self) {
        self.times = 0;
    }

    /// True during a pause.
    pub(super) fn is_on(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| now < until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(time: u64) -> Duration {
        Duration::from_millis(time)
    }

    #[test]
    fn patience_grows_with_the_way_and_has_a_bound() {
        assert_eq!(patience(None, 0), ms(500));
        assert_eq!(patience(Some(ms(10)), 0), ms(500));
        assert_eq!(patience(Some(ms(100)), 0), ms(800));
        assert_eq!(patience(Some(Duration::MAX), 0), MOST_PATIENCE);
        assert_eq!(patience(None, 1 << 20), ms(4500));
    }

    #[test]
    fn an_attempt_is_asked_back_once_and_then_costs_the_worker() {
        let now = Instant::now();
        let mut schedule = Schedule::new(now + ms(60_000), false);
        assert_eq!(schedule.verdict(now + ms(9000), None, false), Verdict::Fine, "its order is not sent");
        schedule.sent(now, ms(500));
        assert_eq!(schedule.verdict(now + ms(500), None, false), Verdict::Fine);
        assert_eq!(schedule.verdict(now + ms(501), None, false), Verdict::Late);
        schedule.asked(now + ms(501), ms(500));
        assert_eq!(schedule.verdict(now + ms(1001), None, false), Verdict::Fine);
        assert!(matches!(schedule.verdict(now + ms(1002), None, false), Verdict::Drop(_)));
        schedule.started(now, now + ms(60_000));
        assert_eq!(schedule.verdict(now + ms(1002), None, false), Verdict::Fine);
        assert_eq!(schedule.verdict(now + ms(70_500), None, false), Verdict::Fine);
        assert!(matches!(schedule.verdict(now + ms(70_501), None, false), Verdict::Drop(_)));
        let stopped = Some(now + ms(2000));
        assert_eq!(schedule.verdict(now + ms(22_000), stopped, false), Verdict::Fine);
        assert!(matches!(schedule.verdict(now + ms(22_001), stopped, false), Verdict::Drop(_)));
    }

    #[test]
    fn an_attempt_behind_others_is_asked_back_soon() {
        let now = Instant::now();
        let mut schedule = Schedule::new(now + ms(60_000), false);
        schedule.sent(now, ms(700));
        assert_eq!(schedule.verdict(now + ms(221), None, false), Verdict::Fine);
        assert_eq!(schedule.verdict(now + ms(220), None, true), Verdict::Fine, "200 ms are its way");
        assert_eq!(schedule.verdict(now + ms(221), None, true), Verdict::Late);
        schedule.started(now + ms(300), now + ms(60_000));
        assert_eq!(schedule.verdict(now + ms(900), None, true), Verdict::Fine);
    }

    #[test]
    fn an_attempt_on_an_expendable_worker_expires_once_it_has_started() {
        let now = Instant::now();
        let of = |begun: u64| {
            let mut schedule = Schedule::new(now + ms(1000), true);
            schedule.sent(now, ms(500));
            assert_eq!(schedule.expiry(Some(now)), None, "it has not started");
            schedule.started(now + ms(begun), now + ms(1000));
            schedule
        };
        let mut schedule = of(10);
        assert_eq!(schedule.expiry(Some(now + ms(100))), Some(now + ms(150)));
        assert_eq!(schedule.expiry(Some(now + ms(990))), Some(now + ms(1000) + HEARING));
        assert_eq!(schedule.verdict(now + ms(1001), None, false), Verdict::Fine);
        let mut punctual = schedule;
        assert_eq!(punctual.verdict(now + ms(1000) + HEARING + LATE_LOOK, None, false), Verdict::Expired);
        // However late the look is, what has arrived is heard first.
        assert_eq!(schedule.verdict(now + ms(4000), None, false), Verdict::Fine);
        assert_eq!(schedule.expiry(None), Some(now + ms(4000) + HEARING));
        assert_eq!(schedule.verdict(now + ms(4000) + HEARING, None, false), Verdict::Expired);
        assert_eq!(of(1100).expiry(None), Some(now + ms(1150)), "it is to find out by itself");
    }

    #[test]
    fn the_next_look_is_no_later_than_the_first_expiry() {
        let now = Instant::now();
        assert_eq!(next_look(now, false, None), now + LOOK);
        assert_eq!(next_look(now, true, None), now + WATCH);
        assert_eq!(next_look(now, true, Some(now + ms(30))), now + ms(30));
        assert_eq!(next_look(now, true, Some(now + ms(3000))), now + WATCH);
    }

    #[test]
    fn pauses_double_until_a_leaf_begins() {
        let mut now = Instant::now();
        let mut pause = Pause::default();
        assert!(!pause.is_on(now));
        for length in [1000, 2000, 4000, 8000, 8000] {
            pause.begin(now);
            pause.begin(now);
            assert!(pause.is_on(now + ms(length - 1)));
            now += ms(length);
            assert!(!pause.is_on(now));
        }
        pause.has_started();
        pause.begin(now);
        assert!(!pause.is_on(now + ms(1000)));
    }
}
