//! Admission of requests, before anything leaves the process.

use std::time::Duration;

use frond_root::call::{Grants, HostPattern, Ports};
use http_body_util::{BodyExt, Empty};

use super::*;

fn hooks(http: Vec<HttpGrant>) -> Hooks {
    let grants = Arc::new(Grants { http, ..Grants::default() }.into());
    let deadline = Instant::now() + Duration::from_secs(60);
    Http::new(CallGrants::from(&grants), DeniedCall::default(), RetryAfter::default(), deadline).hooks
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
    let ports = ["+80", "080", "00080", "", "-1", "80+", "0x50", "65536", "8_0", "80:80"];
    let hosts =
        ["", ".", "a.example.", "a.example..", "[a.example]", "[::1", "[::1%25lo]", "[v1.a]", "[]", "a.example!"];
    let odd = ports.map(|port| format!("a.example:{port}"));
    let odd = odd.into_iter().chain(hosts.map(|host| format!("{host}:+80"))).chain(["a!b$c&'*,;=~".to_owned()]);
    for authority in odd {
        // The host refuses authorities that the parser accepts.
        if let Ok(uri) = http::Uri::builder().scheme("http").authority(authority.as_str()).path_and_query("/").build() {
            let refused = hooks.admit(&get(&uri.to_string()));
            assert!(matches!(refused, Err(Error::HttpRequestUriInvalid)), "{authority}");
        }
    }
    for uri in ["http://a.example/", "http://A.Example.:80/", "https://a.example:443/"] {
        assert!(hooks.admit(&get(uri)).is_ok(), "{uri}");
    }
    for (authority, host, tls, wanted) in [
        ("[::1]", "[::1]", true, Some(443)),
        ("[::1]:8", "[::1]", true, Some(8)),
        ("127.1:65535", "127.1", false, Some(65535)),
        ("a:+80", "a", false, None),
        ("a: 80", "a", false, None),
        ("a:\u{0664}", "a", false, None),
        ("u@a:80", "a", false, None),
        ("[::1]x:80", "[::1]", false, None),
    ] {
        assert_eq!(port(authority, host, tls), wanted, "{authority}");
    }
    for uri in ["http://b.example/", "http://a.example:8080/", "http://a.example.b/"] {
        assert!(matches!(hooks.admit(&get(uri)), Err(Error::HttpRequestDenied)), "{uri}");
    }
}
