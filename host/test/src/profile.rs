//! Profiles: samples of a guest's functions by cost, for the Firefox Profiler and for speedscope,
//! and the hottest functions by name.
//!
//! Speedscope has its own format here because it does not read the one that the sandbox writes: of
//! Firefox's formats it only knows the one of the profiler that Firefox had before 2018
//! (`src/import/index.ts` there, which looks for `systemHost.name`).

use frond_sandbox::profile::{Profile, Sampling};
use serde::{Deserialize, Serialize};

use crate::case::Case;
use crate::fixture::Fixture;
use crate::tester::Tester;

#[cfg(test)]
mod tests;

impl Tester {
    /// Profiles a case's calls over `runs` runs. For a query, it profiles the leaves.
    ///
    /// # Errors
    /// When this package cannot run the case, when a call fails, and when the guest cannot be
    /// sampled this way.
    pub fn profile(&self, case: &Case, sampling: Sampling, runs: u64) -> Result<Profile, Fixture> {
        let partitions = self.leaf_calls(case);
        let (observed, profile) = self.trials().profiled(&case.name, sampling, || {
            (0..runs.max(1)).try_for_each(|_| {
                let calls = self.run_once(case, &partitions)?;
                let failed = calls.into_iter().find_map(|one| one.result.err());
                failed.map_or(Ok(()), |failure| Err(Fixture::new(format!("a call failed: {failure}"))))
            })
        });
        observed?;
        profile.map_err(|error| Fixture::new(error.to_string()))
    }
}

/// Reason why a profile cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// It is not JSON of the expected form.
    #[error("is not in the format of the Firefox profiler: {0}")]
    Json(#[from] serde_json::Error),
    /// An index in one of its tables is out of bounds.
    #[error("is not in the format of the Firefox profiler: {0} is out of bounds")]
    Bounds(&'static str),
}

/// Cost of one function in a profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hot {
    /// The function's name.
    pub name: String,
    /// Weight of the samples in the function itself.
    pub own: u64,
    /// Weight of the samples in the function or in its callees.
    pub total: u64,
}

/// Returns the functions of a profile, the highest own weight first.
///
/// # Errors
/// When the profile cannot be read.
pub fn hottest(profile: &Profile) -> Result<Vec<Hot>, ReadError> {
    let stacks = Stacks::read(&profile.firefox)?;
    let mut all: Vec<Hot> = stacks.functions.iter().map(|name| Hot { name: name.clone(), own: 0, total: 0 }).collect();
    for (stack, weight) in &stacks.samples {
        let mut seen = stack.clone();
        seen.sort_unstable();
        seen.dedup();
        for function in seen {
            if let Some(hot) = all.get_mut(function) {
                hot.total += weight;
            }
        }
        if let Some(hot) = stack.last().and_then(|innermost| all.get_mut(*innermost)) {
            hot.own += weight;
        }
    }
    all.retain(|hot| hot.total > 0);
    all.sort_by(|a, b| (b.own, b.total).cmp(&(a.own, a.total)).then_with(|| a.name.cmp(&b.name)));
    Ok(all)
}

/// Converts the profile to speedscope's own format, as <https://www.speedscope.app> documents it.
///
/// # Errors
/// When the profile cannot be read.
pub fn speedscope(profile: &Profile, name: &str) -> Result<Vec<u8>, ReadError> {
    let stacks = Stacks::read(&profile.firefox)?;
    let weights: Vec<u64> = stacks.samples.iter().map(|(_, weight)| *weight).collect();
    let file = SpeedscopeFile {
        schema: "https://www.speedscope.app/file-format-schema.json",
        exporter: concat!("frond ", env!("CARGO_PKG_VERSION")),
        name,
        active_profile_index: 0,
        shared: Shared { frames: stacks.functions.iter().map(|name| SpeedscopeFrame { name }).collect() },
        profiles: [SpeedscopeProfile {
            kind: "sampled",
            name,
            unit: match profile.sampling {
                Sampling::Clock(_) => "microseconds",
                Sampling::Fuel(_) => "none",
            },
            start_value: 0,
            end_value: weights.iter().sum(),
            samples: stacks.samples.iter().map(|(stack, _)| stack.as_slice()).collect(),
            weights,
        }],
    };
    Ok(serde_json::to_vec(&file)?)
}

