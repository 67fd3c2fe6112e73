//! Outbound HTTP by real guests to a real server: granted requests work, and others are refused
//! with their reason.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests stop where it is wrong")]

mod common;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use frond_root::Request;
use frond_root::call::{Grants, HostPattern, HttpGrant, Limits, Ports};
use frond_root::{CancellationToken, flow};
use frond_sandbox::grants::InjectedFaults;
use frond_sandbox::{GuestGrants, Guests, Role, SplitHost, Trials};
use serde_json::json;

use common::server::Server;
use common::{Host, ObservedRunner, PATIENCE, QueryResult, guest, ms, plan, wait_until};

fn host() -> Host {
    Host::new(2, Limits::default())
}

/// Makes a grant of the server's address, for requests that change nothing.
fn grant(server: &Server) -> HttpGrant {
    HttpGrant {
        host: HostPattern::Address(server.address.ip()),
        ports: Ports::One(server.address.port()),
        methods: vec!["GET".to_owned(), "HEAD".to_owned()],
        time: None,
        body: 1 << 20,
        private: false,
    }
}

fn named(name: &str, server: &Server) -> HttpGrant {
    HttpGrant { host: HostPattern::Name(name.to_owned()), ..grant(server) }
}

fn only(grant: HttpGrant) -> GuestGrants {
    Grants { http: vec![grant], ..Grants::default() }.into()
}

/// Makes names resolve to the server.
fn leading(server: &Server, names: &[&str]) -> InjectedFaults {
    let resolve: BTreeMap<String, Vec<IpAddr>> =
        names.iter().map(|name| ((*name).to_owned(), vec![server.address.ip()])).collect();
    InjectedFaults { resolve, ..InjectedFaults::default() }
}

fn ask(host: &Host, grants: GuestGrants, command: &str) -> QueryResult {
    host.granted(grants).obey(host, command, PATIENCE)
}

/// Returns the message of the refused command, without the port, which differs from run to run.
fn refused(host: &Host, server: &Server, grants: GuestGrants, command: &str) -> String {
    let asked = ask(host, grants, command);
    let failure = asked.failure();
    assert_eq!(failure.kind.slug(), "host-call-denied", "{failure}");
    let message = failure.message.replace(&server.address.port().to_string(), "PORT");
    // A line number in the guest's source may change.
    let Some((before, place)) = message.split_once("leaf.rs:") else { return message };
    format!("{before}leaf.rs:#{}", place.trim_start_matches(|c: char| c.is_ascii_digit() || c == ':'))
}

#[test]
fn a_granted_host_is_asked() {
    let host = host();
    let server = Server::start();
    let url = server.url("/fare?to=York");
    let report = ask(&host, only(grant(&server)), &format!("http:{url}")).report();
    assert_eq!(report["body"], "hello GET /fare?to=York 0");
    let seen = server.requests().remove(0);
    assert!(seen.headers.contains(&format!("host: {}", server.address)), "{:?}", seen.headers);
    assert!(seen.headers.contains(&"x-faulty: yes".to_owned()));
    let report = ask(&host, only(grant(&server)), &format!("http:HEAD {}", server.url("/big/9"))).report();
    assert_eq!((&report["status"], &report["size"]), (&json!(200), &json!(0)));
}

#[test]
fn an_address_of_the_sixth_version_is_granted_as_it_is_written() {
    // Not every machine has IPv6.
    let Ok(server) = Server::at("[::1]:0") else { return };
    let host = host();
    assert_eq!(ask(&host, only(grant(&server)), &format!("http:{}", server.url("/ok"))).slug(), "ok");
    assert_eq!(ask(&host, GuestGrants::default(), &format!("http:{}", server.url("/ok"))).slug(), "host-call-denied");
}

#[test]
fn bodies_are_sent_and_read_whole() {
    let host = host();
    let server = Server::start();
    let grants = only(HttpGrant { methods: vec!["POST".to_owned()], ..grant(&server) });
    let report = ask(&host, grants, &format!("http:POST {} 200000", server.url("/echo"))).report();
    assert_eq!(report["body"], "hello POST /echo 200000");
    for path in ["/big/300000", "/chunked/300000"] {
        let report = ask(&host, only(grant(&server)), &format!("http:{}", server.url(path))).report();
        assert_eq!(report["size"], 300_000);
    }
}

#[test]
fn what_is_not_granted_is_refused_and_named() {
    let host = host();
    let server = Server::start();
    let get = format!("http:{}", server.url("/secret?token=1"));
    let refused = |grants, command: &str| refused(&host, &server, grants, command);
    insta::assert_snapshot!(refused(GuestGrants::default(), &get));
    insta::assert_snapshot!(refused(only(named("api.example.com", &server)), &get));
    insta::assert_snapshot!(refused(only(HttpGrant { ports: Ports::Web, ..grant(&server) }), &get));
    insta::assert_snapshot!(refused(only(grant(&server)), &format!("http:POST {} 1", server.url("/ok"))));
    insta::assert_snapshot!(refused(only(grant(&server)), "http:https://api.example.com/"));
    assert_eq!(server.requests().len(), 0);
}

