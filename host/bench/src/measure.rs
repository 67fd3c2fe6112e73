//! Interleaved measurement: each round runs every entrant once, so that a disturbance of the
//! machine hits all of them. Results are medians over the rounds.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// Wall time and CPU time of one run of one entrant.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    /// Wall time, in seconds.
    wall: f64,
    /// CPU time of all threads of this process, in seconds.
    cpu: f64,
}

/// One of the alternatives that are compared.
pub(crate) struct Entrant<'a> {
    name: String,
    work: Box<dyn FnMut() -> anyhow::Result<()> + 'a>,
}

impl<'a> Entrant<'a> {
    pub(crate) fn new(name: impl Into<String>, work: impl FnMut() -> anyhow::Result<()> + 'a) -> Self {
        Self { name: name.into(), work: Box::new(work) }
    }
}

/// Samples of one entrant, one for each round.
#[derive(Clone, Debug)]
pub(crate) struct Series {
    pub(crate) name: String,
    samples: Vec<Sample>,
}

impl Series {
    /// Returns the median wall time, in seconds.
    pub(crate) fn wall(&self) -> f64 {
        median(self.samples.iter().map(|sample| sample.wall))
    }

    /// Returns the median CPU time, in seconds.
    pub(crate) fn cpu(&self) -> f64 {
        median(self.samples.iter().map(|sample| sample.cpu))
    }

    /// Returns the ratio of wall times to `base`: the median of the rounds' ratios.
    pub(crate) fn times(&self, base: &Self) -> f64 {
        median(self.samples.iter().zip(&base.samples).map(|(own, base)| own.wall / base.wall))
    }

    /// Returns the ratio of CPU times to `base`: the median of the rounds' ratios.
    pub(crate) fn cpu_times(&self, base: &Self) -> f64 {
        median(self.samples.iter().zip(&base.samples).map(|(own, base)| own.cpu / base.cpu))
    }
}

/// Runs every entrant once unmeasured (warm-up), then `count` rounds of all. The order rotates by
/// one each round.
///
/// # Errors
/// Returns the first error of an entrant.
pub(crate) fn rounds<const N: usize>(count: usize, entrants: [Entrant<'_>; N]) -> anyhow::Result<[Series; N]> {
    let mut entrants = entrants;
    let mut all = entrants.each_ref().map(|one| Series { name: one.name.clone(), samples: Vec::new() });
    for one in &mut entrants {
        (one.work)()?;
    }
    for round in 0..count {
        let mut order: Vec<_> = entrants.iter_mut().zip(&mut all).collect();
        order.rotate_left(round % N.max(1));
        for (entrant, series) in order {
            series.samples.push(sample(&mut entrant.work)?);
        }
    }
    Ok(all)
}

fn sample(work: &mut dyn FnMut() -> anyhow::Result<()>) -> anyhow::Result<Sample> {
    let start = Instant::now();
    let cpu = process_cpu();
    work()?;
    Ok(Sample { wall: start.elapsed().as_secs_f64(), cpu: (process_cpu() - cpu).as_secs_f64() })
}

/// Returns the CPU time of all threads of this process so far.
fn process_cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Returns the median; 0 if there are no values.
pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    quantile(values.collect(), 0.5)
}

/// Returns the quantile `q` (0 to 1) by nearest rank; 0 if there are no values.
pub(crate) fn quantile(mut values: Vec<f64>, q: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let last = values.len().saturating_sub(1);
    values.get((q * last as f64).round() as usize).copied().unwrap_or(0.0)
}
