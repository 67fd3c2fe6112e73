//! The merge of `examples/rail`: folds the regions' partials into one list, and makes the answer
//! from it.
//!
//! Of the services to one station the cheapest counts. The best service of each station is a
//! minimum, and a minimum is associative, commutative and idempotent. So the root may fold this
//! merge in any order and in any tree.

use std::collections::{BTreeMap, BTreeSet};

use frond_plugin::{Coverage, Failure};
use serde::{Deserialize, Serialize};

#[cfg(test)]
mod tests;

/// Regions that the answer lists as answered or missing, in alphabetical order.
pub const REGIONS: [&str; 5] = ["Eastern", "North West & Central", "Scotland", "Southern", "Wales & Western"];

/// Fields of the query that the answer repeats. The leaves check the rest of the query.
#[derive(Debug, Deserialize)]
#[expect(missing_docs, reason = "the leaf's query documents them")]
pub struct Query {
    pub from: String,
    pub budget: u32,
}

/// Partial of a leaf or of a merge. Its fields have the names of the leaf's partial: the two crates
/// share nothing else.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
pub struct Partial {
    /// Regions in this partial.
    pub regions: BTreeSet<String>,
    /// Services. After a merge: one for each station, nearest first. From a leaf: in any order, and
    /// possibly several for a station.
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
    /// Returns the sort key of trains to one station, best first: cheaper, then faster. The other
    /// fields only break ties, so that the winner does not depend on the order of the merges.
    fn rank(&self) -> impl Ord {
        (self.pence, self.minutes, (&self.operator, &self.terminal, &self.station, &self.region, self.km))
    }
}

/// Answer to a client.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Answer {
    pub from: String,
    pub budget: u32,
    /// The best service of each station, nearest first.
    pub destinations: Vec<Found>,
    pub count: usize,
    /// Whether every planned partition is in the answer.
    pub complete: bool,
    pub regions: Regions,
}

/// A [`Destination`] in the answer.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "the names say it; units are given where there are any")]
pub struct Found {
    pub station: String,
    pub crs: String,
    pub region: String,
    pub operator: String,
    pub terminal: String,
    pub minutes: u32,
    /// The fare in pounds. It becomes a float only here, after all arithmetic.
    pub fare: f64,
    /// Kilometres from Charing Cross, as the crow flies.
    pub km: u32,
}

/// The [`REGIONS`] that are in the answer, and those that are not.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Regions {
    pub answered: BTreeSet<String>,
    pub missing: Vec<&'static str>,
}

frond_plugin::merger!(merge, finish);

/// Folds partials into one. It never fails.
pub fn merge(_: Query, partials: Vec<Partial>) -> Result<Partial, Failure> {
    Ok(fold(partials))
}

/// Makes the answer. The partial of a single leaf arrives unmerged, so it is folded here too. It
/// never fails.
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
    // The sort is stable: stations at the same distance stay in the order of their codes.
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
