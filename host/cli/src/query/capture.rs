//! `--capture-failures`: each partition that failed, kept as a folder.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use anyhow::Context;
use bytes::Bytes;
use frond_root::{Answer, Plan};
use frond_run::{Replan, Wired};
use frond_test::capture;

use crate::exit::MachineFault;

/// The plan of the query under way, once it is cut.
#[derive(Clone, Default)]
pub(super) struct PlanCell(Arc<OnceLock<Plan>>);

impl PlanCell {
    /// What a question does with its plan.
    pub(super) fn hook(&self) -> Replan {
        let kept = self.clone();
        Box::new(move |plan| {
            // A query is cut once.
            let _ = kept.0.set(plan.clone());
            Ok(plan)
        })
    }
}

/// Keeps what is missing from `answer`, and says where.
pub(super) fn keep(
    dir: &Path,
    wired: &Wired,
    planned: &PlanCell,
    query: &Bytes,
    answer: &Answer,
) -> anyhow::Result<()> {
    let Some(plan) = planned.0.get() else {
        return Ok(());
    };
    let coverage = answer.coverage();
    let mut folders = Vec::new();
    for missing in &coverage.missing {
        let kept = capture::keep(dir, wired, (plan, query), missing);
        folders.extend(
            kept.with_context(|| MachineFault::new(format!("what failed could not be kept in `{}`", dir.display())))?,
        );
    }
    if let [first, rest @ ..] = &folders[..] {
        let more = if rest.is_empty() { String::new() } else { format!(" and {} more", rest.len()) };
        errln!("captured {}{more}; run: frond replay '{}'", first.display(), first.display());
    }
    if coverage.missing_omitted > 0 {
        errln!("{} more failed than are kept", coverage.missing_omitted);
    }
    Ok(())
}
