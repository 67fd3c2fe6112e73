//! Authentication, roles and rate limits; and, without tokens, protection against other sites.

use frond_server::config::{Config, Role, Token};
use frond_server::{ServeError, Starting};
use reqwest::Method;

use crate::common::{Reply, Served, apps, by_key, config, send, token};

fn closed(tokens: Vec<Token>) -> Config {
    Config { tokens, ..config() }
}

async fn with(served: &Served, authorization: &str) -> Reply {
    send(served.request(Method::GET, "/v1/apps").header("authorization", authorization)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_token_only_health_and_the_page_are_there() {
    let (_, entry) = token("reader", Role::Query);
    let served = Served::with(closed(vec![entry])).await;
    for (method, path) in [
        (Method::GET, "/v1/apps"),
        (Method::GET, "/v1/apps/caller"),
        (Method::POST, "/v1/apps/caller/query"),
        (Method::PUT, "/v1/apps/caller/leaf"),
        (Method::DELETE, "/v1/apps/caller/leaf"),
        (Method::POST, "/v1/apps/caller/rollback"),
        (Method::GET, "/v1/queries"),
        (Method::GET, "/v1/queries/0"),
        (Method::DELETE, "/v1/queries/0"),
        (Method::GET, "/v1/queries/0/events"),
        (Method::GET, "/v1/events"),
        (Method::GET, "/v1/server"),
        (Method::GET, "/metrics"),
    ] {
        let reply = send(served.request(method.clone(), path)).await;
        assert_eq!(reply.header("www-authenticate"), "Bearer", "{method} {path}");
        reply.problem(401, "unauthorized", "asks for a token");
    }
    for path in ["/healthz", "/readyz", "/", "/openapi.json"] {
        served.get(path).await.expect(200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_whole_token_opens() {
    let (secret, entry) = token("reader", Role::Query);
    let (other, _) = token("reader", Role::Query);
    let served = Served::with(closed(vec![entry.clone()])).await;
    let scheme = |token: &str| format!("Bearer {token}");
    with(&served, &scheme(&secret)).await.expect(200);
    with(&served, &format!("bearer {secret}")).await.expect(200);
    let last = if secret.ends_with('0') { "1" } else { "0" };
    let like = format!("{}{last}", &secret[..secret.len() - 1]);
    let wrong = [
        scheme(&other),
        scheme(&like),
        scheme(&secret[..secret.len() - 1]),
        scheme(&format!("{secret}0")),
        scheme(&secret.to_uppercase()),
        scheme(&entry.sha256),
        scheme(&"x".repeat(20_000)),
    ];
    for authorization in wrong {
        with(&served, &authorization).await.problem(401, "unauthorized", "not known here");
    }
    for authorization in [secret.clone(), format!("Basic {secret}"), format!("Bearer{secret}"), scheme("")] {
        with(&served, &authorization).await.problem(401, "unauthorized", "");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_with_a_common_beginning_are_told_apart() {
    let named = |name: &str, role, text: &str| {
        use std::fmt::Write;
        let hash = <sha2::Sha256 as sha2::Digest>::digest(text.as_bytes());
        let sha256 = hash.iter().fold(String::new(), |mut hex, byte| {
            write!(hex, "{byte:02x}").unwrap();
            hex
        });
        Token { name: name.to_owned(), role, sha256, concurrency: 64, rate: 1000, job_quota: None, jobs: None }
    };
    let tokens = vec![named("a", Role::Query, "frond_same"), named("b", Role::Admin, "frond_same_and_more")];
    let served = Served::with(closed(tokens)).await;
    let change = |token: &str| {
        let request = served.request(Method::DELETE, "/v1/apps/caller/leaf");
        send(request.header("authorization", format!("Bearer {token}")))
    };
    change("frond_same").await.problem(403, "forbidden", "the token of `a` may run queries, but not change apps");
    change("frond_same_and_more").await.expect(200);
    change("frond_same_and").await.problem(401, "unauthorized", "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_token_asks_and_looks_and_an_admins_changes() {
    let (query, first) = token("asks", Role::Query);
    let (admin, second) = token("changes", Role::Admin);
    let served = Served::with(closed(vec![first, second])).await;
    let as_query = served.holding(&query);
    let id = as_query.ask("caller", by_key(&["ok"])).await.expect(200).query();
    as_query.get("/metrics").await.expect(200);
    send(as_query.request(Method::DELETE, &format!("/v1/queries/{id}"))).await.expect(202);
    for (method, path) in [
        (Method::PUT, "/v1/apps/caller/leaf"),
        (Method::DELETE, "/v1/apps/caller/leaf"),
        (Method::POST, "/v1/apps/caller/rollback"),
    ] {
        send(as_query.request(method, path)).await.problem(403, "forbidden", "`asks`");
    }
    let as_admin = as_query.holding(&admin);
    as_admin.ask("caller", by_key(&["ok"])).await.expect(200);
    let put = as_admin.request(Method::PUT, "/v1/apps/caller/leaf").body("no component");
    send(put).await.problem(422, "incompatible", "");
    let changed = send(as_admin.request(Method::POST, "/v1/apps/caller/rollback")).await;
    changed.problem(409, "conflict", "");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_above_a_tokens_rate_are_429() {
    let (secret, mut entry) = token("eager", Role::Query);
    entry.rate = 1;
    let (admin, other) = token("patient", Role::Admin);
    let served = Served::with(closed(vec![entry, other])).await.holding(&secret);
    let mut refused = 0;
    for _ in 0..10 {
        let reply = served.get("/v1/server").await;
        if reply.status == 429 {
            assert!((1..=3).contains(&reply.header("retry-after").parse::<u64>().unwrap()));
            reply.problem(
                429,
                "overloaded",
                "the token of `eager` has exceeded its rate of requests\n(`rate` of the token",
            );
            refused += 1;
        }
    }
    assert!(refused > 0);
    // Each token has a separate rate limit.
    served.holding(&admin).get("/v1/server").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn queries_above_a_tokens_number_are_429() {
    let (secret, mut entry) = token("one", Role::Query);
    entry.concurrency = 1;
    let (admin, other) = token("other", Role::Admin);
    let served = Served::with(closed(vec![entry, other])).await.holding(&secret);
    let running = tokio::spawn(served.query("caller", by_key(&["spin"])).send());
    served.leaves(1).await;
    let reply = served.ask("caller", by_key(&["ok"])).await;
    assert_eq!(reply.header("retry-after"), "1");
    reply.problem(429, "overloaded", "running queries\n(`concurrency` of the token");
    let as_other = served.holding(&admin);
    as_other.ask("caller", by_key(&["ok"])).await.expect(200);
    running.abort();
    as_other.idle().await;
    as_other.holding(&secret).ask("caller", by_key(&["ok"])).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_server_does_not_start_where_others_reach_it() {
    let folder = apps();
    let open = Config { listen: "0.0.0.0:0".parse().unwrap(), ..config() };
    let Err(ServeError::Config(error)) = Starting::new(folder.path(), open.clone()).await else {
        panic!("it started");
    };
    let text = error.to_string();
    for part in ["0.0.0.0:0 can be reached from other machines", "there are no tokens", "frond token", "--insecure"] {
        assert!(text.contains(part), "{text}");
    }
    let insecure = Config { insecure: true, ..open.clone() };
    drop(Starting::new(folder.path(), insecure).await.unwrap());
    let (_, entry) = token("any", Role::Query);
    // Each needs a separate folder: the previous server may not have released it yet.
    let folder = apps();
    drop(Starting::new(folder.path(), Config { tokens: vec![entry], ..open }).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn dns_rebinding_is_refused() {
    let served = Served::new().await;
    let port = served.address().rsplit_once(':').unwrap().1.to_owned();
    let ask = |host: String| send(served.request(Method::GET, "/v1/apps").header("host", host));
    for host in
        ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "10.0.0.1", "evil.example@127.0.0.1", ""]
    {
        for host in [host.to_owned(), format!("{host}:{port}")] {
            ask(host).await.problem(403, "forbidden", "names another machine than this one");
        }
    }
    for host in ["localhost", "LOCALHOST", "127.0.0.1", "127.1.2.3", "[::1]"] {
        for host in [host.to_owned(), format!("{host}:{port}")] {
            ask(host).await.expect(200);
        }
    }
    // With tokens any host name is accepted: a page of another site has no token.
    let (secret, entry) = token("any", Role::Query);
    let served = Served::with(closed(vec![entry])).await.holding(&secret);
    send(served.request(Method::GET, "/v1/apps").header("host", "frond.example")).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_other_sites_may_not_ask() {
    let served = Served::new().await;
    let ask = |origin: String| send(served.query("caller", by_key(&["ok"])).header("origin", origin));
    for origin in ["http://evil.example", "null", "https://127.0.0.1", "http://localhost:1", "", "://"] {
        ask(origin.to_owned()).await.problem(403, "forbidden", "may not use this server");
    }
    ask(served.url.clone()).await.expect(200);
    let delete = served.request(Method::DELETE, "/v1/queries/0").header("origin", "http://evil.example");
    send(delete).await.problem(403, "forbidden", "");
    // Reading is harmless: the browser does not show the reply to the page.
    let read = send(served.request(Method::GET, "/v1/apps").header("origin", "http://evil.example")).await.expect(200);
    assert_eq!(read.header("access-control-allow-origin"), "");
    assert_eq!(served.metric("frond_queries_begun_total", &[]).await, 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn origins_that_are_named_may() {
    let page = "https://page.example";
    let served = Served::with(Config { cors: vec![page.to_owned()], ..config() }).await;
    let ask = |origin: &str| send(served.query("caller", by_key(&["ok"])).header("origin", origin.to_owned()));
    let reply = ask(page).await.expect(200);
    assert_eq!(reply.header("access-control-allow-origin"), page);
    assert!(reply.header("access-control-expose-headers").contains("frond-complete"));
    assert_eq!(reply.header("access-control-allow-credentials"), "");
    let refused = ask("https://page.example.evil").await;
    assert_eq!(refused.header("access-control-allow-origin"), "");
    refused.expect(403);
    let preflight = |origin: &str| {
        let request = served.request(Method::OPTIONS, "/v1/apps/caller/query").header("origin", origin.to_owned());
        send(request.header("access-control-request-method", "POST"))
    };
    let allowed = preflight(page).await.expect(200);
    assert_eq!(allowed.header("access-control-allow-origin"), page);
    assert!(allowed.header("access-control-allow-methods").contains("POST"));
    assert_eq!(preflight("https://evil.example").await.header("access-control-allow-origin"), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_reply_has_the_headers_that_keep_browsers_careful() {
    let served = Served::new().await;
    let replies = [
        served.get("/").await,
        served.get("/v1/apps").await,
        served.get("/nowhere").await,
        served.get("/healthz").await,
        send(served.request(Method::POST, "/metrics")).await,
        send(served.request(Method::GET, "/").header("host", "evil.example")).await,
        served.ask("caller", by_key(&["ok"])).await,
    ];
    for reply in &replies {
        assert_eq!(reply.header("x-content-type-options"), "nosniff");
        assert_eq!(reply.header("referrer-policy"), "no-referrer");
        assert_eq!(reply.header("x-frame-options"), "DENY");
        assert!(matches!(reply.header("cache-control"), "no-store" | "no-cache"), "{:?}", reply.headers);
    }
    let answer = replies.last().unwrap();
    assert_eq!(answer.header("content-security-policy"), "sandbox; default-src 'none'");
    assert!(replies[0].header("content-security-policy").contains("default-src 'self'"));
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_logins_are_counted_by_what_failed() {
    let (secret, entry) = token("reader", Role::Query);
    let (other, _) = token("reader", Role::Query);
    let served = Served::with(closed(vec![entry])).await;
    for _ in 0..3 {
        with(&served, &format!("Bearer {other}")).await.expect(401);
    }
    send(served.request(Method::GET, "/v1/apps")).await.expect(401);
    let served = served.holding(&secret);
    assert_eq!(served.metric("frond_logins_failed_total", &["unknown-token"]).await, 3.0);
    assert_eq!(served.metric("frond_logins_failed_total", &["no-token"]).await, 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_browser_calls_cross_site_is_refused_without_an_origin_too() {
    let served = Served::new().await;
    let ask = |site: &str| served.query("caller", by_key(&["ok"])).header("sec-fetch-site", site.to_owned());
    send(ask("cross-site")).await.problem(403, "forbidden", "web pages of other origins");
    send(ask("same-origin")).await.expect(200);
    let page = served.request(Method::GET, "/").header("sec-fetch-site", "cross-site");
    send(page).await.expect(200);
}
