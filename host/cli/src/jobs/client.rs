//! Client of a server or of a folder's jobs in this process: address, token, and parsed replies.

use std::error::Error;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use frond_jobs::JobId;
use frond_server::Embedded;
use frond_tls::{Trust, rustls};
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderValue, RETRY_AFTER};
use reqwest::{Body, Method, Request, Response, Url};
use serde::de::DeserializeOwned;

use super::Trouble;
use super::job::Job;
use super::local;
use crate::args::{JobsVerb, ServerArgs};
use crate::exit::MachineFault;

/// Base of addresses within this process.
const INSIDE: &str = "http://localhost";
/// Default address of `frond serve`.
const DEFAULT: &str = "http://127.0.0.1:7300";
/// Connection timeout.
const CONNECT: Duration = Duration::from_secs(10);
/// Read timeout: longer than any wait of the server itself.
const SILENCE: Duration = Duration::from_secs(120);
/// Limit on the size of a reply other than an answer, in bytes.
const MAX_REPLY: usize = 256 << 20;
/// Limit on the length of a token, in bytes.
const MAX_TOKEN: u64 = 8 << 10;

/// A client of one server, with its token, or of the jobs of a folder.
pub(crate) struct Client {
    transport: Transport,
    base: Url,
    /// Options of the command line that name the server, for the commands that messages suggest.
    named: String,
}

/// Way of requests to the code that answers them.
enum Transport {
    Http(reqwest::Client),
    /// Calls within this process.
    Local(Box<Embedded>),
}

/// A JSON reply, as text and parsed.
pub(crate) struct ParsedReply<T> {
    pub(crate) text: String,
    pub(crate) value: T,
}

impl Client {
    /// Creates a client; it sends nothing yet.
    pub(crate) fn open(remote: &ServerArgs) -> anyhow::Result<Self> {
        let from_env = || std::env::var("FROND_SERVER").ok().filter(|text| !text.is_empty());
        let text = remote.server.clone().or_else(from_env).unwrap_or_else(|| DEFAULT.to_owned());
        let base = address(&text)?;
        let server = remote.server.as_ref().map(|_| format!(" --server {}", base.as_str().trim_end_matches('/')));
        let ca = remote.ca.as_ref().map(|path| format!(" --ca {}", word(path)));
        let named = [server, ca].into_iter().flatten().collect();
        let trust = remote.ca.as_deref().map_or_else(|| Ok(Trust::system()), Trust::file)?;
        Ok(Self { transport: Transport::Http(http(&base, token(remote)?, &trust)?), base, named })
    }

    /// Creates a client of the jobs of the folder of apps `dir`, which it opens for the verb.
    pub(super) async fn local(dir: &Path, verb: &JobsVerb) -> anyhow::Result<Self> {
        let embedded = local::open(dir, verb).await?;
        let named = format!(" --local {}", word(dir));
        Ok(Self { transport: Transport::Local(Box::new(embedded)), base: address(INSIDE)?, named })
    }

    /// Returns true if there is no server, so that no job runs once this process has ended.
    pub(super) fn is_local(&self) -> bool {
        matches!(self.transport, Transport::Local(_))
    }

    /// Returns the name of the part that passing errors come from, for messages.
    pub(super) fn peer(&self) -> &'static str {
        if self.is_local() { "the store of jobs" } else { "the server" }
    }

    /// Stops the jobs that run in this process, so that they can be resumed at once.
    pub(super) async fn end(self) {
        if let Transport::Local(embedded) = self.transport {
            embedded.end().await;
        }
    }

    /// Returns the command line that continues with a job.
    pub(super) fn command(&self, verb: &str, id: JobId) -> String {
        format!("`frond jobs {verb} {id}{}`", self.named)
    }

    fn at(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    /// Creates a request below the server's address.
    pub(super) fn request(&self, method: Method, path: &[&str], query: &[(&str, String)]) -> Request {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        Request::new(method, url)
    }

    /// Sends a request. Returns the reply with its body unread, or the error that the server
    /// replied with.
    pub(super) async fn send(&self, request: Request) -> Result<Response, Trouble> {
        let reply = match &self.transport {
            Transport::Http(http) => http.execute(request).await,
            Transport::Local(embedded) => match request.try_into() {
                Ok(request) => Ok(embedded.call::<Body>(request).await.map(Body::wrap).into()),
                Err(error) => Err(error),
            },
        };
        let reply = reply.map_err(|error| self.trouble(&error))?;
        let status = reply.status();
        if status.is_success() {
            return Ok(reply);
        }
        let after = reply.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        let body = self.body(reply).await?;
        Err(Trouble::of_reply(self.at(), status, after, &body))
    }

    /// Sends a request without a body and parses the JSON reply.
    pub(crate) async fn json<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, String)],
    ) -> Result<ParsedReply<T>, Trouble> {
        self.told(self.request(method, path, query)).await
    }

    /// Sends a request and parses the JSON reply.
    pub(super) async fn told<T: DeserializeOwned>(&self, mut request: Request) -> Result<ParsedReply<T>, Trouble> {
        request.headers_mut().insert(ACCEPT, HeaderValue::from_static("application/json"));
        let reply = self.send(request).await?;
        let status = reply.status();
        let body = self.body(reply).await?;
        let foreign = |error| Trouble::of_json(self.at(), status, &error);
        let value = serde_json::from_slice(&body).map_err(foreign)?;
        // Serialised again, so that it is one line.
        let text = serde_json::from_slice::<serde_json::Value>(&body).map_err(foreign)?.to_string();
        Ok(ParsedReply { text, value })
    }

    /// Returns a job's current state.
    pub(super) async fn job(&self, id: JobId) -> Result<ParsedReply<Job>, Trouble> {
        self.json(Method::GET, &["v1", "jobs", &id.to_string()], &[]).await
    }

    /// Returns the next piece of a reply's body.
    pub(super) async fn piece(&self, reply: &mut Response) -> Result<Option<Bytes>, Trouble> {
        reply.chunk().await.map_err(|error| self.trouble(&error))
    }

    async fn body(&self, mut reply: Response) -> Result<Vec<u8>, Trouble> {
        let mut body = Vec::new();
        while let Some(piece) = self.piece(&mut reply).await? {
            if body.len() + piece.len() > MAX_REPLY {
                let what = "its reply does not end".to_owned();
                return Err(Trouble::Foreign { at: self.at().to_owned(), what, status: reply.status().as_u16() });
            }
            body.extend_from_slice(&piece);
        }
        Ok(body)
    }

    fn trouble(&self, error: &reqwest::Error) -> Trouble {
        let why = innermost(error);
        if self.is_local() {
            return Trouble::BrokenOff { why };
        }
        let at = self.at().to_owned();
        if is_distrust(error) {
            return Trouble::Untrusted { at, why };
        }
        if error.is_connect() {
            return Trouble::Unreachable { at, why };
        }
        Trouble::CutShort { at, why, hint: "try again; the server's log may say more".to_owned() }
    }
}

