//! Schedule: into which parts a content is cut, in which pieces it is taken, and where a leaf is
//! killed.

use std::iter::{once, repeat_with};
use std::ops::Range;

use rand::RngExt;
use rand::rngs::ChaCha12Rng;
use rand::seq::IndexedRandom;

use super::sample::{Sample, runs};

/// Limit on the cuts of a random schedule.
const MAX_CUTS: usize = 4;
/// Limit on the places of piece ends in a counter-example.
const MAX_SHOWN: usize = 8;
/// Limit on the pieces of a random schedule.
const MAX_PIECES: u64 = 1 << 10;

/// Way to take a content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Schedule {
    /// Units before which the content is cut: sorted, each once, none at the begin or the end.
    pub(super) cuts: Vec<u64>,
    /// Units before which a piece ends: sorted, each once. Each part ends one, too.
    pub(super) ends: Vec<u64>,
    /// The leaf that has this unit is killed before it. Its last kept partial counts, and the rest
    /// of its part is taken by another one.
    pub(super) kill: Option<u64>,
    /// True if the last part is taken first.
    pub(super) backwards: bool,
}

impl Schedule {
    /// Returns a random schedule that tries what a leaf keeps: the partition is not cut, its pieces
    /// are the smallest, and the leaf is killed late.
    pub(super) fn keeping(sample: &Sample, random: &mut ChaCha12Rng) -> Self {
        let units = sample.units();
        let least = least_piece(units);
        let ends = (1..).map(|number| number * least).take_while(|end| *end < units).collect();
        let kill = Some(random.random_range(units / 2..units));
        Self { cuts: Vec::new(), ends, kill, backwards: false }.within(units)
    }

    /// Returns a random schedule. Half of its places are at the ends of records or beside them,
    /// where most mistakes are.
    pub(super) fn random(sample: &Sample, random: &mut ChaCha12Rng) -> Self {
        let units = sample.units();
        let ends = sample.ends();
        let place = |random: &mut ChaCha12Rng| match ends.choose(random) {
            Some(end) if random.random() => (end + random.random_range(0..=2)).saturating_sub(1),
            _ => random.random_range(1..units),
        };
        let cuts = (0..random.random_range(0..=MAX_CUTS)).map(|_| place(random)).collect();
        let least = least_piece(units);
        let size = [least, least * 2, units / 16, units / 3, units];
        let size = size.choose(random).copied().unwrap_or(units).max(least);
        let sizes = repeat_with(|| random.random_range(least..=size * 2)).scan(0, |end, size| {
            *end += size;
            Some(*end)
        });
        let ends = sizes.take_while(|end| *end < units).collect();
        let kill = random.random::<bool>().then(|| place(random));
        Self { cuts, ends, kill, backwards: random.random() }.within(units)
    }

    /// Sorts the cuts, and drops places beyond the content.
    fn within(mut self, units: u64) -> Self {
        for places in [&mut self.cuts, &mut self.ends] {
            places.retain(|place| (1..units).contains(place));
            places.sort_unstable();
            places.dedup();
        }
        self.kill = self.kill.filter(|kill| (1..units).contains(kill));
        self.backwards &= !self.cuts.is_empty();
        self
    }

    /// Parts of a content, in the order in which they are taken.
    pub(super) fn parts(&self, units: u64) -> Vec<Range<u64>> {
        let begins = [0].iter().chain(&self.cuts);
        let ends = self.cuts.iter().chain([&units]);
        let mut parts: Vec<Range<u64>> = begins.zip(ends).map(|(begin, end)| *begin..*end).collect();
        if self.backwards {
            parts.reverse();
        }
        parts
    }

    /// Returns this schedule for contents with fewer records, then simpler schedules of the same
    /// content, last this schedule for contents with shorter records.
    pub(super) fn simpler(&self, sample: &Sample) -> impl Iterator<Item = (Sample, Self)> {
        let without = move |range: Range<u64>| {
            let left = sample.without(&range)?;
            let schedule = self.without(&range).within(left.units());
            Some((left, schedule))
        };
        let fewer = sample.record_runs().into_iter().filter_map(without);
        let simpler = self.simplified(sample.units()).into_iter().map(|one| (sample.clone(), one));
        let shorter = sample.byte_runs().into_iter().filter_map(without);
        fewer.chain(simpler).chain(shorter)
    }

    fn simplified(&self, units: u64) -> Vec<Self> {
        let own = self.clone();
        let mut simpler = vec![
            Self { kill: None, ..own.clone() },
            Self { backwards: false, ..own.clone() },
            Self { ends: Vec::new(), ..own.clone() },
        ];
        simpler.extend(fewer(&self.cuts).map(|cuts| Self { cuts, ..own.clone() }));
        simpler.extend(fewer(&self.ends).map(|ends| Self { ends, ..own.clone() }));
        simpler.into_iter().map(|one| one.within(units)).filter(|one| one != self).collect()
    }

    /// Moves the places to where they are without a range of units.
    fn without(&self, range: &Range<u64>) -> Self {
        let moved = |place: u64| place.min(range.start) + place.saturating_sub(range.end);
        Self {
            cuts: self.cuts.iter().map(|cut| moved(*cut)).collect(),
            ends: self.ends.iter().map(|end| moved(*end)).collect(),
            kill: self.kill.map(moved),
            ..self.clone()
        }
    }

    /// Describes the schedule.
    pub(super) fn shown(&self, sample: &Sample) -> String {
        let units = sample.units();
        let mut text = match self.cuts.as_slice() {
            [] => "the same, not cut".to_owned(),
            cuts => {
                let places: Vec<_> = cuts.iter().map(|cut| sample.place(*cut)).collect();
                let parts: Vec<_> = self.parts(units).iter().map(|part| sample.shown(part)).collect();
                format!("the same, cut before {}: {}", places.join(" and "), parts.join(", then "))
            }
        };
        match self.ends.as_slice() {
            [] => {}
            ends if ends.len() <= MAX_SHOWN => {
                let places: Vec<_> = ends.iter().map(|end| sample.place(*end)).collect();
                text = format!("{text}, in pieces that end before {}", places.join(" and "));
            }
            ends => text = format!("{text}, in {} pieces", ends.len() + 1),
        }
        if let Some(kill) = self.kill {
            let place = sample.place(kill);
            text = format!(
                "{text}, killed at {place}: the last partial that was kept before it counts, and the rest is run again"
            );
        }
        text
    }
}

/// Size of the smallest pieces of a content.
fn least_piece(units: u64) -> u64 {
    units.div_ceil(MAX_PIECES).max(1)
}

/// Returns the places without a half of them, then without smaller runs, last without a single one.
fn fewer(places: &[u64]) -> impl Iterator<Item = Vec<u64>> {
    let numbers: Vec<u64> = (1..).take(places.len()).collect();
    let all = if places.len() == 1 { once(0..1).collect() } else { runs(&numbers) };
    all.into_iter().map(move |run| {
        let kept = (0..).zip(places).filter(|(number, _)| !run.contains(number));
        kept.map(|(_, place)| *place).collect()
    })
}
