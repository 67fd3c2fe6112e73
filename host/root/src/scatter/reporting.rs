//! Way of the reports from the slots to the query's task.

use std::sync::atomic::Ordering;
use std::task::{Context, Waker};

use super::Scatter;
use super::report::Report;
use crate::sync::lock;
use crate::work::Work;

impl Scatter {
    /// Stores a runner's report, and wakes the query's task when that is due.
    pub(super) fn report(&self, slot: u32, report: Report) {
        self.unread.fetch_add(report.bytes(), Ordering::SeqCst);
        self.keep(slot, report);
        let running = self.leave();
        let idle = running == 0 && !self.is_claimable();
        if idle || self.is_unread_full() || self.armed.swap(false, Ordering::SeqCst) {
            self.wake.notify_one();
        }
    }

    pub(super) fn keep(&self, slot: u32, report: Report) {
        let at = slot as usize % self.reports.len();
        if let Some(reports) = self.reports.get(at) {
            lock(&reports.0).push(report);
        }
    }

    pub(super) fn is_unread_full(&self) -> bool {
        self.unread.load(Ordering::SeqCst) > self.window.unread
    }

    /// Takes all reports, oldest first. True when claims were refused for unread partials.
    pub fn drain(&self, into: &mut Vec<Report>) -> bool {
        debug_assert!(into.is_empty());
        for reports in &self.reports {
            into.append(&mut lock(&reports.0));
        }
        into.sort_by_key(Report::at);
        let read = into.iter().map(Report::bytes).sum();
        self.unread.fetch_sub(read, Ordering::SeqCst) > self.window.unread
    }

    /// Lets the next report wake the task again. True when ends of attempts are unread.
    pub fn arm(&self) -> bool {
        self.armed.store(true, Ordering::SeqCst);
        let ended = |report: &Report| matches!(report, Report::Ended { .. });
        self.reports.iter().any(|reports| lock(&reports.0).iter().any(ended))
    }

    /// Waits until reports are due to be read.
    pub(crate) async fn woken(&self) {
        self.wake.notified().await;
    }

    /// True, once for each time, when reports are due to be read.
    #[must_use]
    pub fn is_woken(&self) -> bool {
        let woken = std::pin::pin!(self.wake.notified());
        woken.poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }
}
