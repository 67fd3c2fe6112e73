//! `--capture-failures`: stores each failed partition as a folder.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use anyhow::Context;
use bytes::Bytes;
use frond_root::{Answer, Plan};
use frond_run::{Replan, Wired};
use frond_test::capture;

use crate::exit::MachineFault;

/// Cell for the running query's plan, filled once the plan is made.
#[derive(Clone, Default)]
pub(super) struct PlanCell(Arc<OnceLock<Plan>>);

impl PlanCell {
    /// Returns the hook that stores a question's plan.
    pub(super) fn hook(&self) -> Replan {
        let cell = self.clone();
        Box::new(move |plan| {
            // A query has one plan.
            let _ = cell.0.set(plan.clone());
            Ok(plan)
        })
    }
}

/// Captures the missing partitions of `answer`, and reports the folders on stderr.
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
        let captured = capture::keep(dir, wired, (plan, query), missing);
        let captured = captured.with_context(|| {
            MachineFault::new(format!("the failed calls could not be captured in `{}`", dir.display()))
        })?;
        folders.extend(captured);
    }
    if let [first, rest @ ..] = &folders[..] {
        let more = if rest.is_empty() { String::new() } else { format!(" and {} more", rest.len()) };
        errln!("captured {}{more}; run: frond replay '{}'", first.display(), first.display());
    }
    if coverage.missing_omitted > 0 {
        errln!("{} more missing partitions are not captured", coverage.missing_omitted);
    }
    Ok(())
}