/// Profile in the format of speedscope.
#[derive(Serialize)]
struct SpeedscopeFile<'a> {
    #[serde(rename = "$schema")]
    schema: &'a str,
    exporter: &'a str,
    name: &'a str,
    #[serde(rename = "activeProfileIndex")]
    active_profile_index: u64,
    shared: Shared<'a>,
    profiles: [SpeedscopeProfile<'a>; 1],
}

/// Frames that the profiles of a speedscope file share.
#[derive(Serialize)]
struct Shared<'a> {
    frames: Vec<SpeedscopeFrame<'a>>,
}

/// Frame of a speedscope file: a function.
#[derive(Serialize)]
struct SpeedscopeFrame<'a> {
    name: &'a str,
}

/// Sampled profile of a speedscope file.
#[derive(Serialize)]
struct SpeedscopeProfile<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    name: &'a str,
    unit: &'a str,
    #[serde(rename = "startValue")]
    start_value: u64,
    #[serde(rename = "endValue")]
    end_value: u64,
    samples: Vec<&'a [usize]>,
    weights: Vec<u64>,
}

/// Samples of a profile: the functions on each stack, outermost first, and the sample's weight.
struct Stacks {
    functions: Vec<String>,
    samples: Vec<(Vec<usize>, u64)>,
}

/// The fields that are read of the "processed profile format", version 55, as wasmtime 48 writes
/// it.
#[derive(Deserialize)]
struct Firefox {
    threads: Vec<Thread>,
}

/// Thread of a Firefox profile, as wasmtime writes it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Thread {
    samples: Samples,
    stack_table: StackTable,
    frame_table: FrameTable,
    func_table: FuncTable,
    string_array: Vec<String>,
}

/// Samples of a Firefox profile, each with its stack and weight.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Samples {
    stack: Vec<Option<usize>>,
    #[serde(rename = "threadCPUDelta")]
    weights: Vec<Option<u64>>,
}

/// Stacks of a Firefox profile, each a frame below a shorter stack.
#[derive(Deserialize)]
struct StackTable {
    prefix: Vec<Option<usize>>,
    frame: Vec<usize>,
}

/// Frames of a Firefox profile, each of a function.
#[derive(Deserialize)]
struct FrameTable {
    func: Vec<usize>,
}

/// Functions of a Firefox profile, each with its name.
#[derive(Deserialize)]
struct FuncTable {
    name: Vec<usize>,
}

impl Stacks {
    fn read(firefox: &[u8]) -> Result<Self, ReadError> {
        let read: Firefox = serde_json::from_slice(firefox)?;
        let thread = read.threads.first().ok_or(ReadError::Bounds("the thread"))?;
        let name = |index: &usize| thread.string_array.get(*index).cloned().ok_or(ReadError::Bounds("a name"));
        let functions = thread.func_table.name.iter().map(name).collect::<Result<Vec<_>, _>>()?;
        if thread.frame_table.func.iter().any(|function| *function >= functions.len()) {
            return Err(ReadError::Bounds("a function"));
        }
        let mut samples = Vec::with_capacity(thread.samples.stack.len());
        for (stack, weight) in thread.samples.stack.iter().zip(&thread.samples.weights) {
            samples.push((thread.functions_of(*stack)?, weight.unwrap_or(0)));
        }
        Ok(Self { functions, samples })
    }
}

impl Thread {
    /// Returns the functions on a stack, outermost first.
    fn functions_of(&self, mut at: Option<usize>) -> Result<Vec<usize>, ReadError> {
        let mut found = Vec::new();
        while let Some(index) = at {
            let frame = self.stack_table.frame.get(index).ok_or(ReadError::Bounds("a stack"))?;
            found.push(*self.frame_table.func.get(*frame).ok_or(ReadError::Bounds("a frame"))?);
            at = *self.stack_table.prefix.get(index).ok_or(ReadError::Bounds("a stack"))?;
            // A prefix has a lower index than its stack: otherwise this loop might not end.
            if at.is_some_and(|before| before >= index) {
                return Err(ReadError::Bounds("a stack's prefix"));
            }
        }
        found.reverse();
        Ok(found)
    }
}
