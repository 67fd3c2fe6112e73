//! The measured work: trivial leaves, samples of pi, and text to count words in. It is the same in
//! every run.

use std::fs;
use std::ops::Range;
use std::path::Path;

use anyhow::{Context, ensure};
use bytes::Bytes;
use frond_plugin::{Decode, Encode};
use frond_root::{Content, Failure, Grain, Partition, Units};
use pi::Sampled;
use wordcount::{Counts, counts};

use crate::floor::{Task, integers};

/// The query of both apps: all defaults.
pub(crate) const QUERY: Bytes = Bytes::from_static(b"{}");

/// Makes `count` tasks of `samples` samples each.
pub(crate) fn spans(count: usize, samples: u64) -> Vec<Task> {
    (0_u32..)
        .take(count)
        .map(|index| {
            let Range { start, end } = span(index, samples);
            let data = format!("{{\"start\":{start},\"end\":{end}}}").into();
            Task { key: format!("{start}-{end}"), index, data }
        })
        .collect()
}

/// Returns the range of samples of leaf `index`.
pub(crate) fn span(index: u32, samples: u64) -> Range<i64> {
    let start = u64::from(index) * samples;
    i64::try_from(start).unwrap_or(0)..i64::try_from(start + samples).unwrap_or(0)
}

/// Converts tasks into a plan's partitions.
pub(crate) fn partitions(tasks: &[Task]) -> Vec<Partition> {
    tasks.iter().map(|task| Partition::new(task.key.as_str(), TaskContent(task.data.clone()))).collect()
}

/// Content of a task: bytes, or a part of a range whose integers are its units.
#[derive(Debug)]
struct TaskContent(Bytes);

impl Content for TaskContent {
    fn size(&self) -> u64 {
        self.0.len() as u64
    }

    fn units(&self) -> Units {
        match integers(&self.0) {
            Some(count) => Units { count, grain: Grain::Integer },
            None => Units { count: self.size(), grain: Grain::Byte },
        }
    }

    fn read(&self, offset: u64, len: usize) -> Result<Bytes, Failure> {
        self.0.read(offset, len)
    }

    fn whole(&self) -> Result<Bytes, Failure> {
        Ok(self.0.clone())
    }
}

/// Adds up samples, as pi's merge does.
pub(crate) fn add_samples(partials: Vec<Bytes>) -> anyhow::Result<Bytes> {
    let mut sum = Sampled::default();
    for partial in &partials {
        sum = sum.and(serde_json::from_slice(partial)?);
    }
    Ok(serde_json::to_vec(&sum)?.into())
}

/// Adds up counts, as wordcount's merge does.
pub(crate) fn add_counts(partials: Vec<Bytes>) -> anyhow::Result<Bytes> {
    let parts: Result<Vec<Counts>, String> = partials.into_iter().map(|one| Counts::decode(one.into())).collect();
    let merged = parts.and_then(Counts::merge).map_err(anyhow::Error::msg)?;
    Ok(merged.encode().map_err(anyhow::Error::msg)?.into())
}

/// Returns the first partial as the merged one, where only the leaves' time is measured.
pub(crate) fn keep_first(partials: Vec<Bytes>) -> anyhow::Result<Bytes> {
    partials.into_iter().next().context("nothing to merge")
}

/// Makes `pieces` texts of `size` bytes or a little less. Their words are drawn from the poems at
/// random, with a fixed seed. One in 32 is a compound of two, so that there are many rare words, as
/// in real text.
pub(crate) fn texts(pieces: u32, size: usize, poems: &Path) -> anyhow::Result<Vec<Task>> {
    let words = vocabulary(poems)?;
    let mut random = Random(1);
    let one = |index| Task { key: format!("text-{index}"), index, data: text(&words, size, &mut random).into() };
    Ok((0..pieces).map(one).collect())
}

fn vocabulary(poems: &Path) -> anyhow::Result<Vec<String>> {
    let entries = fs::read_dir(poems).with_context(|| format!("cannot read `{}`", poems.display()))?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "txt"));
    paths.sort();
    let mut words = Vec::new();
    for path in paths {
        words.extend(fs::read_to_string(path)?.split_whitespace().map(str::to_owned));
    }
    ensure!(!words.is_empty(), "there are no words in `{}`", poems.display());
    Ok(words)
}

fn text(words: &[String], size: usize, random: &mut Random) -> String {
    let mut text = String::with_capacity(size);
    for place in 1_u64.. {
        let mut word = random.pick(words).to_owned();
        if random.next().is_multiple_of(32) {
            word.extend(random.pick(words).chars().filter(|letter| letter.is_alphanumeric()));
        }
        if text.len() + word.len() + 1 > size {
            break;
        }
        text.push_str(&word);
        text.push(if place % 9 == 0 { '\n' } else { ' ' });
    }
    text
}

/// Random generator SplitMix64 (Steele, Lea and Flood 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn pick<'a>(&mut self, words: &'a [String]) -> &'a str {
        let at = usize::try_from(self.next() >> 33).unwrap_or(0) % words.len().max(1);
        words.get(at).map_or("", String::as_str)
    }
}

/// Returns the number of words, and of distinct words.
pub(crate) fn tally(counts: &Counts) -> (u64, u64) {
    counts.entries().fold((0, 0), |(total, distinct), entry: counts::Entry<'_>| (total + entry.count, distinct + 1))
}
