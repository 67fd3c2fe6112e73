//! Tokens, roles, and requests without a token.

use data_encoding::HEXLOWER;
use proptest::prelude::*;

use super::*;
use crate::config::fresh_token;

/// A token, and its entry in the settings.
fn token(name: &str, role: Role) -> (String, Token) {
    let (token, lines) = fresh_token(name, role);
    let config: Config = toml::from_str(&lines).unwrap();
    (token, config.tokens[0].clone())
}

fn authenticator(tokens: Vec<Token>) -> Authenticator {
    Authenticator::new(&Config { tokens, ..Config::default() })
}

fn headers(pairs: &[(http::HeaderName, &str)]) -> HeaderMap {
    pairs.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect()
}

fn asks(authenticator: &Authenticator, authorization: &str) -> Result<Arc<Principal>, Problem> {
    Ok(authenticator.principal(&headers(&[(AUTHORIZATION, authorization)]))?)
}

/// The error text of a refused request.
fn detail(problem: &Problem) -> String {
    serde_json::to_value(problem).unwrap()["detail"].as_str().unwrap().to_owned()
}

#[test]
fn each_token_identifies_its_principal_at_any_position() {
    let made: Vec<_> =
        (0..20).map(|i| token(&format!("t{i}"), if i % 3 == 0 { Role::Admin } else { Role::Query })).collect();
    let authenticator = authenticator(made.iter().map(|(_, entry)| entry.clone()).collect());
    for (secret, entry) in &made {
        let principal = asks(&authenticator, &format!("Bearer {secret}")).ok().unwrap();
        assert_eq!((&principal.name, principal.role), (&entry.name, entry.role));
    }
}

#[test]
fn hashes_that_differ_in_one_bit_are_two() {
    let secret = "the token";
    let hash: [u8; 32] = Sha256::digest(secret).into();
    for bit in 0..256 {
        let mut other = hash;
        other[bit / 8] ^= 1 << (bit % 8);
        let (_, entry) = token("other", Role::Admin);
        let authenticator = authenticator(vec![Token { sha256: HEXLOWER.encode(&other), ..entry }]);
        assert!(asks(&authenticator, &format!("Bearer {secret}")).is_err(), "bit {bit}");
    }
}

#[test]
fn the_scheme_may_be_written_in_any_case_and_must_be_there() {
    let (secret, entry) = token("one", Role::Query);
    let authenticator = authenticator(vec![entry.clone()]);
    for scheme in ["Bearer", "bearer", "BEARER", "bEaReR", "Bearer ", "Bearer   "] {
        assert!(asks(&authenticator, &format!("{scheme} {secret}")).is_ok(), "{scheme}");
    }
    for wrong in ["", "Bearer", "Bearer ", &secret, &format!("Basic {secret}"), &format!("Bearer{secret}")] {
        assert!(asks(&authenticator, wrong).is_err(), "{wrong}");
    }
    assert!(asks(&authenticator, &format!("Bearer {}", entry.sha256)).is_err(), "the hash opens nothing");
    assert!(asks(&authenticator, &format!("Bearer {secret} {secret}")).is_err());
    assert!(authenticator.principal(&HeaderMap::new()).is_err());
    let mut bytes = HeaderMap::new();
    bytes.insert(AUTHORIZATION, http::HeaderValue::from_bytes(b"Bearer \xff\xfe").unwrap());
    assert!(authenticator.principal(&bytes).is_err());
}

#[test]
fn a_refusal_does_not_repeat_what_was_sent() {
    let (_, entry) = token("dashboard", Role::Query);
    let (other, _) = token("other", Role::Query);
    let problem = asks(&authenticator(vec![entry.clone()]), &format!("Bearer {other}")).err().unwrap();
    assert_eq!((problem.status().as_u16(), problem.slug()), (401, "unauthorized"));
    let detail = detail(&problem);
    assert!(!detail.contains(&other) && !detail.contains(&entry.sha256) && !detail.contains("dashboard"), "{detail}");
}

#[test]
fn an_admin_may_what_others_may_and_not_the_other_way_round() {
    let role = |role| principal(&token("x", role).1);
    for (has, wants, may) in [
        (Role::Query, Action::Read, true),
        (Role::Query, Action::Ask, true),
        (Role::Query, Action::Change, false),
        (Role::Observer, Action::Read, true),
        (Role::Observer, Action::Ask, false),
        (Role::Observer, Action::Change, false),
        (Role::Admin, Action::Read, true),
        (Role::Admin, Action::Ask, true),
        (Role::Admin, Action::Change, true),
    ] {
        assert_eq!(role(has).may(wants).is_ok(), may, "{has:?} {wants:?}");
    }
    let problem = role(Role::Query).may(Action::Change).err().unwrap();
    assert_eq!(problem.status().as_u16(), 403);
    assert!(detail(&problem).contains("takes a token with the role admin"));
}

