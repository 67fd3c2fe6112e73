//! When a job is likely to end: a median and a ninetieth percentile, and what they stand on. Pure.
//!
//! Until enough partitions are in, the history of the app's version tells: run time by weight of jobs that succeeded. After
//! that the job's own pace does: what is left takes as long, by weight, as what is done. The times of n partitions that are
//! left vary by about their mean each (an exponential's coefficient of variation is 1), so their sum by √n of it: the
//! ninetieth percentile of a normal is 1.2816 of that above, and the last of them may have just begun. A machine's pace is not
//! quite steady either: the ninetieth percentile has 5 % of the whole on top, which the errors of recorded runs ask for (the
//! section `jobs` of the benchmarks).

use serde::Serialize;

use crate::job::{JobState, UnixMs};
use crate::store::{Job, PastJob};

/// So many partitions, and this part of all, must be in before a job's own pace counts.
const ENOUGH: (u64, u64) = (5, 10);
/// The ninetieth percentile of a standard normal.
const Z90: f64 = 1.2816;
/// How much of the whole time the pace may be off by.
const UNSTEADY: f64 = 0.05;
/// Without news for so many times what a partition takes, and for this long, a job stalls.
const STALLED_MS: u64 = 60_000;

/// When a job is likely to end, from now, in milliseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Eta {
    /// As likely before as after.
    pub p50_ms: u64,
    /// Nine of ten end before.
    pub p90_ms: u64,
    /// What it stands on.
    pub basis: Basis,
}

/// What an estimate stands on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Basis {
    /// Jobs of the same version of the app that succeeded.
    History,
    /// The job's own pace.
    Progress,
}

/// When `job` is likely to end, or why that cannot be told.
///
/// # Errors
/// The reason, in words.
pub fn eta(job: &Job, history: &[PastJob], slots: usize, now: UnixMs) -> Result<Eta, &'static str> {
    if job.state.is_ended() {
        return Err("it has ended");
    }
    let counts = &job.counts;
    let settled = counts.done + counts.degraded + counts.failed;
    let ran = job.started.map_or(0, |started| now.since(started));
    let enough = ENOUGH.0.max(counts.partitions / ENOUGH.1).min(counts.partitions);
    if job.planned && settled >= enough && counts.settled_weight > 0 {
        return Ok(by_pace(job, settled, ran, slots));
    }
    if job.planned && job.state == JobState::Running && ran > STALLED_MS && settled == 0 && history.is_empty() {
        return Err("nothing has arrived for a while: it may be stalled");
    }
    by_history(job, history, ran)
        .ok_or("too little of it is done, and no job of this version of the app has succeeded yet")
}

fn by_pace(job: &Job, settled: u64, ran: u64, slots: usize) -> Eta {
    let counts = &job.counts;
    let left = counts.weight.saturating_sub(counts.settled_weight) as f64;
    let p50 = ran as f64 * left / counts.settled_weight.max(1) as f64;
    let pending = counts.partitions.saturating_sub(settled).max(1) as f64;
    // What one partition takes of a slot.
    let one = ran as f64 * slots.max(1) as f64 / settled.max(1) as f64;
    let spread = p50 / pending.sqrt() * Z90;
    let last = if left > 0.0 { one + UNSTEADY * (ran as f64 + p50) } else { 0.0 };
    let p90 = p50 + spread + last;
    Eta { p50_ms: p50 as u64, p90_ms: p90 as u64, basis: Basis::Progress }
}

fn by_history(job: &Job, history: &[PastJob], ran: u64) -> Option<Eta> {
    let mut rates: Vec<f64> = history.iter().map(|past| past.run_ms as f64 / past.weight.max(1) as f64).collect();
    // Before there is a plan, a job weighs what others did.
    let typical = median(history.iter().map(|past| past.weight as f64).collect())?;
    let weight = if job.planned { job.counts.weight as f64 } else { typical };
    rates.sort_by(f64::total_cmp);
    let at = |share: f64| rates.get(((rates.len() as f64 * share).ceil() as usize).clamp(1, rates.len()) - 1).copied();
    let left = |rate: f64| (rate * weight - ran as f64).max(0.0) as u64;
    Some(Eta { p50_ms: left(at(0.5)?), p90_ms: left(at(0.9)?), basis: Basis::History })
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

#[cfg(test)]
mod tests;
