//! Metrics and traces of jobs: of the leaves that this server runs for them, by run segment.
//! A run segment lasts from the time when a server takes a job until the job ends or the server
//! loses it.

use std::sync::Arc;

use frond_root::{Event, EventKind, Events, Listener};
use parking_lot::Mutex;

use crate::metrics::{Metering, Metrics};
use crate::traces::{RunSegment, Traces};

/// Destinations of metrics and traces of jobs.
#[derive(Clone)]
pub(crate) struct Telemetry {
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) traces: Option<Arc<Traces>>,
}

impl Telemetry {
    /// Adds metrics and traces to the listeners of a job of an app.
    pub(super) fn of(&self, app: &str, events: Events) -> Events {
        // Without listeners the job does not run.
        if !events.wanted() {
            return events;
        }
        let watch = Watch { metering: self.metrics.job(app), traces: self.traces.clone(), segment: Mutex::default() };
        events.and(Arc::new(watch))
    }
}

/// Listener to one life of a job, for metrics and traces.
struct Watch {
    metering: Arc<Metering>,
    traces: Option<Arc<Traces>>,
    /// `None` until the job has begun, and if it is not traced.
    segment: Mutex<Option<RunSegment>>,
}

impl Listener for Watch {
    fn event(&self, event: &Event) {
        self.metering.event(event);
        let Some(traces) = &self.traces else { return };
        let mut segment = self.segment.lock();
        if let EventKind::QueryStarted { query, app, unix_ms, .. } = &event.kind {
            *segment = traces.stint(*query, app, *unix_ms);
        }
        if let Some(segment) = &mut *segment {
            segment.take(event);
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.metering.told();
        let segment = self.segment.get_mut().take();
        if let (Some(traces), Some(segment)) = (&self.traces, segment) {
            traces.job(segment.ended());
        }
    }
}
