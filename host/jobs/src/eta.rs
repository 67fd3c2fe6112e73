//! Estimated end of a job: a median and a ninetieth percentile, with their basis. Pure.
//!
//! Until enough partitions have settled, the estimate uses the history of the app's version: run
//! time per weight of succeeded jobs. After that it uses the job's own pace: remaining work takes
//! as long, by weight, as finished work did. The times of the n remaining partitions vary by about
//! their mean each (an exponential's coefficient of variation is 1), so their sum varies by 1/√n of
//! itself. The ninetieth percentile of a normal distribution is 1.2816 standard deviations above
//! the mean, and the last partition may have just begun. A machine's pace is not quite steady
//! either: the ninetieth percentile gets 5 % of the whole time on top, as the errors of recorded
//! runs require (the section `jobs` of the benchmarks).

use serde::Serialize;

use crate::job::{JobState, UnixMs};
use crate::store::{Job, PastJob};

/// Fewest settled partitions for an estimate by pace: the larger of a number and a fraction (1/n)
/// of all partitions.
const ENOUGH: (u64, u64) = (5, 10);
/// Ninetieth percentile of the standard normal distribution.
const Z90: f64 = 1.2816;
/// Allowance for an unsteady pace, as a fraction of the whole time.
const UNSTEADY: f64 = 0.05;
/// Run time, in milliseconds, after which a job without settled partitions and without history
/// counts as stalled.
const STALLED_MS: u64 = 60_000;

/// Estimated time until a job ends, from now, in milliseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Eta {
    /// Median.
    pub p50_ms: u64,
    /// Ninetieth percentile.
    pub p90_ms: u64,
    /// Basis of the estimate.
    pub basis: Basis,
}

/// Basis of an estimate.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Basis {
    /// Succeeded jobs of the same version of the app.
    History,
    /// The job's own pace.
    Progress,
}

/// Estimates when `job` will end.
///
/// # Errors
/// The reason, in words, why no estimate is possible.
pub fn eta(job: &Job, history: &[PastJob], slots: usize, now: UnixMs) -> Result<Eta, &'static str> {
    if job.state.is_ended() {
        return Err("it has ended");
    }
    let counts = &job.counts;
    let settled = counts.done + counts.degraded + counts.failed;
    let ran = job.started.map_or(0, |started| now.since(started));
    let enough = ENOUGH.0.max(counts.partitions / ENOUGH.1).min(counts.partitions);
    if slots == 0 {
        return Err("no worker is there to run its leaves");
    }
    if job.planned && settled >= enough && counts.settled_weight > 0 {
        return Ok(by_pace(job, settled, ran, slots));
    }
    if job.planned && job.state == JobState::Running && ran > STALLED_MS && settled == 0 && history.is_empty() {
        return Err("no partial has arrived for a while: the job may be stalled");
    }
    by_history(job, history, ran)
        .ok_or("too little of the job is done, and no job of this version of the app has succeeded yet")
}

fn by_pace(job: &Job, settled: u64, ran: u64, slots: usize) -> Eta {
    let counts = &job.counts;
    let left = counts.weight.saturating_sub(counts.settled_weight) as f64;
    let p50 = ran as f64 * left / counts.settled_weight.max(1) as f64;
    let pending = counts.partitions.saturating_sub(settled).max(1) as f64;
    // Slot time of one partition.
    let one = ran as f64 * slots as f64 / settled.max(1) as f64;
    let spread = p50 / pending.sqrt() * Z90;
    let last = if left > 0.0 { one + UNSTEADY * (ran as f64 + p50) } else { 0.0 };
    let p90 = p50 + spread + last;
    Eta { p50_ms: p50 as u64, p90_ms: p90 as u64, basis: Basis::Progress }
}

fn by_history(job: &Job, history: &[PastJob], ran: u64) -> Option<Eta> {
    let mut rates: Vec<f64> = history.iter().map(|past| past.run_ms as f64 / past.weight.max(1) as f64).collect();
    // Without a plan, the job's weight is estimated by the median of past jobs.
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
