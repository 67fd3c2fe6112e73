//! Stage: everything that a test query needs, and short ways to make it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use frond_root::{Answer, CancellationToken, CopySettings, Events, Partition, Plan, QueryId, Request, Services, flow};
use tokio::time::sleep;

use crate::leaves::Leaves;
use crate::merges::Merges;
use crate::record::Record;
use crate::script::Script;

/// A duration in milliseconds.
#[must_use]
pub const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A plan of equal partitions with the keys `p0`, `p1`, … and weight 1.
#[must_use]
pub fn plan(partitions: usize) -> Plan {
    plan_weighing(&vec![1; partitions])
}

/// A plan of partitions with these weights and the keys `p0`, `p1`, ….
#[must_use]
pub fn plan_weighing(weights: &[u64]) -> Plan {
    let one = |(index, weight): (usize, &u64)| Partition::new(format!("p{index}"), Bytes::new()).weighing(*weight);
    Plan::new(weights.iter().enumerate().map(one).collect()).unwrap()
}

/// A request with a deadline of one second, and small partials.
#[must_use]
pub fn request() -> Request {
    Request {
        // Fixed, because the jitter of retries depends on it.
        id: QueryId::from(1),
        deadline: ms(1000),
        leaf_output: 1 << 10,
        partials_memory: 1 << 20,
        // Scripts count the attempts.
        copies: CopySettings::OFF,
        ..Request::new("test", "query")
    }
}

/// Leaves, a merge and a recorder of events, for one query or several.
pub struct Stage {
    /// Scripted leaves.
    pub leaves: Arc<Leaves>,
    /// Scripted merge.
    pub merges: Merges,
    /// Recorded events.
    pub record: Record,
}

impl Stage {
    /// A stage with these leaves, on four slots, and a merge that sorts.
    #[must_use]
    pub fn new(script: Script) -> Self {
        Self::with(script, Merges::sorted())
    }

    /// A stage with these leaves, on four slots, and this merge.
    #[must_use]
    pub fn with(script: Script, merges: Merges) -> Self {
        Self { leaves: Arc::new(Leaves::new(script, 4)), merges, record: Record::default() }
    }

    /// Replaces the leaves' runner by one with this many slots.
    #[must_use]
    pub fn on_slots(self, slots: usize) -> Self {
        Self { leaves: Arc::new(self.leaves.on_slots(slots)), ..self }
    }

    /// Services for the flow.
    #[must_use]
    pub fn root(&self) -> Services {
        Services {
            runner: self.leaves.clone(),
            merger: Arc::new(self.merges.clone()),
            events: Events::new(vec![Arc::new(self.record.clone())]),
            journal: None,
            memory: None,
        }
    }

    /// Runs a query.
    pub async fn ask(&self, request: Request, plan: Plan) -> Answer {
        self.ask_with(request, plan, CancellationToken::new()).await
    }

    /// Runs a query and cancels it after a while.
    pub async fn ask_and_cancel(&self, request: Request, plan: Plan, after: Duration) -> Answer {
        let cancel = CancellationToken::new();
        let later = cancel.clone();
        tokio::spawn(async move {
            sleep(after).await;
            later.cancel();
        });
        self.ask_with(request, plan, cancel).await
    }

    async fn ask_with(&self, request: Request, plan: Plan, cancel: CancellationToken) -> Answer {
        flow::run(request, async { Ok(plan) }, self.root(), cancel).await.unwrap()
    }
}
