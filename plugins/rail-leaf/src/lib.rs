//! The leaf of `examples/rail`: which stations of one region have a direct train from London within a budget?
//!
//! A partition is one region: its key is the region's name, its data a table of services (see [`Service`]). What the
//! leaf returns is a [`Partial`], the form that `rail-merge` folds.

mod clock;
mod place;
mod service;
#[cfg(test)]
mod tests;

use std::time::Duration;

use frond_plugin::{Failure, Partition};
use serde::{Deserialize, Serialize};

pub use clock::Clock;
pub use service::Service;

/// What the client asks.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Query {
    /// Where the journey begins.
    pub from: Origin,
    /// The most that a single may cost, in whole pounds.
    pub budget: u32,
    /// When the traveller stands at the terminal: every journey is taken to begin then. 09:00 unless given.
    #[serde(default = "Clock::nine")]
    pub depart: Clock,
    /// The latest arrival, on the day of the departure.
    pub arrive_by: Option<Clock>,
    /// For demonstrations only: the leaf of the region with this name never answers, so that a partial answer can be
    /// seen. A name that is no region stalls nothing.
    pub stall: Option<String>,
}

/// The places whose direct trains are known: an enum, so that serde's refusal of any other names the one there is.
#[derive(Clone, Copy, Debug, Deserialize)]
pub enum Origin {
    /// Any of its terminals.
    London,
}

/// What one region answers.
#[derive(Debug, Serialize)]
pub struct Partial {
    /// The regions that are in this partial: from a leaf, its own. A region where nothing fits has answered too.
    pub regions: Vec<String>,
    /// One for each service that fits, so a station may be here more than once.
    pub destinations: Vec<Destination>,
}

/// A service that fits the query. All numbers are whole, so that every machine writes the same bytes.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "the names say it; units are given where there are any")]
pub struct Destination {
    pub station: String,
    pub crs: String,
    pub region: String,
    pub operator: String,
    pub terminal: String,
    pub minutes: u32,
    /// The fare in pence.
    pub pence: u32,
    /// Kilometres from Charing Cross, as the crow flies.
    pub km: u32,
}

frond_plugin::leaf!(process);

/// Finds the services of one region that fit the query.
pub fn process(query: Query, region: Partition) -> Result<Partial, Failure> {
    if query.arrive_by.is_some_and(|latest| latest <= query.depart) {
        return Err(Failure::invalid_query("arrive-by is not later than depart"));
    }
    if query.stall.as_ref() == Some(&region.key) {
        stall();
    }
    let services = service::parse(region.text()?).map_err(Failure::InvalidPartition)?;
    let fitting = services.into_iter().filter(|service| fits(&query, service));
    Ok(Partial {
        destinations: fitting.map(|service| destination(&region.key, service)).collect(),
        regions: vec![region.key],
    })
}

fn fits(query: &Query, service: &Service) -> bool {
    let arrives = query.depart.minutes().saturating_add(service.minutes);
    // A budget beyond what fits in pence is beyond every fare.
    service.pence <= query.budget.saturating_mul(100)
        && query.arrive_by.is_none_or(|latest| arrives <= latest.minutes())
}

fn destination(region: &str, service: Service) -> Destination {
    Destination {
        km: place::km_from_charing_cross(service.lat, service.long),
        station: service.station,
        crs: service.crs,
        region: region.to_owned(),
        operator: service.operator,
        terminal: service.terminal,
        minutes: service.minutes,
        pence: service.pence,
    }
}

/// Never returns. It sleeps rather than spins: a spinning leaf may run out of fuel before it runs out of time.
fn stall() -> ! {
    loop {
        std::thread::sleep(Duration::from_secs(3600));
    }
}
