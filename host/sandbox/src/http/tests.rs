//! What is admitted before anything leaves the process.

use std::time::Duration;

use http_body_util::{BodyExt, Empty};

use super::*;
use crate::grants::{Grants, HostPattern, Ports};

fn hooks(http: Vec<HttpGrant>) -> Hooks {
    let grants = Arc::new(Grants { http, ..Grants::default() });
    let deadline = Instant::now() + Duration::from_secs(60);
    Http::new(Granted::from(&grants), Refusal::default(), RetryAfter::default(), deadline).hooks
}

fn grant(host: &str, time: Option<Duration>) -> HttpGrant {
    HttpGrant {
        host: HostPattern::Name(host.to_owned()),
        ports: Ports::Web,
        methods: vec!["GET".to_owned()],
        time,
        body: 1,
        private: false,
    }
}

fn get(uri: &str) -> http::Request<WasiBody> {
    let body = Empty::new().map_err(|never| match never {}).boxed_unsync();
    http::Request::builder().uri(uri).body(body).unwrap()
}

#[test]
fn a_call_has_only_so_many_requests_open() {
    let hooks = hooks(vec![grant("a.example", None)]);
    let mut open: Vec<_> =
        (0..MAX_OPEN).map(|_| hooks.admit(&get("http://a.example/")).map_err(drop).unwrap()).collect();
    assert!(matches!(hooks.admit(&get("http://a.example/")), Err(Error::ConnectionLimitReached)));
    open.pop();
    assert!(hooks.admit(&get("http://a.example/")).is_ok());
}

#[test]
fn a_request_ends_with_its_grant_or_its_call() {
    let grants = vec![grant("a.example", Some(Duration::from_secs(1))), grant("b.example", Some(Duration::MAX))];
    let hooks = hooks(grants);
    let until = |uri: &str| hooks.admit(&get(uri)).map_err(drop).unwrap().0.until;
    assert!(until("http://a.example/") < hooks.deadline);
    assert_eq!(until("https://b.example/"), hooks.deadline);
}

#[test]
fn only_a_plain_host_and_port_are_asked() {
    let hooks = hooks(vec![grant("a.example", None)]);
    for uri in ["http://a.example@b.example/", "http://b.example@a.example/", "http://a.example:99999/", "/a"] {
        assert!(matches!(hooks.admit(&get(uri)), Err(Error::HttpRequestUriInvalid)), "{uri}");
    }
    for uri in ["http://b.example/", "http://a.example:8080/", "http://a.example.b/"] {
        assert!(matches!(hooks.admit(&get(uri)), Err(Error::HttpRequestDenied)), "{uri}");
    }
}