/// Creates the client of HTTP for a server at `base`.
fn http(base: &Url, token: Option<HeaderValue>, trust: &Trust) -> anyhow::Result<reqwest::Client> {
    let tls = match base.scheme() {
        "https" => trust.client_for(&["http/1.1"])?,
        _ => frond_tls::nobody()?,
    };
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        // Requests go to the named server only: a proxy or a redirect would get the token.
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .default_headers(token.map(|token| (AUTHORIZATION, token)).into_iter().collect())
        .connect_timeout(CONNECT)
        .read_timeout(SILENCE)
        .build()
        .context(MachineFault::new("requests cannot be made on this machine"))
}

/// Returns true if the server's certificate is not trusted.
fn is_distrust(error: &(dyn Error + 'static)) -> bool {
    // `source` of an I/O error skips the error that it carries and returns that error's source.
    let carried = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    matches!(error.downcast_ref(), Some(rustls::Error::InvalidCertificate(_)))
        || carried.is_some_and(|inner| is_distrust(inner))
        || error.source().is_some_and(is_distrust)
}

/// Returns the innermost error, without the layers that passed it on.
fn innermost(error: &reqwest::Error) -> String {
    let mut last: &dyn Error = error;
    while let Some(source) = last.source() {
        last = source;
    }
    if error.is_timeout() { "it took too long".to_owned() } else { last.to_string() }
}

/// Parses the server's address.
fn address(text: &str) -> anyhow::Result<Url> {
    let example = "(such as http://127.0.0.1:7300)";
    // Without a scheme, the URL parser would take the host before a port for one.
    let whole = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let url = Url::parse(&whole).with_context(|| format!("`{text}` is not a server's address\n{example}"))?;
    match url.scheme() {
        "http" | "https" if !url.username().is_empty() || url.password().is_some() => {
            bail!("a server's address has no user and no password\n(a token goes into FROND_TOKEN or a --token-file)")
        }
        "http" | "https" if url.query().is_some() || url.fragment().is_some() => {
            bail!("`{text}` is more than a server's address\n{example}")
        }
        "http" | "https" => Ok(url),
        scheme => bail!("`{text}`: the scheme {scheme} is not supported\n{example}"),
    }
}

/// Returns the `Authorization` header, if there is a token.
fn token(remote: &ServerArgs) -> anyhow::Result<Option<HeaderValue>> {
    let (text, place) = match &remote.token_file {
        Some(path) => {
            let place = format!("`{}`", path.display());
            let mut text = String::new();
            let read = File::open(path).and_then(|file| file.take(MAX_TOKEN).read_to_string(&mut text));
            read.with_context(|| format!("cannot read the token from {place}"))?;
            (text, place)
        }
        None => match std::env::var_os("FROND_TOKEN").filter(|text| !text.is_empty()) {
            Some(text) => (text.to_string_lossy().into_owned(), "FROND_TOKEN".to_owned()),
            None => return Ok(None),
        },
    };
    let Some(header) = bearer(text.trim()) else {
        bail!("{place} does not hold a token\n(one line, as `frond token NAME` shows it)");
    };
    Ok(Some(header))
}

fn bearer(token: &str) -> Option<HeaderValue> {
    let is_token = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
    let mut header = HeaderValue::try_from(format!("Bearer {token}")).ok().filter(|_| is_token)?;
    header.set_sensitive(true);
    Some(header)
}

/// Quotes a path as one word for a shell.
fn word(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+,@%=:".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) { text } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

#[cfg(test)]
mod tests;
