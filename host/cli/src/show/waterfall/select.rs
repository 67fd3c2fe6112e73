//! Which partitions of a long run are worth a line: all that failed, and the slowest, up to a bound.

use std::cmp::Reverse;

use crate::show::model::{Fate, Lane, Model};
use crate::show::text::count;

/// Up to so many partitions are all shown, in the order of the plan.
const MAX_ALL: usize = 40;
/// Of more than that, so many of those that failed, and so many of the slowest.
const MAX_EACH: usize = 20;

/// Partitions that are shown together.
#[derive(Debug)]
pub struct Section<'a> {
    /// What they have in common, when not all are shown.
    pub heading: Option<String>,
    /// The partitions.
    pub lanes: Vec<&'a Lane>,
    /// How many partitions of the query are shown nowhere, told under the last section.
    pub more: u64,
}

/// The partitions to show.
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
    // Those that never ran have the least to show.
    failed.sort_by_cached_key(|lane| (model.attempts_of(lane).is_empty(), lane.index));
    others.sort_by_cached_key(|lane| (Reverse(time(lane)), lane.index));
    let (failures, rest) = (failed.len(), others.len());
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

/// Missing, or without a success among its attempts.
fn has_failed(model: &Model, lane: &Lane) -> bool {
    let failed = |fate: Fate| matches!(fate, Fate::Failed(_) | Fate::CutOff);
    let attempts = model.attempts_of(lane);
    lane.missing.is_some()
        || (attempts.iter().any(|one| failed(one.fate)) && attempts.iter().all(|one| one.fate != Fate::Used))
}
