//! Critical path: the chain of steps that determined the query's duration. The steps follow each
//! other without gaps from the start to the end, so their shares add up to 1.

use frond_root::event::GatherEnd;

use super::{Attempt, Fate, Model};
use crate::show::text::{duration, plural};

/// Limit on the merge calls that are listed one by one.
const MAX_FOLDS: usize = 6;

/// One step of the critical path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Description of the step.
    pub what: String,
    /// Its start, in microseconds since the query's start.
    pub from: u64,
    /// Its end.
    pub to: u64,
}

impl Step {
    /// Returns its duration, in microseconds.
    #[must_use]
    pub fn time(&self) -> u64 {
        self.to.saturating_sub(self.from)
    }
}

/// Builder of a path without gaps or overlaps, whatever times it is given.
struct Path {
    steps: Vec<Step>,
    now: u64,
    end: u64,
}

impl Path {
    fn step(&mut self, what: impl Into<String>, to: u64) {
        let to = to.min(self.end);
        if to > self.now {
            self.steps.push(Step { what: what.into(), from: self.now, to });
            self.now = to;
        }
    }
}

impl Model {
    /// Returns the critical path. It is empty if no time passed.
    #[must_use]
    pub fn critical_path(&self) -> Vec<Step> {
        let mut path = Path { steps: Vec::new(), now: 0, end: self.until() };
        if let Some(planned) = self.planned {
            path.step("plan", planned.at);
            self.gather_steps(&mut path);
            self.merge_steps(&mut path);
        } else {
            path.step("plan, not finished", path.end);
        }
        let rest = if self.end.is_some() { "answer" } else { "until the recording stops" };
        path.step(rest, path.end);
        path.steps
    }

    /// Returns the attempt that determined the gather's end, or still does. If the gather ended by
    /// time or cancellation, or has not ended, this is the unfinished attempt that has run longest;
    /// otherwise it is the last one to end.
    #[must_use]
    pub fn last_waited_for(&self) -> Option<&Attempt> {
        let end = self.gather_end.map_or(self.until(), |(at, _)| at);
        let in_time = || self.attempts().iter().filter(move |one| one.start <= end);
        let cut_off = in_time().filter(|one| matches!(one.fate, Fate::CutOff | Fate::Open));
        let longest = cut_off.min_by_key(|one| (one.start, one.partition));
        let last = || in_time().filter(|one| one.end <= end).max_by_key(|one| (one.end, one.time()));
        match self.gather_end {
            None | Some((_, GatherEnd::Deadline | GatherEnd::WaitOver | GatherEnd::Cancelled)) => longest.or_else(last),
            Some(_) => last(),
        }
    }

    fn gather_steps(&self, path: &mut Path) {
        let gather_end = self.gather_end.map_or(path.end, |(at, _)| at);
        if let Some(last) = self.last_waited_for() {
            let lane = self.lane(last.partition);
            let key = lane.map_or("?", |lane| &*lane.key);
            let tries = lane.map_or(&[][..], |lane| self.attempts_of(lane));
            for one in tries.iter().filter(|one| one.number <= last.number) {
                if one.number > 1 {
                    path.step(format!("pause before {key} is tried again"), one.queued);
                }
                path.step(format!("{key} waits for a slot"), one.start);
                path.step(run_of(key, one), one.end.min(gather_end));
            }
        }
        let why = match self.gather_end {
            None => "gather, not finished",
            Some((_, GatherEnd::Deadline)) => "gather waits until its deadline",
            Some((_, GatherEnd::WaitOver)) => "gather waits for more than the floor",
            Some((_, GatherEnd::MergeFailed)) => "a merge runs, and fails",
            Some(_) => "gather ends",
        };
        path.step(why, gather_end);
    }

    fn merge_steps(&self, path: &mut Path) {
        if self.gather_end.is_none() {
            return;
        }
        let after: Vec<_> = self.folds.iter().filter(|fold| fold.end.is_none_or(|end| end > path.now)).collect();
        for (index, fold) in after.iter().enumerate() {
            if index == MAX_FOLDS {
                let to = after.iter().filter_map(|fold| fold.end).max();
                let more = (after.len() - index) as u64;
                path.step(plural(more, "more merge", "more merges"), to.unwrap_or(path.now));
                break;
            }
            path.step("merge waits", fold.start);
            let what = format!("merge {} of {}", fold.number, plural(fold.inputs.into(), "partial", "partials"));
            // A merge without an end ran until the last event, unless the finish shows otherwise.
            let open_end = if self.finish.is_some() { path.now } else { path.end };
            path.step(what, fold.end.unwrap_or(open_end));
        }
        if let Some(start) = self.finish {
            path.step("merge waits", start);
            path.step("finish", path.end);
        }
    }
}

fn run_of(key: &str, one: &Attempt) -> String {
    let mut again = if one.number > 1 { format!(", attempt {}", one.number) } else { String::new() };
    if one.waited > 0 {
        again.push_str(&format!(", of which it waits {}", duration(one.waited)));
    }
    match one.fate {
        Fate::Used | Fate::Discarded => format!("{key} runs{again}"),
        Fate::Failed(kind) => format!("{key} runs{again}, and fails: {kind}"),
        Fate::CutOff => format!("{key} runs{again}, and is cut off"),
        Fate::Open => format!("{key} runs{again}, still"),
    }
}
