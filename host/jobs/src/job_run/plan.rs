//! A job's plan, written down once and read again by whoever goes on with the job.

use std::collections::BTreeSet;
use std::sync::Arc;

use frond_root::{Content, Error, Notes, Partition, Plan, Unreadable};

use super::Exit;
use super::lease::Lease;
use crate::job::JobId;
use crate::quota::Meter;

use crate::store::{Locator, PartitionPage, PartitionPlan, PartitionRow, PartitionState, PlanRecord, plan_bytes};
use crate::work::AppVersion;

/// Partitions read at once.
const PAGE: u32 = 5_000;

/// Writes a plan down, and which version of the app made it.
pub(super) async fn kept(
    lease: &Lease,
    meter: &Meter,
    id: JobId,
    plan: &Plan,
    version: String,
) -> Result<Result<(), Error>, Exit> {
    let partitions: Result<Vec<_>, _> = plan.partitions().iter().map(planned).collect();
    let partitions = match partitions {
        Ok(partitions) => partitions,
        Err(error) => return Ok(Err(error)),
    };
    let planned = PlanRecord { version, query: plan.query().cloned(), partitions };
    let epoch = lease.epoch();
    lease.meters(meter, plan_bytes(&planned)).await?;
    lease.until_available(|store| store.plan(id, epoch, planned.clone())).await?;
    Ok(Ok(()))
}

fn planned(partition: &Partition) -> Result<PartitionPlan, Error> {
    let place = match partition.content.place() {
        Some(place) => Locator::Elsewhere(place),
        None => Locator::Inline(partition.content.whole().map_err(|failure| Error::Source(Box::new(failure)))?),
    };
    Ok(PartitionPlan { key: partition.key.clone(), weight: partition.weight, place })
}

/// Reads it again.
pub(super) async fn recalled(lease: &Lease, id: JobId, app_version: &dyn AppVersion) -> Result<Plan, Exit> {
    let notes = Arc::new(Notes::default());
    let (mut partitions, mut kept) = (Vec::new(), BTreeSet::new());
    let mut after = None;
    loop {
        let page = PartitionPage { after, limit: PAGE, states: Vec::new() };
        let rows = lease.until_available(|store| store.partitions(id, &page)).await?;
        let Some(last) = rows.last() else { break };
        after = Some(last.index);
        for row in rows {
            if matches!(row.state, PartitionState::Done | PartitionState::Degraded) {
                kept.insert(row.index);
            }
            partitions.push(partition(row, app_version, &notes));
        }
    }
    let asked = lease.until_available(|store| store.asked(id)).await?;
    // It was a plan before.
    let plan = Plan::new(partitions).unwrap_or_default().noting(notes);
    let plan = match asked.planned {
        Some(query) => plan.asking(query),
        None => plan,
    };
    Ok(plan.keeping(kept))
}

fn partition(row: PartitionRow, app_version: &dyn AppVersion, notes: &Arc<Notes>) -> Partition {
    let content: Arc<dyn Content> = match row.place {
        Locator::Inline(bytes) => Arc::new(bytes),
        Locator::Elsewhere(place) => match app_version.content(&place, notes) {
            Ok(content) => content,
            Err(failure) => Arc::new(Unreadable::new(failure, 0)),
        },
    };
    Partition { key: row.key, weight: row.weight, content }
}