#[test]
fn whose_queries_and_jobs_are_reached_depends_on_the_role() {
    for (role, read, ask) in
        [(Role::Query, Some("x"), Some("x")), (Role::Observer, None, Some("x")), (Role::Admin, None, None)]
    {
        let principal = principal(&token("x", role).1);
        assert_eq!(principal.caller(), Some("x"));
        assert_eq!((principal.limited(Action::Read), principal.limited(Action::Ask)), (read, ask), "{role:?}");
    }
}

#[test]
fn what_a_request_does_is_told_by_its_method_and_address() {
    for (method, path, action) in [
        (Method::GET, "/v1/jobs/1", Action::Read),
        (Method::HEAD, "/v1/queries", Action::Read),
        (Method::POST, "/v1/apps/a/query", Action::Ask),
        (Method::DELETE, "/v1/jobs/1", Action::Ask),
        (Method::DELETE, "/v1/queries/1", Action::Ask),
        (Method::PATCH, "/v1/jobs/1", Action::Ask),
        (Method::POST, "/v1/jobs/1/redrive", Action::Ask),
        (Method::PUT, "/v1/apps/a/leaf", Action::Change),
        (Method::DELETE, "/v1/apps/a/leaf", Action::Change),
        (Method::POST, "/v1/apps/a/rollback", Action::Change),
    ] {
        assert_eq!(Action::of(&method, path), action, "{method} {path}");
    }
}

#[test]
fn without_tokens_anybody_may_everything_as_often_as_they_like() {
    let authenticator = authenticator(Vec::new());
    assert!(!authenticator.is_closed());
    let anybody = asks(&authenticator, "Bearer whatever").ok().unwrap();
    assert!(anybody.may(Action::Change).is_ok());
    assert_eq!((anybody.caller(), anybody.limited(Action::Ask)), (None, None), "everybody is one caller");
    let places: Vec<_> = (0..10_000).map(|_| anybody.place().ok().unwrap()).collect();
    assert!((0..10_000).all(|_| anybody.count().is_ok()));
    drop(places);
}

#[test]
fn a_token_whose_hash_is_wrong_lets_nobody_in_and_does_not_open_the_server() {
    let (secret, entry) = token("one", Role::Admin);
    let authenticator = authenticator(vec![Token { sha256: "x".to_owned(), ..entry }]);
    assert!(authenticator.is_closed());
    assert!(asks(&authenticator, &format!("Bearer {secret}")).is_err() && asks(&authenticator, "Bearer x").is_err());
}

#[test]
fn as_many_queries_run_at_once_as_are_allowed() {
    let principal = principal(&Token { concurrency: 2, ..token("one", Role::Query).1 });
    let first = principal.place().ok().unwrap();
    let second = principal.place().ok().unwrap();
    let problem = principal.place().err().unwrap();
    assert_eq!((problem.status().as_u16(), problem.slug()), (429, "overloaded"));
    drop(first);
    let third = principal.place().ok().unwrap();
    assert!(principal.place().is_err());
    drop((second, third));
}

#[test]
fn requests_beyond_the_rate_are_refused_and_told_when_to_come_again() {
    let principal = principal(&Token { rate: 1, ..token("one", Role::Query).1 });
    assert!(principal.count().is_ok() && principal.count().is_ok(), "twice as many at once");
    // On a machine that is suspended for seconds, some more requests pass.
    let problem = (0..1000).find_map(|_| principal.count().err()).unwrap();
    assert_eq!((problem.status().as_u16(), problem.slug()), (429, "overloaded"));
    let response = axum::response::IntoResponse::into_response(problem);
    assert_eq!(response.headers()["retry-after"], "1");
}

#[test]
fn the_largest_numbers_are_no_trouble() {
    let principal = principal(&Token { rate: u32::MAX, concurrency: usize::MAX, ..token("one", Role::Query).1 });
    assert!(principal.count().is_ok() && principal.place().is_ok());
}

