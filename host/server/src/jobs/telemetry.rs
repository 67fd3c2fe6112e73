//! What is counted and traced of jobs: the leaves that this server runs for them, stint by stint. A stint is the time from
//! taking a job up to its end, or to the loss of its owner.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use frond_root::{Event, EventKind, Events, Listener};

use crate::metrics::{Metering, Metrics};
use crate::traces::{RunSegment, Traces};

/// Where jobs are counted and traced.
#[derive(Clone)]
pub(crate) struct Telemetry {
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) traces: Option<Arc<Traces>>,
}

impl Telemetry {
    /// Counts and traces what happens to a job of an app, beside those who listen already.
    pub(super) fn of(&self, app: &str, events: Events) -> Events {
        // Without listeners it is no job that runs.
        if !events.wanted() {
            return events;
        }
        let watch = Watch { metering: self.metrics.job(app), traces: self.traces.clone(), stint: Mutex::default() };
        Events::new(vec![Arc::new(EventForwarder(events)), Arc::new(watch)])
    }
}

/// Hands events on to those who wanted them before.
struct EventForwarder(Events);

impl Listener for EventForwarder {
    fn event(&self, event: &Event) {
        self.0.emit(Duration::from_micros(event.at), || event.kind.clone());
    }
}

struct Watch {
    metering: Arc<Metering>,
    traces: Option<Arc<Traces>>,
    /// There is one once the job has begun, if traces are wanted of it.
    stint: Mutex<Option<RunSegment>>,
}

impl Listener for Watch {
    fn event(&self, event: &Event) {
        self.metering.event(event);
        let Some(traces) = &self.traces else { return };
        let mut stint = self.stint.lock().unwrap_or_else(PoisonError::into_inner);
        if let EventKind::QueryStarted { query, app, unix_ms, .. } = &event.kind {
            *stint = traces.stint(*query, app, *unix_ms);
        }
        if let Some(stint) = &mut *stint {
            stint.take(event);
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.metering.told();
        let stint = self.stint.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let (Some(traces), Some(stint)) = (&self.traces, stint) {
            traces.job(stint.ended());
        }
    }
}
