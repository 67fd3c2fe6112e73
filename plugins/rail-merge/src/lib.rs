//! The merge of `examples/rail`: folds what the regions found into one list, and makes the answer of it.
//!
//! Of the services to one station the cheapest counts. "The best of each station" is a minimum, and a minimum may be
//! taken in any order, in any tree and of any repetition: that is why this merge may be folded as the root likes.

use std::collections::{BTreeMap, BTreeSet};

use frond_plugin::{Coverage, Failure};
use serde::{Deserialize, Serialize};

#[cfg(test)]
mod tests;

/// The regions of which the answer says whether they are in it, in order of the alphabet.
pub const REGIONS: [&str; 5] = ["Eastern", "North West & Central", "Scotland", "Southern", "Wales & Western"];

/// What the answer repeats of the query. The leaves have checked the rest of it.
#[derive(Debug, Deserialize)]
#[expect(missing_docs, reason = "the leaf's query documents them")]
pub struct Query {
    pub from: String,
    pub budget: u32,
}

/// What leaves return, and merges too. The fields are the leaf's, by name: the two crates share nothing else.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
pub struct Partial {
    /// The regions whose answers are in here.
    pub regions: BTreeSet<String>,
    /// After a merge: one for each station, nearest first. From a leaf: in any order, and a station more than once.
    pub destinations: Vec<Destination>,
}

/// A direct train from London.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[expect(missing_docs, reason = "the leaf's destination documents them")]
pub struct Destination {
    pub station: String,
    pub crs: String,
    pub region: String,
    pub operator: String,
    pub terminal: String,
    pub minutes: u32,
    pub pence: u32,
    pub km: u32,
}

impl Destination {
    /// The lesser is the better train to a station: cheaper, then faster. The rest only decides ties, so that the same
    /// one wins in whatever order they are met.
    fn rank(&self) -> impl Ord {
        (self.pence, self.minutes, (&self.operator, &self.terminal, &self.station, &self.region, self.km))
    }
}

/// What the client gets.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Answer {
    pub from: String,
    pub budget: u32,
    /// Nearest first.
    pub destinations: Vec<Found>,
    pub count: usize,
    /// Whether every planned partition is in the answer.
    pub complete: bool,
    pub regions: Regions,
}

/// A [`Destination`] as clients read it.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "the names say it; units are given where there are any")]
pub struct Found {
    pub station: String,
    pub crs: String,
    pub region: String,
    pub operator: String,
    pub terminal: String,
    pub minutes: u32,
    /// Pounds: a float, but made only here, where nothing is computed any more.
    pub fare: f64,
    /// Kilometres from Charing Cross, as the crow flies.
    pub km: u32,
}

/// Which of [`REGIONS`] are in the answer.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Regions {
    pub answered: BTreeSet<String>,
    pub missing: Vec<&'static str>,
}

frond_plugin::merger!(merge, finish);

/// Folds partials into one.
pub fn merge(_: Query, partials: Vec<Partial>) -> Result<Partial, Failure> {
    Ok(fold(partials))
}

/// Makes the answer. A lone leaf's partial comes here without a merge, so it is folded like any other.
pub fn finish(query: Query, merged: Option<Partial>, coverage: Coverage) -> Result<Answer, Failure> {
    let Partial { regions, destinations } = fold(merged);
    Ok(Answer {
        from: query.from,
        budget: query.budget,
        count: destinations.len(),
        destinations: destinations.into_iter().map(found).collect(),
        complete: coverage.complete,
        regions: Regions {
            missing: REGIONS.into_iter().filter(|region| !regions.contains(*region)).collect(),
            answered: regions,
        },
    })
}

fn fold(partials: impl IntoIterator<Item = Partial>) -> Partial {
    let mut regions = BTreeSet::new();
    let mut best: BTreeMap<String, Destination> = BTreeMap::new();
    for partial in partials {
        regions.extend(partial.regions);
        for destination in partial.destinations {
            if best.get(&destination.crs).is_none_or(|known| destination.rank() < known.rank()) {
                best.insert(destination.crs.clone(), destination);
            }
        }
    }
    let mut destinations: Vec<Destination> = best.into_values().collect();
    // Stable, so stations at the same distance stay in the order of their codes.
    destinations.sort_by_key(|destination| destination.km);
    Partial { regions, destinations }
}

fn found(destination: Destination) -> Found {
    Found {
        station: destination.station,
        crs: destination.crs,
        region: destination.region,
        operator: destination.operator,
        terminal: destination.terminal,
        minutes: destination.minutes,
        fare: f64::from(destination.pence) / 100.0,
        km: destination.km,
    }
}
