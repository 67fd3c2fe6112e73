//! Entry points of the fuzz targets in `host/fuzz`.
//! The tests here run them on almost valid bytes: no settings, URLs or headers may cause a panic.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use frond_root::{CancellationToken, Event, EventKind, Listener, Request};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, Version};

use crate::auth::Authenticator;
use crate::bodies::plain;
use crate::config::Config;
use crate::params::{Form, Promises};
use crate::queries::events::unseen;
use crate::recent::Recent;
use crate::traces::Parent;

/// Number of events of the recorded query.
const EVENTS: usize = 5;

/// Parses bytes as a server's settings.
pub fn config(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let path = Path::new("/apps/server.toml");
    match Config::parse(text, path) {
        Ok(mut config) => {
            let _ = config.check();
            assert_eq!(
                Authenticator::new(&config).is_closed(),
                !config.tokens.is_empty(),
                "a token that is wrong opens nothing"
            );
            let printed = toml::to_string(&config);
            assert_eq!(printed.ok().and_then(|text| Config::parse(&text, path).ok()).as_ref(), Some(&config));
            config.fix(&Config::default());
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// Parses bytes as the query part of a URL.
pub fn parameters(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let longest = Duration::from_secs(60);
    match Promises::read(Some(text), longest) {
        Ok(promises) => {
            assert!(promises.deadline.is_none_or(|deadline| !deadline.is_zero() && deadline <= longest));
        }
        Err(problem) => assert_eq!(problem.status(), 400),
    }
}

/// Parses bytes as header lines, `name: value`; invalid lines are skipped, since hyper rejects
/// them.
pub fn headers(bytes: &[u8]) {
    let headers: HeaderMap = bytes.split(|byte| *byte == b'\n').filter_map(header).collect();
    let open = Authenticator::new(&Config::default());
    let _ = (
        open.principal(&headers).is_ok(),
        open.same_site(Version::HTTP_11, &Method::POST, &Uri::from_static("/"), &headers).is_ok(),
    );
    let _ = (Form::wanted(&headers, "text/plain"), plain(&headers).is_ok(), Parent::of(&headers).is_some());
    resume(unseen(&headers));
}

fn header(line: &[u8]) -> Option<(HeaderName, HeaderValue)> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let (name, value) = line.split_at_checked(colon)?;
    Some((HeaderName::from_bytes(name).ok()?, HeaderValue::from_bytes(value.get(1..)?.trim_ascii()).ok()?))
}

/// Reads a query's events from an arbitrary number: the later events, then the end.
fn resume(from: usize) {
    let recent = Recent::new(1, 1 << 20);
    let recorded =
        recent.begin(None, &Request::new("app", Bytes::new()), 1, 1, "text/plain", &CancellationToken::new());
    (0..EVENTS as u64).for_each(|at| recorded.event(&Event { at, kind: EventKind::FinishStarted {} }));
    recorded.refused();
    let mut next = from;
    let mut read = 0;
    loop {
        let (events, missed, more) = recorded.events(next, 2);
        assert!(missed == 0 && events.first().is_none_or(|first| first.at == next as u64));
        next += events.len();
        read += events.len();
        if !more {
            break;
        }
    }
    assert_eq!(read, EVENTS.saturating_sub(from));
}

#[cfg(test)]
mod tests;
