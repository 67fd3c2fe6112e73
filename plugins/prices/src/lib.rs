//! What a journey costs with each operator: every leaf asks the HTTP API of one, which its partition's key names.
//!
//! Query: `{"api": "http://127.0.0.1:7878", "from": "London", "to": "York"}`, where `api` is what the operators' APIs are
//! under. Answer: `{"from": "London", "to": "York", "fares": [{"operator": "Borderline", "pounds": 48}, …], "complete":
//! true}`, the cheapest first. An operator without a train for the journey has no fare; one that does not answer is
//! missing, and `complete` is then false.

use std::fmt::Write;

use frond_plugin::{Coverage, Failure, Partition, http};
use serde::{Deserialize, Serialize};

#[cfg(test)]
mod tests;

/// What a client asks.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Query {
    /// What the operators' APIs are under.
    pub api: String,
    /// The station to leave from.
    pub from: String,
    /// The station to get to.
    pub to: String,
}

/// What one operator takes. Cheaper ones come first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Fare {
    /// In whole pounds.
    pub pounds: u64,
    /// Whom to pay.
    pub operator: String,
}

/// What a client gets.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// As asked.
    pub from: String,
    /// As asked.
    pub to: String,
    /// The fares, cheapest first.
    pub fares: Vec<Fare>,
    /// Whether every operator has answered.
    pub complete: bool,
}

frond_plugin::leaf!(process);
frond_plugin::merger!(merge, finish);

fn process(query: Query, partition: Partition) -> Result<Vec<Fare>, Failure> {
    let url = url(&query, &partition.key);
    let response = match http::get(&url) {
        Err(wrong @ http::Error::Invalid(_)) => return Err(Failure::invalid_query(wrong)),
        response => response?,
    };
    match response.status {
        404 => Ok(Vec::new()),
        _ => Ok(vec![response.success()?.json()?]),
    }
}

fn merge(_: Query, partials: Vec<Vec<Fare>>) -> Result<Vec<Fare>, Failure> {
    let mut fares = partials.concat();
    fares.sort();
    Ok(fares)
}

fn finish(query: Query, merged: Option<Vec<Fare>>, coverage: Coverage) -> Result<Answer, Failure> {
    // A single partial was never merged, and so never sorted; one has one fare.
    let fares = merged.unwrap_or_default();
    Ok(Answer { from: query.from, to: query.to, fares, complete: coverage.complete })
}

/// Where an operator says what the journey costs.
fn url(query: &Query, operator: &str) -> String {
    let api = query.api.trim_end_matches('/');
    let [operator, from, to] = [operator, &query.from, &query.to].map(escaped);
    format!("{api}/{operator}/fare?from={from}&to={to}")
}

/// Text as it may stand in a URL's path or query (RFC 3986, 2.3).
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            // A String takes whatever is written.
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}
