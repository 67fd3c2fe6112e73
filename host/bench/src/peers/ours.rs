//! Frond's side of the comparison with other frameworks.

use anyhow::ensure;
use bytes::Bytes;
use frond_plugin::Decode;
use frond_root::call::{InstanceMode, Limits};
use pi::Sampled;
use wordcount::Counts;

use crate::bench::Bench;
use crate::compute::{PIECES, count_natively, piece, pool};
use crate::floor::Task;
use crate::machine::cores;
use crate::rig::{Merge, Rig, RigSettings};
use crate::work::{QUERY, partitions, spans, tally, texts};

/// Number of trivial tasks in one run.
pub(super) const TASKS: usize = 1000;

/// Rigs and inputs for both works, and the expected results.
#[cfg_attr(not(feature = "peers"), expect(dead_code, reason = "Extism's tables use some of it"))]
pub(super) struct Ours {
    pub(super) trivial: Rig,
    /// Rig of the same components, with an instance for each slot and query.
    pub(super) warm: Rig,
    pub(super) words: Rig,
    pub(super) unmetered: Rig,
    pub(super) tasks: Vec<Task>,
    /// The expected sum of all tasks.
    pub(super) sampled: Sampled,
    pub(super) texts: Vec<Task>,
    /// The expected counts of words and of distinct words in the texts.
    pub(super) tally: (u64, u64),
}

impl Ours {
    pub(super) fn new(bench: &Bench) -> anyhow::Result<Self> {
        let texts = texts(PIECES, piece(bench.quick), &crate::guests::top().join("examples/wordcount/data"))?;
        let limits = Limits { fuel: 100_000_000_000, output: 8 << 20, ..Limits::default() };
        let warm = RigSettings { instance: InstanceMode::Query, ..RigSettings::default() };
        let ours = Self {
            trivial: Rig::new(&bench.guests.pi, cores(), Limits::default())?,
            warm: Rig::with(&bench.guests.pi, cores(), Limits::default(), warm)?,
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

    pub(super) fn sample(&self, rig: &Rig) -> anyhow::Result<()> {
        let answer = rig.ask(&QUERY, partitions(&self.tasks), Merge::Component)?;
        let answer: serde_json::Value = serde_json::from_slice(&answer)?;
        let hits = answer.get("hits").and_then(serde_json::Value::as_u64);
        ensure!(hits == Some(self.sampled.hits), "Frond finds {hits:?} hits, native code {:?}", self.sampled);
        Ok(())
    }

    pub(super) fn count(&self, rig: &Rig) -> anyhow::Result<Bytes> {
        rig.ask(&QUERY, partitions(&self.texts), Merge::Component)
    }

    /// Checks a peer's counts, which must be in the encoding of wordcount's partials.
    #[cfg_attr(not(feature = "peers"), expect(dead_code, reason = "only Extism's are of this form"))]
    pub(super) fn check(&self, counts: Vec<u8>) -> anyhow::Result<()> {
        let found = tally(&Counts::decode(counts).map_err(anyhow::Error::msg)?);
        ensure!(found == self.tally, "a peer counts {found:?} words, native code {:?}", self.tally);
        Ok(())
    }
}
