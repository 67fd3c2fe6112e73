//! A job's plan: stored once, and read again by each owner that resumes the job.

use std::sync::Arc;

use frond_root::plan::StoredPartials;
use frond_root::{Content, Error, Notes, Partition, Plan, Unreadable};

use super::exit::Exit;
use super::lease::Lease;
use crate::job::JobId;
use crate::quota::Meter;
use crate::store::{Locator, PartitionPage, PartitionPlan, PartitionRow, PartitionState, PlanRecord, plan_bytes};
use crate::work::AppVersion;

/// Partitions per read.
const PAGE: u32 = 5_000;

/// Stores a plan and the version of the app that made it.
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

/// Reads the stored plan of a job.
pub(super) async fn recalled(lease: &Lease, id: JobId, app_version: &dyn AppVersion) -> Result<Plan, Exit> {
    let notes = Arc::new(Notes::default());
    let mut partitions = Vec::new();
    let mut stored = StoredPartials::default();
    let mut after = None;
    loop {
        let page = PartitionPage { after, limit: PAGE, states: Vec::new() };
        let rows = lease.until_available(|store| store.partitions(id, &page)).await?;
        let Some(last) = rows.last() else { break };
        after = Some(last.index);
        for row in rows {
            for range in &row.parts {
                stored.add_part(row.index, *range);
            }
            if row.parts.is_empty() && matches!(row.state, PartitionState::Done | PartitionState::Degraded) {
                stored.add_whole(row.index);
            }
            partitions.push(partition(row, app_version, &notes));
        }
    }
    let job_query = lease.until_available(|store| store.asked(id)).await?;
    // Valid, since it was a valid plan when it was stored.
    let plan = Plan::new(partitions).unwrap_or_default().noting(notes);
    let plan = match job_query.planned {
        Some(query) => plan.asking(query),
        None => plan,
    };
    Ok(plan.keeping(stored))
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