#[test]
fn only_names_of_this_machine_are_local() {
    for host in ["localhost", "LocalHost:1", "127.0.0.1", "127.255.1.2:7300", "[::1]", "[::1]:7300"] {
        assert!(is_local(host), "{host}");
    }
    for host in [
        "",
        ":",
        ":7300",
        "localhost.",
        "localhost.evil.example",
        "evil.example:80",
        "127.0.0.1.evil.example",
        "127.0.0.1:x",
        "127.1",
        "0.0.0.0",
        "[::]",
        "[::ffff:10.0.0.1]",
        "10.0.0.1:7300",
        "localhost:80:80",
        "user@localhost",
        "localhost/",
    ] {
        assert!(!is_local(host), "{host}");
    }
}

#[test]
fn what_a_browser_calls_foreign_changes_nothing_unless_its_origin_is_named() {
    let config = Config { cors: vec!["https://page.example".to_owned()], ..Config::default() };
    let authenticator = Authenticator::new(&config);
    let uri = Uri::from_static("/v1/apps/a/query");
    let asks = |method: &Method, more: &[(&'static str, &str)]| {
        let mut headers = headers(&[(HOST, "localhost:7300")]);
        headers.extend(more.iter().map(|(name, value)| (http::HeaderName::from_static(name), value.parse().unwrap())));
        authenticator.same_site(Version::HTTP_11, method, &uri, &headers).is_ok()
    };
    let site = |site: &'static str| [("sec-fetch-site", site)];
    assert!(asks(&Method::GET, &site("cross-site")), "a link leads to the page");
    for method in [Method::POST, Method::PUT, Method::DELETE, Method::PATCH] {
        for foreign in ["cross-site", "same-site"] {
            assert!(!asks(&method, &site(foreign)), "{method} {foreign}");
        }
        for own in ["same-origin", "none"] {
            assert!(asks(&method, &site(own)), "{method} {own}");
        }
        let with = |origin: &'static str| [("sec-fetch-site", "cross-site"), ("origin", origin)];
        assert!(asks(&method, &with("https://page.example")), "{method}");
        assert!(!asks(&method, &with("https://evil.example")), "{method}");
        assert!(!asks(&method, &with("http://localhost:7300")), "{method}: of another scheme, or a lie");
    }
}

#[test]
fn a_page_elsewhere_may_read_and_not_change_unless_it_is_named() {
    let config = Config { cors: vec!["https://page.example".to_owned()], ..Config::default() };
    let closed = authenticator(vec![token("one", Role::Query).1]);
    let open = Authenticator::new(&config);
    let uri = Uri::from_static("/v1/apps/a/query");
    let asks = |authenticator: &Authenticator, method: &Method, origin: &str| {
        authenticator
            .same_site(Version::HTTP_11, method, &uri, &headers(&[(HOST, "localhost:7300"), (ORIGIN, origin)]))
            .is_ok()
    };
    for method in [Method::GET, Method::HEAD, Method::OPTIONS] {
        assert!(asks(&open, &method, "https://evil.example"), "{method}");
    }
    for method in [Method::POST, Method::PUT, Method::DELETE, Method::PATCH] {
        for authenticator in [&open, &closed] {
            assert!(!asks(authenticator, &method, "https://evil.example"), "{method}");
            assert!(!asks(authenticator, &method, "null"), "{method}");
            assert!(!asks(authenticator, &method, "http://localhost:7300.evil.example"), "{method}");
            assert!(asks(authenticator, &method, "http://localhost:7300"), "{method}");
        }
        assert!(asks(&open, &method, "https://page.example"), "{method}");
        assert!(!asks(&closed, &method, "https://page.example"), "{method}");
    }
}

#[test]
fn http_2_names_the_host_in_the_address() {
    let open = authenticator(Vec::new());
    let asks = |uri: &'static str| {
        open.same_site(Version::HTTP_11, &Method::GET, &Uri::from_static(uri), &HeaderMap::new()).is_ok()
    };
    assert!(asks("http://localhost:7300/v1/apps"));
    assert!(!asks("http://evil.example/v1/apps"));
    assert!(!asks("/v1/apps"), "no name is no name of this machine");
}

proptest! {
    #[test]
    fn no_text_as_a_hash_or_a_host_or_a_header_brings_it_down(text in ".{0,80}") {
        let _ = (digest(&text), is_local(&text), bearer(&text));
        if let Ok(value) = http::HeaderValue::from_str(&text) {
            let authenticator = authenticator(vec![token("one", Role::Query).1]);
            let pairs = [(AUTHORIZATION, value.clone()), (HOST, value.clone()), (ORIGIN, value)];
            let headers: HeaderMap = pairs.into_iter().collect();
            prop_assert!(authenticator.principal(&headers).is_err());
            let _ = authenticator.same_site(Version::HTTP_11, &Method::POST, &Uri::from_static("/"), &headers);
        }
    }
}
