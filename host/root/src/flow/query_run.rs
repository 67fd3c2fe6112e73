//! State of one running query, and the events of its start and end.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::answer::{Answer, Coverage, Timings, millis};
use crate::event::{EventKind, FORMAT_VERSION};
use crate::folding::MergeCalls;
use crate::gather::{Demand, Gather};
use crate::plan::Plan;
use crate::policy::budget::Budget;
use crate::request::Request;
use crate::services::Services;

/// State of one running query: request, time budget, services, timings.
pub(super) struct QueryRun {
    pub(super) request: Request,
    pub(super) start: Instant,
    pub(super) budget: Budget,
    pub(super) services: Services,
    pub(super) cancel: CancellationToken,
    pub(super) planned: Duration,
    pub(super) gathered: Duration,
}

impl QueryRun {
    pub(super) fn emit(&self, kind: impl FnOnce() -> EventKind) {
        self.services.events.emit(self.start.elapsed(), kind);
    }

    pub(super) fn micros(&self, at: Instant) -> u64 {
        micros(at.saturating_duration_since(self.start))
    }

    /// The merge calls of the query.
    pub(super) fn merge_calls(&self) -> MergeCalls {
        MergeCalls {
            merger: self.services.merger.clone(),
            query: self.request.query.clone(),
            until: self.budget.merge_deadline,
            limit: Some(self.budget.limit),
            events: self.services.events.clone(),
            start: self.start,
        }
    }

    pub(super) fn timings(&self) -> Timings {
        let total = self.start.elapsed();
        Timings {
            deadline: millis(self.request.deadline),
            reserve: millis(self.budget.reserve),
            plan: millis(self.planned),
            gather: millis(self.gathered.saturating_sub(self.planned)),
            merge: millis(total.saturating_sub(self.gathered)),
            total: millis(total),
            ..Timings::default()
        }
    }

    pub(super) fn started(&self) {
        self.emit(|| EventKind::QueryStarted {
            version: FORMAT_VERSION,
            query: self.request.id,
            app: self.request.app.clone(),
            deadline: micros(self.request.deadline),
            slots: self.services.runner.slots(),
            floor: self.request.floor,
            unix_ms: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX)),
        });
    }

    pub(super) fn ended(&self, answer: &Answer) {
        self.emit(|| EventKind::QueryEnded {
            outcome: answer.outcome().to_owned(),
            reason: match answer {
                Answer::Failed { reason, .. } => Some(reason.clone()),
                _ => None,
            },
            coverage: Box::new(answer.coverage().clone()),
        });
    }

    /// Emits the end of a query that ends in an [`Error`](crate::Error), so that every start has
    /// its end.
    pub(super) fn refused(&self) {
        self.emit(|| EventKind::QueryEnded { outcome: "failed".to_owned(), reason: None, coverage: self.unplanned() });
    }

    /// The account of a query without a plan. It is not complete, though nothing was planned.
    pub(super) fn unplanned(&self) -> Box<Coverage> {
        let demand = Demand { floor: self.request.floor, required: BTreeSet::new() };
        let gather = Gather::new(self.request.id, Arc::new(Plan::default()), demand, self.budget);
        let mut coverage = gather.coverage(self.timings());
        coverage.complete = false;
        coverage.fraction = 0.0;
        Box::new(coverage)
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
