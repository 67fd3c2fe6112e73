//! Cost of calls: fuel, which is the same on every machine, and time, which is not.

use std::time::Duration;

use bytes::Bytes;
use frond_root::Partition;
use serde::Serialize;

use crate::case::{Call, Case, Lower};
use crate::fixture::Fixture;
use crate::laws::partials::cut;
use crate::tester::Tester;

/// Limit on the measured partitions of one query.
const MAX_PARTITIONS: usize = 64;

/// Cost of a case's calls. For a query, its leaves are called one after the other.
#[derive(Clone, Debug, Serialize)]
pub struct Measurement {
    /// The case's name.
    pub name: String,
    /// The name of the call.
    pub call: &'static str,
    /// Number of calls in one run.
    pub calls: u64,
    /// Bytes of input of one run.
    pub input: u64,
    /// Bytes of output of one run.
    pub output: u64,
    /// Units of fuel of one run; 0 when unmetered.
    pub fuel: u64,
    /// The highest memory use of any call, in bytes.
    pub memory: u64,
    /// Time of the fastest run, in milliseconds.
    pub ms_min: f64,
    /// Time of the median run, in milliseconds.
    pub ms_median: f64,
    /// Number of timed runs.
    pub runs: u64,
    /// The failure of a call, which ends the measurement.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
    /// Results of the first run, to compare two components.
    #[serde(skip)]
    pub results: Vec<Bytes>,
}

impl Measurement {
    /// Returns bytes of input per second, by the median run.
    #[must_use]
    pub fn throughput(&self) -> f64 {
        if self.ms_median > 0.0 { self.input as f64 / (self.ms_median / 1e3) } else { 0.0 }
    }

    /// Returns units of fuel per byte of input.
    #[must_use]
    pub fn fuel_per_byte(&self) -> f64 {
        if self.input > 0 { self.fuel as f64 / self.input as f64 } else { 0.0 }
    }
}

/// Cost and result of one call.
pub(crate) struct CallSample {
    took: Duration,
    fuel: u64,
    memory: u64,
    pub(crate) result: Result<Bytes, String>,
}

impl Tester {
    /// Measures a case's calls in `runs` runs.
    ///
    /// # Errors
    /// When this package cannot run the case.
    pub fn measure(&self, case: &Case, runs: u64) -> Result<Measurement, Fixture> {
        let partitions = self.leaf_calls(case);
        let mut measured = Measurement {
            name: case.name.clone(),
            call: case.call.name(),
            calls: 1.max(partitions.len() as u64),
            input: input(case, &partitions),
            output: 0,
            fuel: 0,
            memory: 0,
            ms_min: 0.0,
            ms_median: 0.0,
            runs,
            failed: None,
            results: Vec::new(),
        };
        let mut times = Vec::new();
        for run in 0..runs.max(1) {
            let calls = self.run_once(case, &partitions)?;
            times.push(calls.iter().map(|one| one.took).sum::<Duration>());
            if run == 0 {
                measured.keep(calls);
            }
            if measured.failed.is_some() {
                break;
            }
        }
        times.sort_unstable();
        let ms = |time: Option<&Duration>| time.map_or(0.0, |time| frond_root::answer::millis(*time));
        measured.ms_min = ms(times.first());
        measured.ms_median = ms(times.get(times.len() / 2));
        Ok(measured)
    }

    /// Returns the partitions on which the case calls the leaf, with their indices.
    pub(crate) fn leaf_calls(&self, case: &Case) -> Vec<(u32, Partition)> {
        match &case.call {
            Call::Leaf { key, index, data } => {
                vec![(*index, self.package.partition(key, data.clone()))]
            }
            Call::Query(promises) => (0_u32..).zip(cut(self, case, promises, MAX_PARTITIONS)).collect(),
            _ => Vec::new(),
        }
    }

    pub(crate) fn run_once(&self, case: &Case, partitions: &[(u32, Partition)]) -> Result<Vec<CallSample>, Fixture> {
        if partitions.is_empty() {
            let observed = self.come(case)?;
            return Ok(vec![CallSample {
                took: observed.took,
                fuel: observed.usage.fuel,
                memory: observed.usage.memory,
                result: observed.result.map_err(|without| without.text()),
            }]);
        }
        let Some(leaf) = &self.components.leaf else {
            return Err(Fixture::new("calls the leaf, which this package does not have"));
        };
        let once = |one: &(u32, Partition)| {
            let trial = self.call_leaf(leaf, &case.query, one.clone(), &Lower::default())?;
            Ok(CallSample {
                took: trial.took,
                fuel: trial.usage.fuel,
                memory: trial.usage.memory,
                result: trial.result.map_err(|failure| failure.to_string()),
            })
        };
        partitions.iter().map(once).collect()
    }
}

impl Measurement {
    fn keep(&mut self, calls: Vec<CallSample>) {
        for one in calls {
            self.fuel += one.fuel;
            self.memory = self.memory.max(one.memory);
            match one.result {
                Ok(bytes) => {
                    self.output += bytes.len() as u64;
                    self.results.push(bytes);
                }
                Err(failure) => self.failed = self.failed.take().or(Some(failure)),
            }
        }
    }
}

fn input(case: &Case, partitions: &[(u32, Partition)]) -> u64 {
    let content: u64 = partitions.iter().map(|(_, one)| one.content.size()).sum();
    content
        + match &case.call {
            Call::Merge { partials } => partials.iter().map(|one| one.len() as u64).sum(),
            Call::Finish { merged, .. } => merged.as_ref().map_or(0, |merged| merged.len() as u64),
            _ => 0,
        }
}
