//! Unusual requests, byte by byte: older versions, other methods, other forms of a URL.

use frond_server::Config;
use frond_server::config::Role;

use crate::common::{Served, app, apps, by_key, config, token};
use crate::raw::{Raw, post, status};

/// Sends a request on a new connection, and returns the whole reply.
async fn reply(served: &Served, request: &str) -> String {
    let mut raw = Raw::to(served).await;
    raw.send(request).await;
    raw.end().await;
    raw.rest().await
}

/// A request without a body.
fn ask(line: &str) -> String {
    format!("{line}\r\nhost: localhost\r\n\r\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn http_1_0_is_answered_with_and_without_a_host() {
    let served = Served::new().await;
    for host in ["", "host: localhost\r\n"] {
        let healthy = reply(&served, &format!("GET /healthz HTTP/1.0\r\n{host}\r\n")).await;
        assert!(healthy.starts_with("HTTP/1.0 200 OK\r\n") && healthy.ends_with("\r\n\r\nok\n"), "{healthy}");
        let body = by_key(&["ok"]);
        let length = body.len();
        let asked = format!("POST /v1/apps/caller/query HTTP/1.0\r\n{host}content-length: {length}\r\n\r\n{body}");
        let answer = reply(&served, &asked).await;
        assert!(answer.starts_with("HTTP/1.0 200 OK\r\n") && answer.contains("\"count\":1"), "{answer}");
        // HTTP/1.0 has no chunks: the stream lasts until the connection ends.
        let stream = reply(&served, &asked.replacen("\r\n", "\r\naccept: text/event-stream\r\n", 1)).await;
        assert!(stream.contains("event: answer") && !stream.contains("transfer-encoding"), "{stream}");
    }
    let elsewhere = reply(&served, "GET /v1/apps HTTP/1.0\r\nhost: evil.example\r\n\r\n").await;
    assert!(elsewhere.starts_with("HTTP/1.0 403 "), "{elsewhere}");
}

#[tokio::test(flavor = "multi_thread")]
async fn http_1_1_has_exactly_one_host() {
    let (_, entry) = token("asker", Role::Query);
    for served in [Served::new().await, Served::with(Config { tokens: vec![entry], ..config() }).await] {
        for (headers, text) in [
            ("", "`Host` is missing"),
            ("host: localhost\r\nhost: localhost\r\n", "`host` is given more than once"),
            ("host: localhost\r\nhost: evil.example\r\n", "`host` is given more than once"),
        ] {
            let reply = reply(&served, &format!("GET /v1/apps HTTP/1.1\r\n{headers}\r\n")).await;
            assert!(status(&reply) == 400 && reply.contains(text), "{headers:?}: {reply}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_that_say_two_things_are_refused() {
    let (secret, entry) = token("asker", Role::Query);
    let served = Served::with(Config { tokens: vec![entry], ..config() }).await;
    for (headers, name) in [
        (format!("authorization: Bearer {secret}\r\nauthorization: Bearer x\r\n"), "authorization"),
        (format!("authorization: Bearer {secret}\r\norigin: a\r\norigin: b\r\n"), "origin"),
        (format!("authorization: Bearer {secret}\r\nidempotency-key: a\r\nidempotency-key: b\r\n"), "idempotency-key"),
        (format!("authorization: Bearer {secret}\r\ncontent-type: a/a\r\ncontent-type: b/b\r\n"), "content-type"),
    ] {
        let asked = post("caller/jobs", "{}").replacen("\r\n", &format!("\r\n{headers}"), 1);
        let reply = reply(&served, &asked).await;
        assert!(status(&reply) == 400 && reply.contains(&format!("`{name}` is given more than once")), "{reply}");
    }
    // Headers with list values may be repeated.
    let asked = post("caller/query", &by_key(&["ok"]));
    let spread =
        format!("\r\nauthorization: Bearer {secret}\r\naccept: image/png\r\naccept: application/vnd.frond+json\r\n");
    let reply = reply(&served, &asked.replacen("\r\n", &spread, 1)).await;
    assert!(status(&reply) == 200 && reply.contains("\"coverage\""), "{reply}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_has_one_length() {
    let served = Served::new().await;
    let body = by_key(&["ok"]);
    let length = body.len();
    for lengths in [
        format!("content-length: {length}\r\ncontent-length: {}\r\n", length + 1),
        format!("content-length: {length}, {}\r\n", length + 1),
        format!("content-length: {length}\r\ntransfer-encoding: chunked\r\n"),
        format!("transfer-encoding: chunked\r\ncontent-length: {length}\r\n"),
        "transfer-encoding: gzip\r\n".to_owned(),
        "content-length: 0x10\r\n".to_owned(),
        "content-length: +10\r\n".to_owned(),
    ] {
        let asked = format!("POST /v1/apps/caller/query HTTP/1.1\r\nhost: localhost\r\n{lengths}\r\n{body}");
        let reply = reply(&served, &asked).await;
        assert_eq!(reply.matches("HTTP/1.1 ").count(), 1, "{lengths}: {reply}");
        assert_eq!(status(&reply), 400, "{lengths}: {reply}");
    }
    assert_eq!(served.metric("frond_queries_begun_total", &[]).await, 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_say_what_a_get_would() {
    let served = Served::new().await;
    for path in ["/healthz", "/v1/server", "/", "/openapi.json", "/nowhere"] {
        let head = reply(&served, &ask(&format!("HEAD {path} HTTP/1.1"))).await;
        let get = reply(&served, &ask(&format!("GET {path} HTTP/1.1"))).await;
        let (of_get, body) = get.split_once("\r\n\r\n").unwrap();
        let (of_head, nothing) = head.split_once("\r\n\r\n").unwrap();
        let without_date = |head: &str| {
            let lines = head.lines().filter(|line| !line.starts_with("date:")).map(str::to_owned);
            lines.collect::<std::collections::BTreeSet<_>>()
        };
        assert_eq!((without_date(of_head), nothing), (without_date(of_get), ""), "{path}");
        assert!(of_get.contains(&format!("content-length: {}", body.len())), "{path}: {of_get}");
    }
    let head = reply(&served, &ask("HEAD /v1/apps/caller/query HTTP/1.1")).await;
    assert!(status(&head) == 405 && head.contains("allow: POST\r\n"), "{head}");
}

#[tokio::test(flavor = "multi_thread")]
async fn options_say_what_an_address_takes() {
    let served = Served::new().await;
    for (path, allow) in [
        ("/v1/apps/caller/query", "POST"),
        ("/v1/apps", "GET,HEAD"),
        ("/healthz", "GET,HEAD"),
        ("/v1/jobs/0", "GET,HEAD,DELETE,PATCH"),
    ] {
        let reply = reply(&served, &ask(&format!("OPTIONS {path} HTTP/1.1"))).await;
        let allowed = reply.lines().find_map(|line| line.strip_prefix("allow: ")).unwrap_or_else(|| panic!("{reply}"));
        let sorted = |list: &str| list.split(',').map(str::to_owned).collect::<std::collections::BTreeSet<_>>();
        assert_eq!((status(&reply), sorted(allowed)), (204, sorted(allow)), "{path}");
    }
    assert_eq!(status(&reply(&served, &ask("OPTIONS /nowhere HTTP/1.1")).await), 404);
    assert_eq!(status(&reply(&served, &ask("OPTIONS * HTTP/1.1")).await), 204);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_may_be_whole_and_then_counts_before_the_host() {
    let served = Served::new().await;
    let address = served.address().to_owned();
    for target in [format!("http://{address}/healthz"), "HTTP://localhost/healthz".to_owned()] {
        let reply = reply(&served, &format!("GET {target} HTTP/1.1\r\nhost: {address}\r\n\r\n")).await;
        assert!(status(&reply) == 200 && reply.ends_with("ok\n"), "{target}: {reply}");
    }
    let elsewhere = reply(&served, &ask("GET http://evil.example/v1/apps HTTP/1.1")).await;
    assert!(status(&elsewhere) == 403, "{elsewhere}");
    let local = "GET http://localhost/healthz HTTP/1.1\r\nhost: evil.example\r\n\r\n";
    assert_eq!(status(&reply(&served, local).await), 200);
    for line in ["CONNECT localhost:80 HTTP/1.1", "GET * HTTP/1.1", "TRACE /healthz HTTP/1.1"] {
        let refused = status(&reply(&served, &ask(line)).await);
        assert!(matches!(refused, 400 | 404 | 405), "{line}: {refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn names_of_apps_may_be_spelled_in_any_way() {
    let folder = apps();
    let source = "[source]\nkind = \"query\"\n";
    for name in ["züge", "a b", "100%"] {
        app(folder.path(), name, source);
    }
    let served = Served::of(folder, config()).await;
    let body = by_key(&["ok"]);
    for spelled in ["c%61ller", "%63%61%6c%6C%65%72", "z%C3%BCge", "z%c3%bcge", "a%20b", "100%25"] {
        let reply = reply(&served, &post(&format!("{spelled}/query"), &body)).await;
        assert_eq!(status(&reply), 200, "{spelled}: {reply}");
    }
    // An escaped slash is part of a name, and so is a plus. A value is unescaped once.
    for name in ["caller%2F", "..%2fcaller", "a+b", "c%2561ller", "%00", "%ff", "%"] {
        let reply = reply(&served, &post(&format!("{name}/query"), &body)).await;
        assert_eq!(status(&reply), 404, "{name}: {reply}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_may_be_long_up_to_the_limit_of_a_head() {
    let served = Served::new().await;
    let body = by_key(&["ok"]);
    let many = "require=ok&".repeat(900);
    assert_eq!(status(&reply(&served, &post(&format!("caller/query?{many}"), &body)).await), 200);
    let long = format!("caller/query?require={}", "x".repeat(30_000));
    assert_eq!(status(&reply(&served, &post(&long, &body)).await), 400);
    for length in [40_000, 70_000, 200_000] {
        let long = format!("caller/query?require={}", "x".repeat(length));
        let refused = status(&reply(&served, &post(&long, &body)).await);
        assert!(matches!(refused, 414 | 431), "{length}: {refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_waits_to_be_asked_for_is_asked_for_when_it_is_wanted() {
    let served = Served::new().await;
    let body = by_key(&["ok"]);
    let length = body.len();
    let head = |path: &str, expect: &str| {
        format!("POST {path} HTTP/1.1\r\nhost: localhost\r\nexpect: {expect}\r\ncontent-length: {length}\r\n\r\n")
    };
    for expect in ["100-continue", "100-Continue"] {
        let mut raw = Raw::to(&served).await;
        raw.send(head("/v1/apps/caller/query", expect)).await;
        assert_eq!(raw.until("\r\n\r\n").await, "HTTP/1.1 100 Continue\r\n\r\n");
        raw.send(&body).await;
        raw.end().await;
        let reply = raw.rest().await;
        assert!(status(&reply) == 200 && reply.contains("\"count\":1"), "{reply}");
    }
    // A client that does not wait is answered, too.
    let reply = reply(&served, &format!("{}{body}", head("/v1/apps/caller/query", "100-continue"))).await;
    assert!(reply.contains("HTTP/1.1 200 OK") && reply.contains("\"count\":1"), "{reply}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_hides_behind_a_length_and_chunks() {
    let served = Served::new().await;
    let body = by_key(&["ok"]);
    let chunked = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    let hidden = "GET /v1/queries HTTP/1.1\r\nhost: localhost\r\n\r\n";
    for headers in
        ["content-length: 5\r\ntransfer-encoding: chunked", "transfer-encoding: chunked\r\ncontent-length: 5"]
    {
        let request = format!("POST /v1/apps/caller/query HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n\r\n");
        let mut raw = Raw::to(&served).await;
        raw.send(format!("{request}{chunked}{hidden}")).await;
        // The server closes the connection.
        let reply = raw.rest().await;
        assert_eq!(reply.matches("HTTP/1.1 ").count(), 1, "{headers}: {reply}");
        assert!(reply.contains("\"count\":1") && reply.contains("connection: close"), "{headers}: {reply}");
    }
    for headers in
        ["content-length: 5\r\ncontent-length: 6", "transfer-encoding: chunked, gzip", "transfer-encoding: x"]
    {
        let request = format!("POST /v1/apps/caller/query HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n\r\n");
        let reply = reply(&served, &format!("{request}{chunked}{hidden}")).await;
        assert!(status(&reply) == 400 && reply.matches("HTTP/1.1 ").count() == 1, "{headers}: {reply}");
    }
}
