//! What calls cost: fuel, which is the same on every machine, and time, which is not.

use std::time::Duration;

use bytes::Bytes;
use frond_root::{Partition, PartitionKey};
use serde::Serialize;

use crate::case::{Call, Case, Fixture, Lower};
use crate::laws::partials::cut;
use crate::tester::Tester;

/// The most partitions of one query that are measured.
const MAX_PARTITIONS: usize = 64;

/// The cost of a case's calls: of a query, of its leaves one after the other.
#[derive(Clone, Debug, Serialize)]
pub struct Measurement {
    /// The case's name.
    pub name: String,
    /// What it calls.
    pub call: &'static str,
    /// How many calls one run makes.
    pub calls: u64,
    /// Bytes that go in.
    pub input: u64,
    /// Bytes that come out.
    pub output: u64,
    /// Units of fuel; 0 when unmetered.
    pub fuel: u64,
    /// The most memory of any call, in bytes.
    pub memory: u64,
    /// The quickest run, in milliseconds.
    pub ms_min: f64,
    /// The median run, in milliseconds.
    pub ms_median: f64,
    /// Runs that were timed.
    pub runs: u64,
    /// Why it could not be measured: a call failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
    /// A digest-like sum of all results, to see whether two components say the same.
    #[serde(skip)]
    pub results: Vec<Bytes>,
}

impl Measurement {
    /// Bytes in a second, by the median run.
    #[must_use]
    pub fn throughput(&self) -> f64 {
        if self.ms_median > 0.0 { self.input as f64 / (self.ms_median / 1e3) } else { 0.0 }
    }

    /// Units of fuel for each byte that goes in.
    #[must_use]
    pub fn fuel_per_byte(&self) -> f64 {
        if self.input > 0 { self.fuel as f64 / self.input as f64 } else { 0.0 }
    }
}

/// One call of a run.
pub(crate) struct CallSample {
    took: Duration,
    fuel: u64,
    memory: u64,
    pub(crate) result: Result<Bytes, String>,
}

impl Tester {
    /// Measures a case's calls, `runs` times.
    ///
    /// # Errors
    /// A case that this package cannot try.
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

    /// What a case's leaves are called on.
    pub(crate) fn leaf_calls(&self, case: &Case) -> Vec<(u32, Partition)> {
        match &case.call {
            Call::Leaf { key, index, data } => {
                vec![(*index, Partition::new(PartitionKey::from(key.as_str()), data.clone()))]
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
