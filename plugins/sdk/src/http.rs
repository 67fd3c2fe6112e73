//! HTTP requests, to the hosts that `[[grants.http]]` of the app's `frond.toml` grants.
//!
//! A component that calls anything here imports `wasi:http`. A request waits until its answer is there, whole; how long
//! and how large that may be, its grant says. Nothing is retried, and no redirect is followed. Every error becomes a
//! `Failure::Unavailable` with `?`, so that the root may try the partition again; a request that is not granted fails
//! its leaf as `host-call-denied` whatever the leaf makes of it, unless it succeeds. Natively (in a test) every request is
//! an [`Error::Failed`].
//!
//! ```no_run
//! # use frond_plugin::{Failure, http};
//! # fn fare() -> Result<u64, Failure> {
//! let fare: u64 = http::get("https://api.example.com/fare?to=York")?.success()?.json()?;
//! # Ok(fare)
//! # }
//! ```

use std::fmt;

use serde::de::DeserializeOwned;

use crate::Failure;

#[cfg(target_family = "wasm")]
mod send;
#[cfg(test)]
mod tests;

/// Why there is no answer, or none that is of use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// It is not granted.
    Denied(String),
    /// It took longer than it may.
    TimedOut,
    /// The answer, or the request, is larger than it may be.
    TooLarge,
    /// The URL is not one of `http` or `https`, or a header is none.
    Invalid(String),
    /// The server could not be reached, or broke off.
    Failed(String),
    /// The answer's status is not one of success: see [`Response::success`].
    Status(u16),
    /// The answer's body is not what it is read as.
    Content(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Denied(what) => write!(f, "the request was denied: {what}"),
            Self::TimedOut => f.write_str("the request took too long"),
            Self::TooLarge => f.write_str("the answer or the request is too large"),
            Self::Invalid(what) => f.write_str(what),
            Self::Failed(what) => write!(f, "the request failed: {what}"),
            Self::Status(status) => write!(f, "the answer has status {status}"),
            Self::Content(what) => write!(f, "the answer cannot be read: {what}"),
        }
    }
}

impl std::error::Error for Error {}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::unavailable(error)
    }
}

/// Asks for what is at a URL.
pub fn get(url: &str) -> Result<Response, Error> {
    Request::new("GET", url).send()
}

/// A request, to be.
#[derive(Clone, Debug)]
pub struct Request {
    method: String,
    url: String,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
}

impl Request {
    /// A request without headers and body. Methods are written in capitals.
    pub fn new(method: impl Into<String>, url: impl Into<String>) -> Self {
        Self { method: method.into(), url: url.into(), headers: Vec::new(), body: Vec::new() }
    }

    /// With one more header.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// With this body, and its length as a header.
    pub fn body(self, body: impl Into<Vec<u8>>) -> Self {
        Self { body: body.into(), ..self }
    }

    /// Sends it, and waits for the whole answer.
    pub fn send(self) -> Result<Response, Error> {
        let url = Url::parse(&self.url)?;
        #[cfg(target_family = "wasm")]
        return send::send(&self.method, &url, self.headers, &self.body);
        #[cfg(not(target_family = "wasm"))]
        {
            let Self { method, headers, body, .. } = self;
            let size = headers.len() + body.len();
            Err(Error::Failed(format!("{method} {} ({size}): there is no network in a native test", url.authority)))
        }
    }
}

/// An answer, whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// Its status, such as 200.
    pub status: u16,
    /// Its headers, names in lower case.
    pub headers: Vec<(String, Vec<u8>)>,
    /// Its body.
    pub body: Vec<u8>,
}

impl Response {
    /// Itself, if its status is one of success: 200 to 299.
    pub fn success(self) -> Result<Self, Error> {
        match self.status {
            200..=299 => Ok(self),
            status => Err(Error::Status(status)),
        }
    }

    /// The first header of this name that is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        let values = self.headers.iter().filter(|(one, _)| one.eq_ignore_ascii_case(name));
        values.filter_map(|(_, value)| std::str::from_utf8(value).ok()).next()
    }

    /// The body as text.
    pub fn text(&self) -> Result<&str, Error> {
        std::str::from_utf8(&self.body).map_err(|error| Error::Content(error.to_string()))
    }

    /// The body as a value, from JSON.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_slice(&self.body).map_err(|error| Error::Content(error.to_string()))
    }
}

/// A URL's parts, as a request needs them.
#[derive(Debug, PartialEq, Eq)]
struct Url<'a> {
    secure: bool,
    authority: &'a str,
    path: String,
}

impl<'a> Url<'a> {
    fn parse(url: &'a str) -> Result<Self, Error> {
        let invalid = || Error::Invalid(format!("`{url}` is not a URL of http or https"));
        let (scheme, rest) = url.split_once("://").ok_or_else(invalid)?;
        let secure = match scheme.to_ascii_lowercase().as_str() {
            "http" => false,
            "https" => true,
            _ => return Err(invalid()),
        };
        let rest = rest.split('#').next().unwrap_or_default();
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        if authority.is_empty() {
            return Err(invalid());
        }
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        Ok(Self { secure, authority, path })
    }
}
