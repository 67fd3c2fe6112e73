//! Comparison with other frameworks, interleaved in one run: 1,000 trivial tasks, added up, and a
//! word count of 64 MiB of text in 16 parts, merged.
//!
//! Each framework does the work in the way that its manual shows. Start-up is not measured:
//! workers, pools and compiled plugins are ready and warm.

#[cfg(feature = "peers")]
mod extism;
mod ours;
mod python;

use ours::Ours;

use crate::bench::Bench;

pub(crate) fn run(bench: &mut Bench) -> anyhow::Result<()> {
    bench.report.section("Peers: the same work, as many workers as cores");
    let ours = Ours::new(bench)?;
    #[cfg(feature = "peers")]
    extism::run(bench, &ours)?;
    #[cfg(not(feature = "peers"))]
    bench.report.note("Extism: skipped, as this program was built without its feature `peers`.");
    python::run(bench, &ours)
}
