//! Parameters and headers of requests: promises of a query, form of the answer.

use std::time::Duration;

use axum::extract::{FromRequestParts, Path};
use frond_app::App;
use frond_app::size::parse_duration;
use frond_root::quote::{MAX_QUOTED, clipped};
use frond_root::{Floor, PartitionKey};
use http::{HeaderMap, HeaderValue};
use serde::de::DeserializeOwned;

use crate::accept::preferred;
use crate::event_stream::EVENTS;
use crate::reply::Problem;

/// The media type of the envelope.
pub(crate) const ENVELOPE: &str = "application/vnd.frond+json";
/// The most partitions that one request may require.
const MAX_REQUIRED: usize = 1000;

/// Names in the path of a URL, which must be UTF-8.
pub(crate) struct Named<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Named<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut http::request::Parts, state: &S) -> Result<Self, Problem> {
        let named = Path::<T>::from_request_parts(parts, state).await;
        named.map(|Path(names)| Self(names)).map_err(|_| Problem::not_found("a name in the URL is not UTF-8"))
    }
}

/// The promises that a query requests instead of the app's defaults.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Promises {
    pub(crate) deadline: Option<Duration>,
    pub(crate) floor: Option<Floor>,
    pub(crate) required: Vec<PartitionKey>,
}

impl Promises {
    /// Reads the query part of a URL. An unknown name is an error, so that no misspelled promise is
    /// lost.
    pub(crate) fn read(query: Option<&str>, longest: Duration) -> Result<Self, Problem> {
        let mut promises = Self::default();
        for (name, value) in pairs(query)? {
            match name.as_str() {
                "deadline" if promises.deadline.is_none() => promises.deadline = Some(deadline(&value, longest)?),
                "floor" if promises.floor.is_none() => {
                    let floor = value.parse::<Floor>().map_err(|why| wrong("floor", &value, &why))?;
                    promises.floor = Some(floor);
                }
                "require" if promises.required.len() < MAX_REQUIRED => {
                    promises.required.push(PartitionKey::from(value.as_str()));
                }
                "require" => {
                    return Err(Problem::bad_request(format!("more than {MAX_REQUIRED} partitions are required")));
                }
                "deadline" | "floor" => return Err(Problem::bad_request(format!("`{name}` is given twice"))),
                _ => {
                    let known = "(the parameters are deadline, floor and require)";
                    let text = format!("there is no parameter `{}`\n{known}", clipped(&name).escape_debug());
                    return Err(Problem::bad_request(text));
                }
            }
        }
        Ok(promises)
    }

    /// Checks the deadline against the app's own limit.
    /// A job's timeout is not limited by it, since jobs leave slots to queries.
    pub(crate) fn within(&self, app: &App) -> Result<(), Problem> {
        match self.deadline {
            Some(deadline) if deadline > app.max_deadline => {
                let asked = deadline.as_secs_f64();
                let most = app.max_deadline.as_secs_f64();
                Err(Problem::bad_request(format!(
                    "`deadline` is {asked}s: the longest that this app allows is {most}s\n\
                     (ask for less, submit a job, or raise `query.max-deadline` in the app's frond.toml)"
                )))
            }
            _ => Ok(()),
        }
    }
}

fn deadline(value: &str, longest: Duration) -> Result<Duration, Problem> {
    if value.len() > MAX_QUOTED {
        return Err(wrong("deadline", value, "the duration is too long a text"));
    }
    // The error repeats the value, so it must be escaped first.
    let time = parse_duration(&value.escape_debug().to_string());
    let time = time.map_err(|error| wrong("deadline", value, &error.to_string()))?;
    if time.is_zero() {
        return Err(wrong("deadline", value, "a deadline must be above 0"));
    }
    if time > longest {
        let why = format!("the longest that this server allows is {}s", longest.as_secs_f64());
        return Err(wrong("deadline", value, &why));
    }
    Ok(time)
}

fn wrong(name: &str, value: &str, why: &str) -> Problem {
    Problem::bad_request(format!("`{name}={}`: {why}", clipped(value).escape_debug()))
}

/// A client's preferences: RFC 7240.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Preferences {
    /// The client does not wait for the answer.
    pub(crate) respond_async: bool,
    /// How long the client waits.
    pub(crate) wait: Option<Duration>,
}

impl Preferences {
    /// Reads the preferences. Unknown and invalid ones are ignored; of duplicates the first counts.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let values = headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
        let mut preferences = Self::default();
        for one in values.flat_map(|value| value.split(',')) {
            // Parameters after a semicolon are ignored: these preferences have none.
            let one = one.split(';').next().unwrap_or("");
            let (name, value) = one.split_once('=').unwrap_or((one, ""));
            match name.trim().to_ascii_lowercase().as_str() {
                "respond-async" => preferences.respond_async = true,
                "wait" if preferences.wait.is_none() => {
                    preferences.wait = value.trim().trim_matches('"').parse().ok().map(Duration::from_secs);
                }
                _ => {}
            }
        }
        preferences
    }

    /// Reports the applied preferences in a reply.
    pub(crate) fn applied(&self, headers: &mut HeaderMap) {
        let respond = self.respond_async.then(|| "respond-async".to_owned());
        let wait = self.wait.map(|wait| format!("wait={}", wait.as_secs()));
        let applied: Vec<String> = respond.into_iter().chain(wait).collect();
        if let Ok(value) = HeaderValue::try_from(applied.join(", "))
            && !value.is_empty()
        {
            headers.insert("preference-applied", value);
        }
    }
}

/// The decoded names and values of a URL's query part.
pub(crate) fn pairs(query: Option<&str>) -> Result<Vec<(String, String)>, Problem> {
    let uri = format!("/?{}", query.unwrap_or(""));
    let uri = uri.parse().map_err(|_| Problem::bad_request("the URL is invalid"))?;
    let read = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(&uri);
    read.map(|pairs| pairs.0).map_err(|error| Problem::bad_request(format!("the URL cannot be parsed: {error}")))
}

/// The form of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// The app's own bytes.
    Answer,
    /// With its coverage, as JSON.
    Envelope,
    /// As an event stream, with all events before it.
    Stream,
}

impl Form {
    /// The form that the client prefers for an answer with the media type `answer`.
    /// The plain answer wins ties.
    pub(crate) fn wanted(headers: &HeaderMap, answer: &str) -> Self {
        match preferred(headers, &[answer, ENVELOPE, EVENTS]) {
            Some(1) => Self::Envelope,
            Some(2) => Self::Stream,
            // A client that accepts none of them gets the plain answer.
            _ => Self::Answer,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
