//! Metrics of removed apps: kept for a while, so that the last events are scraped, then dropped.

use std::sync::Arc;
use std::time::{Duration, Instant};

use frond_root::FailureKind;

use super::{App, Metrics, Outcome, Slug};

/// How long the metrics of a removed app are kept: several scrape intervals.
const RETENTION: Duration = Duration::from_secs(600);
/// The most removed apps whose metrics are kept; the longest removed is dropped first.
const MAX_GONE: usize = 20;

/// Outcomes of queries, with their reasons.
const OUTCOMES: [(&str, &str); 10] = [
    ("complete", ""),
    ("partial", ""),
    ("failed", "invalid-query"),
    ("failed", "below-floor"),
    ("failed", "deadline"),
    ("failed", "cancelled"),
    ("failed", "split"),
    ("failed", "merge"),
    ("failed", "refused"),
    ("failed", "lost"),
];
/// Outcomes of partitions.
const PARTS: [&str; 7] = ["succeeded", "skipped", "degraded", "failed", "timed-out", "cancelled", "not-started"];

impl Metrics {
    /// Drops the metrics of apps that have been removed for a while, unless a query still runs.
    pub(super) fn forget_gone(&self, is_there: impl Fn(&str) -> bool, now: Instant) {
        let mut apps = self.apps.lock();
        let mut gone = self.gone.lock();
        gone.retain(|app, _| !is_there(app));
        for app in apps.keys().filter(|app| !is_there(app)) {
            gone.entry(app.clone()).or_insert(now);
        }
        let mut oldest: Vec<(Instant, String)> = gone.iter().map(|(app, since)| (*since, app.clone())).collect();
        oldest.sort_unstable();
        let over = oldest.len().saturating_sub(MAX_GONE);
        for (place, (since, app)) in oldest.into_iter().enumerate() {
            let idle = apps.get(&app).is_none_or(|counted| Arc::strong_count(counted) == 1);
            if idle && (place < over || now.saturating_duration_since(since) >= RETENTION) {
                apps.remove(&app);
                gone.remove(&app);
                self.forget(&app);
            }
        }
    }

    fn forget(&self, app: &str) {
        let label = App { app: app.to_owned() };
        let slug = |slug| Slug { app: app.to_owned(), slug };
        self.begun.remove(&label);
        self.query_seconds.remove(&label);
        self.overshoot.remove(&label);
        self.leaf_seconds.remove(&label);
        self.warm_leaves.remove(&label);
        self.cuts.remove(&label);
        self.dropped_units.remove(&label);
        for (outcome, reason) in OUTCOMES {
            self.queries.remove(&Outcome { app: app.to_owned(), outcome, reason });
        }
        for kind in FailureKind::ALL.map(FailureKind::slug).into_iter().chain(["ok"]) {
            self.leaves.remove(&slug(kind));
            self.folds.remove(&slug(kind));
        }
        for part in PARTS {
            self.partitions.remove(&slug(part));
        }
    }
}

#[cfg(test)]
mod tests {
    use frond_root::{Event, EventKind, Listener, Request};

    use super::*;

    fn ask(metrics: &Metrics, app: &str) {
        let metering = metrics.query(&Request::new(app, ""));
        let failure = frond_root::Failure::new(FailureKind::Trap, "x");
        for failure in [None, Some(failure)] {
            let fold = EventKind::FoldEnded { fold: 0, bytes: 1, failure };
            metering.event(&Event { at: 0, kind: fold });
        }
        metering.ended(None, Duration::from_secs(1));
    }

    fn lines(metrics: &Metrics, app: &str) -> usize {
        let text = metrics.text().unwrap();
        text.lines().filter(|line| line.contains(&format!("app=\"{app}\""))).count()
    }

    #[test]
    fn an_app_that_is_gone_takes_its_metrics_along_after_a_while() {
        let metrics = Metrics::new();
        let start = Instant::now();
        ask(&metrics, "stays");
        ask(&metrics, "goes");
        let there = |app: &str| app == "stays";
        metrics.forget_gone(there, start);
        assert!(lines(&metrics, "goes") > 40);
        metrics.forget_gone(there, start + RETENTION - Duration::from_secs(1));
        assert!(lines(&metrics, "goes") > 40);
        metrics.forget_gone(there, start + RETENTION);
        assert_eq!(lines(&metrics, "goes"), 0);
        assert!(lines(&metrics, "stays") > 40);
        ask(&metrics, "goes");
        assert!(lines(&metrics, "goes") > 40, "it may come back");
    }

    #[test]
    fn an_app_that_came_back_or_runs_keeps_them() {
        let metrics = Metrics::new();
        let start = Instant::now();
        ask(&metrics, "back");
        metrics.forget_gone(|_| false, start);
        metrics.forget_gone(|_| true, start + RETENTION);
        metrics.forget_gone(|_| false, start + RETENTION + RETENTION / 2);
        assert!(lines(&metrics, "back") > 40, "it is gone for less than that again");
        let running = metrics.query(&Request::new("back", ""));
        metrics.forget_gone(|_| false, start + RETENTION * 9);
        assert!(lines(&metrics, "back") > 40);
        running.ended(None, Duration::ZERO);
        drop(running);
        metrics.forget_gone(|_| false, start + RETENTION * 9);
        assert_eq!(lines(&metrics, "back"), 0);
    }

    #[test]
    fn sixty_apps_that_are_gone_leave_the_metrics_of_a_few() {
        let metrics = Metrics::new();
        for number in 0..60 {
            ask(&metrics, &format!("app-{number}"));
        }
        metrics.forget_gone(|_| false, Instant::now());
        let left = (0..60).filter(|number| lines(&metrics, &format!("app-{number}")) > 0).count();
        assert_eq!(left, MAX_GONE);
    }
}
