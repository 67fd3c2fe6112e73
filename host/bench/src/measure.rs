//! Measuring side by side: each round runs every entrant once, so that what disturbs the machine disturbs all of them,
//! and what is told are medians over the rounds.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// What one run of one entrant took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    /// Seconds on the wall.
    wall: f64,
    /// Seconds of CPU, over all threads of this process.
    cpu: f64,
}

/// One thing to measure.
pub(crate) struct Entrant<'a> {
    name: String,
    work: Box<dyn FnMut() -> anyhow::Result<()> + 'a>,
}

impl<'a> Entrant<'a> {
    pub(crate) fn new(name: impl Into<String>, work: impl FnMut() -> anyhow::Result<()> + 'a) -> Self {
        Self { name: name.into(), work: Box::new(work) }
    }
}

/// What an entrant took, round by round.
#[derive(Clone, Debug)]
pub(crate) struct Series {
    pub(crate) name: String,
    samples: Vec<Sample>,
}

impl Series {
    /// Median seconds on the wall.
    pub(crate) fn wall(&self) -> f64 {
        median(self.samples.iter().map(|sample| sample.wall))
    }

    /// Median seconds of CPU.
    pub(crate) fn cpu(&self) -> f64 {
        median(self.samples.iter().map(|sample| sample.cpu))
    }

    /// How many times as long as `base` on the wall: the median of the rounds' ratios.
    pub(crate) fn times(&self, base: &Self) -> f64 {
        median(self.samples.iter().zip(&base.samples).map(|(own, base)| own.wall / base.wall))
    }

    /// The same of CPU.
    pub(crate) fn cpu_times(&self, base: &Self) -> f64 {
        median(self.samples.iter().zip(&base.samples).map(|(own, base)| own.cpu / base.cpu))
    }
}

/// Runs every entrant once unmeasured, then `count` rounds of all, each round beginning with another of them.
///
/// # Errors
/// An entrant's own.
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
    let (start, cpu) = (Instant::now(), process_cpu());
    work()?;
    Ok(Sample { wall: start.elapsed().as_secs_f64(), cpu: (process_cpu() - cpu).as_secs_f64() })
}

/// CPU time of this process so far, all threads.
fn process_cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// The middle value; 0 of none.
pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    quantile(values.collect(), 0.5)
}

/// The value below which the share `q` lies, by the nearest rank; 0 of none.
pub(crate) fn quantile(mut values: Vec<f64>, q: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let last = values.len().saturating_sub(1);
    values.get((q * last as f64).round() as usize).copied().unwrap_or(0.0)
}
