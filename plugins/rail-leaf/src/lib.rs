//! The leaf of `examples/rail`: finds the stations of one region with a direct train from London
//! within a budget.
//!
//! A partition is one region: its key is the region's name, and its data is a table of services
//! (see [`Service`]). The leaf returns a [`Partial`], which `rail-merge` folds.

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

/// Query of a client.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Query {
    /// Origin of the journey.
    pub from: Origin,
    /// Maximum price of a single ticket, in whole pounds.
    pub budget: u32,
    /// Departure time, at which every journey is assumed to begin. The default is 09:00.
    #[serde(default = "Clock::nine")]
    pub depart: Clock,
    /// Latest arrival, on the day of the departure.
    pub arrive_by: Option<Clock>,
    /// Region whose leaf never answers, to demonstrate a partial answer. An unknown name stalls
    /// nothing.
    pub stall: Option<String>,
}

/// Origins with known direct trains. It is an enum, so that serde's error for any other place names
/// the known one.
#[derive(Clone, Copy, Debug, Deserialize)]
pub enum Origin {
    /// Any terminal in London.
    London,
}

/// Partial of one region.
#[derive(Debug, Serialize)]
pub struct Partial {
    /// Regions in this partial: from a leaf, its one region. A region without a fitting service is
    /// included.
    pub regions: Vec<String>,
    /// One entry for each service that fits, so a station may occur more than once.
    pub destinations: Vec<Destination>,
}

/// A service that fits the query. All numbers are integers, so that every machine writes the same
/// bytes.
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
///
/// # Errors
/// Fails with [`Failure::InvalidQuery`] if `arrive-by` is not later than `depart`, and with
/// [`Failure::InvalidPartition`] if the region's table cannot be parsed.
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
    // A budget that overflows in pence is above every fare.
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

/// Never returns. It sleeps rather than spins: a spinning leaf may run out of fuel before its
/// deadline.
fn stall() -> ! {
    loop {
        std::thread::sleep(Duration::from_secs(3600));
    }
}
