//! The `retry-after` header of answers (RFC 9110, section 10.2.3), for retries of a call that fails
//! as `unavailable`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use frond_root::policy::retry::MAX_RETRY_AFTER;
use frond_root::{Failure, FailureKind};
use http::header::RETRY_AFTER;
use http::{HeaderMap, StatusCode};

/// Longest wait that the answers of one call have asked for. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct RetryAfter(Arc<AtomicU64>);

impl RetryAfter {
    /// Records the wait in an answer's head.
    pub(super) fn hear(&self, status: StatusCode, headers: &HeaderMap) {
        if !(status.is_client_error() || status.is_server_error()) {
            return;
        }
        if let Some(wait) = read(headers, SystemTime::now()) {
            self.0.fetch_max(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
        }
    }

    /// Adds the wait to the failure of a guest that reports `unavailable`.
    pub(crate) fn explain(&self, failure: Failure) -> Failure {
        let wait = Some(self.0.load(Ordering::Relaxed)).filter(|wait| *wait > 0);
        match failure.kind {
            FailureKind::Unavailable => Failure { retry_after_ms: wait, ..failure },
            _ => failure,
        }
    }
}

/// Parses the wait: a number of seconds, or a date.
fn read(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => httpdate::parse_http_date(text).ok()?.duration_since(now).ok()?,
    };
    Some(wait.min(MAX_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn asks(text: &str) -> Option<Duration> {
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        read(&HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_str(text).unwrap())]), now)
    }

    #[test]
    fn a_wait_is_seconds_or_a_date() {
        assert_eq!(asks("120"), Some(Duration::from_secs(120)));
        assert_eq!(asks("Sun, 06 Nov 1994 08:50:07 GMT"), Some(Duration::from_secs(30)));
        for wrong in ["Sun, 06 Nov 1994 08:49:00 GMT", "-1", "soon", "", "1.5"] {
            assert_eq!(asks(wrong), None, "{wrong}");
        }
        assert_eq!(asks("18446744073709551615"), Some(MAX_RETRY_AFTER));
        assert_eq!(read(&HeaderMap::new(), SystemTime::now()), None);
    }

    #[test]
    fn the_longest_wait_of_a_refusing_answer_counts() {
        let retry_after = RetryAfter::default();
        let failure = Failure::new(FailureKind::Unavailable, "busy");
        let head = |text: &'static str| HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(text))]);
        retry_after.hear(StatusCode::OK, &head("900"));
        assert_eq!(retry_after.explain(failure.clone()).retry_after(), None);
        retry_after.hear(StatusCode::SERVICE_UNAVAILABLE, &head("7"));
        retry_after.hear(StatusCode::TOO_MANY_REQUESTS, &head("3"));
        assert_eq!(retry_after.explain(failure).retry_after(), Some(Duration::from_secs(7)));
        assert_eq!(retry_after.explain(Failure::new(FailureKind::Trap, "")).retry_after(), None);
    }
}
