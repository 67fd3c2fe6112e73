//! Fares of a journey by operator: every leaf calls the HTTP API of the operator that its
//! partition's key names. The split asks the API which operators there are.
//!
//! Query: `{"api": "http://127.0.0.1:7878", "from": "London", "to": "York"}`, where `api` is the
//! base URL of the operators' APIs.
//!
//! Answer: `{"from": "London", "to": "York", "fares": [{"operator": "Borderline", "pounds": 48},
//! …], "complete": true}`, the cheapest first. An operator without a train for the journey has no
//! fare. An operator that does not answer is missing, and `complete` is then false.

use std::fmt::Write;

use frond_plugin::{Coverage, Failure, Partition, http};
use serde::{Deserialize, Serialize};

#[cfg(test)]
mod tests;

/// Query of a client.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Query {
    /// Base URL of the operators' APIs.
    pub api: String,
    /// Station of departure.
    pub from: String,
    /// Station of arrival.
    pub to: String,
}

/// Fare of one operator. Fares are ordered by price, then by operator.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Fare {
    /// Price in whole pounds.
    pub pounds: u64,
    /// Name of the operator.
    pub operator: String,
}

/// Answer to a client.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// Station of departure, as in the query.
    pub from: String,
    /// Station of arrival, as in the query.
    pub to: String,
    /// The fares, cheapest first.
    pub fares: Vec<Fare>,
    /// Whether every operator has answered.
    pub complete: bool,
}

frond_plugin::leaf!(process);
frond_plugin::merger!(merge, finish);
frond_plugin::splitter!(split);

fn process(query: Query, partition: Partition) -> Result<Vec<Fare>, Failure> {
    let response = get(&url(&query, &partition.key))?;
    match response.status {
        404 => Ok(Vec::new()),
        _ => Ok(vec![response.success()?.json()?]),
    }
}

/// Makes a partition of each operator, however many there are.
fn split(query: Query, _wanted: u32) -> Result<Vec<Partition>, Failure> {
    let operators: Vec<String> = get(&format!("{}/operators", base(&query)))?.success()?.json()?;
    Ok((0..).zip(operators).map(|(index, key)| Partition { key, index, data: Vec::new() }).collect())
}

/// Asks an API. A base URL that is none is the query's fault.
fn get(url: &str) -> Result<http::Response, Failure> {
    match http::get(url) {
        Err(wrong @ http::Error::Invalid(_)) => Err(Failure::invalid_query(wrong)),
        response => Ok(response?),
    }
}

fn merge(_: Query, partials: Vec<Vec<Fare>>) -> Result<Vec<Fare>, Failure> {
    let mut fares = partials.concat();
    fares.sort();
    Ok(fares)
}

fn finish(query: Query, merged: Option<Vec<Fare>>, coverage: Coverage) -> Result<Answer, Failure> {
    // A single partial was never merged and sorted, but it has at most one fare.
    let fares = merged.unwrap_or_default();
    Ok(Answer { from: query.from, to: query.to, fares, complete: coverage.complete })
}

/// Returns the URL of an operator's fare for the journey.
fn url(query: &Query, operator: &str) -> String {
    let api = base(query);
    let [operator, from, to] = [operator, &query.from, &query.to].map(escaped);
    format!("{api}/{operator}/fare?from={from}&to={to}")
}

fn base(query: &Query) -> &str {
    query.api.trim_end_matches('/')
}

/// Percent-encodes text for a URL's path or query: all bytes but unreserved characters (RFC 3986,
/// 2.3).
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}
