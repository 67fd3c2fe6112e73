//! Comparison with other frameworks, interleaved in one run: 1,000 trivial tasks, added up, and a
//! word count of 64 MiB of text in 16 parts, merged.
//!
//! Each framework does the work in the way that its manual shows. Start-up is not measured:
//! workers, pools and compiled plugins are ready and warm.

#[cfg(feature = "peers")]
mod extism;
mod python;

use anyhow::ensure;
use bytes::Bytes;
use frond_plugin::Decode;
use frond_sandbox::Limits;
use pi::Sampled;
use wordcount::Counts;

use crate::Bench;
use crate::compute::{PIECES, count_natively, piece, pool};
use crate::floor::Task;
use crate::machine::cores;
use crate::rig::{Merge, Rig};
use crate::work::{QUERY, partitions, spans, tally, texts};

/// Number of trivial tasks in one run.
const TASKS: usize = 1000;

/// Frond's side of the comparison: rigs and inputs for both works, and the expected results.
struct Ours {
    trivial: Rig,
    words: Rig,
    unmetered: Rig,
    tasks: Vec<Task>,
    /// The expected sum of all tasks.
    sampled: Sampled,
    texts: Vec<Task>,
    /// The expected counts of words and of distinct words in the texts.
    tally: (u64, u64),
}

pub(crate) fn run(bench: &mut Bench) -> anyhow::Result<()> {
    bench.report.section("Peers: the same work, as many workers as cores");
    let ours = Ours::new(bench)?;
    #[cfg(feature = "peers")]
    extism::run(bench, &ours)?;
    #[cfg(not(feature = "peers"))]
    bench.report.note("Extism: skipped, as this program was built without its feature `peers`.");
    python::run(bench, &ours)
}

impl Ours {
    fn new(bench: &Bench) -> anyhow::Result<Self> {
        let texts = texts(PIECES, piece(bench.quick), &crate::guests::top().join("examples/wordcount/data"))?;
        let limits = Limits { fuel: 100_000_000_000, output: 8 << 20, ..Limits::default() };
        let ours = Self {
            trivial: Rig::new(&bench.guests.pi, cores(), Limits::default())?,
            words: Rig::new(&bench.guests.wordcount, cores(), limits)?,
            unmetered: Rig::new(&bench.guests.wordcount, cores(), Limits { fuel: 0, ..limits })?,
            tasks: spans(TASKS, 1),
            sampled: pi::sample(1, 0..TASKS as i64),
            tally: tally(&count_natively(&pool(cores())?, &texts).map_err(anyhow::Error::msg)?),
            texts,
        };
        let answer: serde_json::Value = serde_json::from_slice(&ours.count(&ours.words)?)?;
        let counted = |key| answer.get(key).and_then(serde_json::Value::as_u64).unwrap_or(0);
        let found = (counted("total"), counted("distinct"));
        ensure!(found == ours.tally, "Frond counts {found:?} words, native code {:?}", ours.tally);
        Ok(ours)
    }

    fn sample(&self) -> anyhow::Result<()> {
        let answer = self.trivial.ask(&QUERY, partitions(&self.tasks), Merge::Component)?;
        let answer: serde_json::Value = serde_json::from_slice(&answer)?;
        let hits = answer.get("hits").and_then(serde_json::Value::as_u64);
        ensure!(hits == Some(self.sampled.hits), "Frond finds {hits:?} hits, native code {:?}", self.sampled);
        Ok(())
    }

    fn count(&self, rig: &Rig) -> anyhow::Result<Bytes> {
        rig.ask(&QUERY, partitions(&self.texts), Merge::Component)
    }

    /// Checks a peer's counts, which must be in the encoding of wordcount's partials.
    #[cfg_attr(not(feature = "peers"), expect(dead_code, reason = "only Extism's are of this form"))]
    fn check(&self, counts: Vec<u8>) -> anyhow::Result<()> {
        let found = tally(&Counts::decode(counts).map_err(anyhow::Error::msg)?);
        ensure!(found == self.tally, "a peer counts {found:?} words, native code {:?}", self.tally);
        Ok(())
    }
}
