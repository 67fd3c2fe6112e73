//! HTTP requests, to the hosts that `[[grants.http]]` of the app's `frond.toml` grants.
//!
//! A component that calls anything here imports `wasi:http`. A request blocks until its whole
//! answer is there. Its grant bounds the time and the size. The SDK does not retry, and follows no
//! redirect. With `?` every error becomes a `Failure::Unavailable`, so that the root may try the
//! partition again. If a request is not granted and the leaf then fails, it fails as
//! `host-call-denied`, whatever failure it returns. Natively (in a test) every request is an
//! [`Error::Failed`].
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

/// Error of a request, or of reading its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// The request is not granted.
    Denied(String),
    /// The request took longer than its grant allows.
    TimedOut,
    /// The answer or the request is larger than its grant allows.
    TooLarge,
    /// The URL's scheme is neither `http` nor `https`, or the URL, the method or a header is
    /// invalid.
    Invalid(String),
    /// The server could not be reached, or the connection broke.
    Failed(String),
    /// The answer's status is not 2xx: see [`Response::success`].
    Status(u16),
    /// The answer's body could not be decoded as the wanted type.
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

/// Sends a GET request, and waits for the whole answer.
///
/// # Errors
/// The errors of [`Request::send`].
pub fn get(url: &str) -> Result<Response, Error> {
    Request::new("GET", url).send()
}

/// Builder of a request.
#[derive(Clone, Debug)]
pub struct Request {
    method: String,
    url: String,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
}

impl Request {
    /// Makes a request without headers and body. Methods are written in capitals.
    pub fn new(method: impl Into<String>, url: impl Into<String>) -> Self {
        Self { method: method.into(), url: url.into(), headers: Vec::new(), body: Vec::new() }
    }

    /// Adds a header.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Sets the body. A body that is not empty gets a `content-length` header.
    pub fn body(self, body: impl Into<Vec<u8>>) -> Self {
        Self { body: body.into(), ..self }
    }

    /// Sends the request, and waits for the whole answer.
    ///
    /// # Errors
    /// Fails as [`Error::Invalid`], [`Error::Denied`], [`Error::TimedOut`], [`Error::TooLarge`] or
    /// [`Error::Failed`]. Any status is an answer.
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

/// A complete answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// The status, such as 200.
    pub status: u16,
    /// The headers, with names in lower case.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Response {
    /// Returns the answer itself if its status is 200 to 299.
    ///
    /// # Errors
    /// Any other status is [`Error::Status`].
    pub fn success(self) -> Result<Self, Error> {
        match self.status {
            200..=299 => Ok(self),
            status => Err(Error::Status(status)),
        }
    }

    /// Returns the first header of this name (in any case) whose value is UTF-8.
    pub fn header(&self, name: &str) -> Option<&str> {
        let values = self.headers.iter().filter(|(one, _)| one.eq_ignore_ascii_case(name));
        values.filter_map(|(_, value)| std::str::from_utf8(value).ok()).next()
    }

    /// Returns the body as text.
    ///
    /// # Errors
    /// A body that is not UTF-8 is [`Error::Content`].
    pub fn text(&self) -> Result<&str, Error> {
        std::str::from_utf8(&self.body).map_err(|error| Error::Content(error.to_string()))
    }

    /// Decodes the body from JSON.
    ///
    /// # Errors
    /// A body that cannot be decoded is [`Error::Content`].
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_slice(&self.body).map_err(|error| Error::Content(error.to_string()))
    }
}

/// Parts of a URL that a request needs.
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
