//! Parameters and headers of requests: promises of a query, form of the answer.

use std::time::Duration;

use axum::extract::{FromRequestParts, Path};
use frond_app::App;
use frond_app::size::parse_duration;
use frond_root::quote::{MAX_QUOTED, clipped};
use frond_root::{Floor, PartitionKey};
use http::HeaderMap;
use serde::de::DeserializeOwned;

use crate::accept::preferred;
use crate::event_stream::EVENTS;
use crate::reply::{Problem, set};

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
    /// Reads the query part of a URL.
    pub(crate) fn read(query: Option<&str>, longest: Duration) -> Result<Self, Problem> {
        let params = Params::read(query, &["deadline", "floor", "require"])?;
        Ok(Self {
            deadline: params.parsed("deadline", |value| deadline(value, longest))?,
            floor: params.parsed("floor", str::parse)?,
            required: params.required()?,
        })
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

fn deadline(value: &str, longest: Duration) -> Result<Duration, String> {
    let time = duration(value)?;
    if time.is_zero() {
        return Err("a deadline must be above 0".to_owned());
    }
    if time > longest {
        return Err(format!("the longest that this server allows is {}s", longest.as_secs_f64()));
    }
    Ok(time)
}

/// Parses a duration, such as `2s`.
pub(crate) fn duration(value: &str) -> Result<Duration, String> {
    let value = value.trim();
    if value.len() > MAX_QUOTED {
        return Err("the duration is too long a text".to_owned());
    }
    // The error repeats the value, so it must be escaped first.
    parse_duration(&value.escape_debug().to_string()).map_err(|error| error.to_string())
}

/// Parameters of a URL's query part, all of known names.
pub(crate) struct Params(Vec<(String, String)>);

impl Params {
    /// Reads the query part of a URL. An unknown name is an error, so that no misspelled parameter
    /// is lost.
    pub(crate) fn read(query: Option<&str>, known: &[&str]) -> Result<Self, Problem> {
        let uri = format!("/?{}", query.unwrap_or(""));
        let uri = uri.parse().map_err(|_| Problem::bad_request("the URL is invalid"))?;
        let pairs = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(&uri);
        let pairs = pairs.map_err(|error| Problem::bad_request(format!("the URL cannot be parsed: {error}")))?.0;
        match pairs.iter().find(|(name, _)| !known.contains(&name.as_str())) {
            None => Ok(Self(pairs)),
            Some((name, _)) => {
                let names = known.join(", ");
                let names = names.rsplit_once(", ").map_or(names.clone(), |(some, last)| format!("{some} and {last}"));
                let name = clipped(name);
                let text = format!("there is no parameter `{}`\n(the parameters are {names})", name.escape_debug());
                Err(Problem::bad_request(text))
            }
        }
    }

    fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(one, _)| one == name).map(|(_, value)| value.as_str())
    }

    /// The value of a parameter that may be given once.
    pub(crate) fn parsed<T>(
        &self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Option<T>, Problem> {
        let mut values = self.all(name);
        let Some(value) = values.next() else { return Ok(None) };
        if values.next().is_some() {
            return Err(Problem::bad_request(format!("`{name}` is given twice")));
        }
        let wrong = |why| Problem::bad_request(format!("`{name}={}`: {why}", clipped(value).escape_debug()));
        parse(value).map(Some).map_err(wrong)
    }

    /// The value of a parameter that may be given once, and must be what `must` says.
    pub(crate) fn one<T>(
        &self,
        name: &str,
        must: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, Problem> {
        let read = self.parsed(name, |value| parse(value).ok_or_else(String::new));
        read.map_err(|_| Problem::bad_request(format!("`{name}` must be {must}, given once")))
    }

    /// The length of a list, at most `most`.
    pub(crate) fn limit(&self, most: u32) -> Result<Option<u32>, Problem> {
        let limit = |value: &str| value.parse().ok().filter(|number| (1..=most).contains(number));
        self.one("limit", &format!("a number from 1 to {most}"), limit)
    }

    /// A parameter that is true or false; true without a value.
    pub(crate) fn flag(&self, name: &str) -> Result<bool, Problem> {
        let flag = self.one(name, "`true` or `false`", |value| match value {
            "" | "true" => Some(true),
            "false" => Some(false),
            _ => None,
        })?;
        Ok(flag.unwrap_or(false))
    }

    /// The keys of the partitions that an answer must contain.
    pub(crate) fn required(&self) -> Result<Vec<PartitionKey>, Problem> {
        let required: Vec<_> = self.all("require").map(PartitionKey::from).collect();
        if required.len() > MAX_REQUIRED {
            return Err(Problem::bad_request(format!("more than {MAX_REQUIRED} partitions are required")));
        }
        Ok(required)
    }
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
        if !applied.is_empty() {
            set(headers, "preference-applied", &applied.join(", "));
        }
    }
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
