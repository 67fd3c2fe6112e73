//! Selection of partitions for the waterfall: all of a short plan; else the failed and the slowest
//! ones, up to a limit.

use std::cmp::Reverse;

use crate::show::model::{Fate, Lane, Model};
use crate::show::text::count;

/// Largest number of partitions that are all shown, in the order of the plan.
const MAX_ALL: usize = 40;
/// Beyond that, the limit on failed partitions and on the slowest of the others.
const MAX_EACH: usize = 20;

/// A group of partitions.
#[derive(Debug)]
pub struct Section<'a> {
    /// The heading, if not all partitions are shown.
    pub heading: Option<String>,
    /// The partitions.
    pub lanes: Vec<&'a Lane>,
    /// Number of partitions that are not shown at all; only the last group has it.
    pub more: u64,
}

/// Returns the partitions to show, in groups.
#[must_use]
pub fn sections(model: &Model) -> Vec<Section<'_>> {
    if model.lanes.len() <= MAX_ALL {
        return vec![Section {
            heading: None,
            lanes: model.lanes.iter().collect(),
            more: model.partitions() - model.lanes.len() as u64,
        }];
    }
    let (mut failed, mut others): (Vec<&Lane>, Vec<&Lane>) =
        model.lanes.iter().partition(|lane| has_failed(model, lane));
    let time = |lane: &Lane| model.attempts_of(lane).iter().map(|one| u128::from(one.time())).sum::<u128>();
    // Partitions that never ran come last.
    failed.sort_by_cached_key(|lane| (model.attempts_of(lane).is_empty(), lane.index));
    others.sort_by_cached_key(|lane| (Reverse(time(lane)), lane.index));
    let failures = failed.len();
    let rest = others.len();
    failed.truncate(MAX_EACH);
    others.truncate(MAX_EACH);
    let shown = (failed.len() + others.len()) as u64;
    let heading = |what: &str, shown: usize, all: usize| Some(format!("{what}: {} of {}", shown, count(all as u64)));
    let sections = [
        Section { heading: heading("missing or failed", failed.len(), failures), lanes: failed, more: 0 },
        Section {
            heading: heading("slowest of the others", others.len(), rest),
            lanes: others,
            more: model.partitions() - shown,
        },
    ];
    sections.into_iter().filter(|section| !section.lanes.is_empty() || section.more > 0).collect()
}

/// Returns true if the partition is missing, or has failed attempts and no successful one.
fn has_failed(model: &Model, lane: &Lane) -> bool {
    let failed = |fate: Fate| matches!(fate, Fate::Failed(_) | Fate::CutOff);
    let attempts = model.attempts_of(lane);
    lane.missing.is_some()
        || (attempts.iter().any(|one| failed(one.fate)) && attempts.iter().all(|one| one.fate != Fate::Used))
}