#[test]
fn a_refusal_explains_every_end_without_a_result_and_no_other() {
    let host = host();
    let server = Server::start();
    let refused = |command: &str| refused(&host, &server, GuestGrants::default(), command);
    insta::assert_snapshot!(refused("http-panic:http://a.example/"));
    insta::assert_snapshot!(refused("http-invalid:http://a.example/"));
    let quiet = ask(&host, GuestGrants::default(), "http-quietly:http://a.example/").report();
    assert_eq!(quiet, json!({ "error": "Denied(\"it is not granted\")" }));
}

#[test]
fn sockets_are_never_granted() {
    let host = host();
    let server = Server::start();
    insta::assert_snapshot!(refused(&host, &server, only(grant(&server)), "sockets"));
}

#[test]
fn names_that_resolve_to_private_addresses_are_refused_unless_granted() {
    let host = host();
    let server = Server::start();
    let url = server.named("localhost", "/ok");
    let private = only(HttpGrant { private: true, ..named("localhost", &server) });
    assert_eq!(ask(&host, private, &format!("http:{url}")).report()["status"], 200);
    // The address in the message depends on the machine.
    let message = refused(&host, &server, only(named("localhost", &server)), &format!("http:{url}"));
    assert!(message.contains("which is not a public address (add private = true"), "{message}");
    assert!(message.contains("the host's address is not granted"), "{message}");
    let grants =
        GuestGrants { faults: leading(&server, &["rebound.example"]), ..only(named("rebound.example", &server)) };
    insta::assert_snapshot!(refused(&host, &server, grants, &format!("http:{}", server.named("rebound.example", "/"))));
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn patterns_of_names_are_kept_to() {
    let host = host();
    let server = Server::start();
    let faults = leading(&server, &["a.example.com", "a.b.example.com", "example.com", "a.example.org"]);
    let below = HttpGrant {
        host: HostPattern::Below("example.com".to_owned()),
        private: true,
        ports: Ports::Any,
        ..grant(&server)
    };
    let slug = |name: &str| {
        let grants = GuestGrants { faults: faults.clone(), ..only(below.clone()) };
        ask(&host, grants, &format!("http:{}", server.named(name, "/"))).slug()
    };
    assert_eq!(["a.example.com", "A.B.Example.com", "a.example.com."].map(slug), ["ok"; 3]);
    assert_eq!(["example.com", "a.example.org", "xexample.com"].map(slug), ["host-call-denied"; 3]);
    assert_eq!(server.requests().len(), 3);
}

#[test]
fn user_information_before_the_host_is_refused() {
    let host = host();
    let server = Server::start();
    for user in ["granted.example", "granted.example:80"] {
        let url = format!("http://{user}@{}/", server.address);
        assert_eq!(ask(&host, only(grant(&server)), &format!("http:{url}")).slug(), "unavailable");
    }
    assert_eq!(server.requests().len(), 0);
}

#[test]
fn bodies_beyond_the_limit_are_refused() {
    let host = host();
    let server = Server::start();
    let small = |methods: &str| only(HttpGrant { body: 1000, methods: vec![methods.to_owned()], ..grant(&server) });
    for path in ["/big/1000", "/chunked/1000"] {
        assert_eq!(ask(&host, small("GET"), &format!("http:{}", server.url(path))).report()["size"], 1000);
    }
    let get = |path: &str| refused(&host, &server, small("GET"), &format!("http:{}", server.url(path)));
    insta::assert_snapshot!(get("/big/1001"));
    insta::assert_snapshot!(get("/chunked/1001"));
    let post = |size: usize| format!("http:POST {} {size}", server.url("/echo"));
    assert_eq!(ask(&host, small("POST"), &post(1000)).slug(), "ok");
    insta::assert_snapshot!(refused(&host, &server, small("POST"), &post(50_000)));
}

#[test]
fn headers_are_bounded() {
    let host = host();
    let server = Server::start();
    let get = |size: usize| ask(&host, only(grant(&server)), &format!("http:{}", server.url(&format!("/head/{size}"))));
    assert_eq!(get(10_000).slug(), "ok");
    assert_eq!(get(200_000).failure().message, "the answer or the request is too large");
}

#[test]
fn redirects_are_the_guests_to_follow() {
    let host = host();
    let server = Server::start();
    let report = ask(&host, only(grant(&server)), &format!("http:{}", server.url("/redirect"))).report();
    assert_eq!((&report["status"], &report["location"]), (&json!(302), &json!("/ok")));
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn a_request_ends_with_its_time() {
    let host = host();
    let server = Server::start();
    let quick = only(HttpGrant { time: Some(ms(20)), ..grant(&server) });
    for path in ["/silent", "/stall"] {
        let asked = ask(&host, quick.clone(), &format!("http:{}", server.url(path)));
        assert_eq!(asked.failure().to_string(), "unavailable: the request took too long");
    }
    wait_until("the connections are gone", || server.waiting() == 0);
}

#[test]
fn a_request_ends_with_its_leaf() {
    let host = host();
    let server = Server::start();
    for path in ["/silent", "/stall"] {
        let app = host.granted(only(grant(&server)));
        let asked = app.obey(&host, &format!("http:{}", server.url(path)), ms(200));
        assert_eq!(asked.slug(), "out-of-time");
    }
    wait_until("the connections are gone", || server.waiting() == 0);
}

#[test]
fn a_request_ends_with_its_query() {
    let host = host();
    let server = Server::start();
    let app = host.granted(only(grant(&server)));
    let seen = ObservedRunner::of(&app);
    let cancel = CancellationToken::new();
    let query = json!({ "fault": format!("http:{}", server.url("/silent")) }).to_string();
    let request = Request { deadline: PATIENCE, ..app.request(&query) };
    let task = host.runtime.spawn(flow::run(request, async { Ok(plan(["a", "b"])) }, app.root(&seen), cancel.clone()));
    wait_until("both leaves wait", || server.waiting() == 2);
    cancel.cancel();
    host.runtime.block_on(task).unwrap().unwrap();
    wait_until("no leaf runs, and no connection is left", || seen.running() == 0 && server.waiting() == 0);
    assert_eq!(ask(&host, only(grant(&server)), &format!("http:{}", server.url("/"))).slug(), "ok");
}

#[test]
fn a_hundred_leaves_ask_on_two_slots() {
    let host = host();
    let server = Server::start();
    let app = host.granted(only(grant(&server)));
    let query = json!({ "fault": format!("http:{}", server.url("/chunked/5000")) }).to_string();
    let request = Request { deadline: PATIENCE, ..app.request(&query) };
    let keys: Vec<String> = (0..100).map(|index| format!("leaf{index}")).collect();
    let asked = host.runtime.block_on(app.ask(request, plan(keys)));
    assert_eq!((&asked.json()["count"], server.requests().len()), (&json!(100), 100));
}

#[test]
fn a_merge_is_granted_nothing_and_a_split_what_the_leaf_is() {
    let host = host();
    let server = Server::start();
    let grants = Arc::new(only(grant(&server)));
    let guests = || {
        Guests::new(
            host.sandbox.clock(),
            host.plugin(&guest("faulty"), &[Role::Merge, Role::Split], true),
            Limits::default(),
        )
    };
    let url = server.url("/ok");
    let query = json!({ "merge-fault": format!("http:{url}"), "split-fault": format!("http:{url}") }).to_string();
    let trials = Trials::new(host.sandbox.clock());
    let _entered = host.runtime.enter();
    let merged = trials.merge(&guests(), query.as_bytes(), &[], PATIENCE).result.unwrap_err();
    insta::assert_snapshot!(merged.to_string().replace(&server.address.port().to_string(), "PORT"));
    assert_eq!(
        trials.split(&guests(), query.as_bytes(), 1, PATIENCE).result.unwrap_err().kind.slug(),
        "host-call-denied"
    );
    let granted = guests().granting(&grants);
    assert_eq!(trials.split(&granted, query.as_bytes(), 1, PATIENCE).result.unwrap().len(), 1);
    let until = std::time::Instant::now() + PATIENCE;
    let cut = host.runtime.block_on(SplitHost(granted).split(query.clone().into(), 1, until)).unwrap();
    assert_eq!((cut.len(), server.requests().len()), (1, 2));
}

#[test]
fn a_test_can_deny_and_delay_without_a_network() {
    let host = host();
    let server = Server::start();
    let url = format!("http:{}", server.url("/ok"));
    let denied = InjectedFaults { deny_http: true, ..InjectedFaults::default() };
    insta::assert_snapshot!(refused(&host, &server, GuestGrants { faults: denied, ..only(grant(&server)) }, &url));
    let address = server.address.ip().to_string();
    let slow =
        |delay: Duration| InjectedFaults { slow_host: Some((address.clone(), delay)), ..InjectedFaults::default() };
    let quick = HttpGrant { time: Some(ms(20)), ..grant(&server) };
    let asked = ask(&host, GuestGrants { faults: slow(PATIENCE), ..only(quick) }, &url);
    assert_eq!((asked.slug(), server.requests().len()), ("unavailable", 0));
    assert_eq!(ask(&host, GuestGrants { faults: slow(ms(1)), ..only(grant(&server)) }, &url).slug(), "ok");
}

#[test]
fn a_server_that_speaks_no_tls_is_not_trusted() {
    let host = host();
    let server = Server::start();
    let url = server.url("/ok").replace("http:", "https:");
    let asked = ask(&host, only(grant(&server)), &format!("http:{url}"));
    assert_eq!(asked.slug(), "unavailable", "{:?}", asked.first().0);
    assert_eq!(server.requests().len(), 0);
}
