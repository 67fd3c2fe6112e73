//! Who may ask, how much, and from where.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use frond_server::auth::fresh_token;
use frond_server::config::{Role, Tls, Token};
use frond_server::{Config, Order};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::common::{PATIENCE, Server, config, query, read, request};

/// A token, and the settings' entry for it.
fn token(name: &str, role: Role) -> (String, Token) {
    let (token, lines) = fresh_token(name, role);
    #[derive(serde::Deserialize)]
    struct Lines {
        token: Vec<Token>,
    }
    let lines: Lines = toml::from_str(&lines).unwrap();
    (format!("authorization: Bearer {token}\r\n"), lines.token.into_iter().next().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_let_in_who_may() {
    let ((asks, asker), (rules, admin)) = (token("asker", Role::Query), token("admin", Role::Admin));
    let server = Server::with(Config { tokens: vec![asker, admin], ..config() }).await;
    let reply = server.ask(&["ok"], "", "").await;
    assert_eq!((reply.status, reply.header("www-authenticate").as_deref()), (401, Some("Bearer")));
    assert_eq!(server.ask(&["ok"], "", "authorization: Bearer frond_0\r\n").await.status, 401);
    assert_eq!(server.ask(&["ok"], "", &asks).await.status, 200);
    assert_eq!(server.ask(&["ok"], "", &rules).await.status, 200);
    for path in ["/v1/apps", "/v1/queries", "/v1/server", "/metrics"] {
        assert_eq!(server.get(path).await.status, 401, "{path}");
        assert_eq!(server.send(&request("GET", path, &asks, "")).await.status, 200, "{path}");
    }
    for path in ["/healthz", "/readyz", "/", "/openapi.json"] {
        assert_eq!(server.get(path).await.status, 200, "{path}");
    }
    let put = |who: &str| request("PUT", "/v1/apps/faulty/leaf", who, "no component");
    assert_eq!(server.send(&put(&asks)).await.status, 403);
    assert_eq!(server.send(&put(&rules)).await.status, 422);
    assert_eq!(server.send(&request("POST", "/v1/apps/faulty/rollback", &asks, "")).await.status, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_asks_only_so_much() {
    let (one, first) = token("one", Role::Query);
    let (few, second) = token("few", Role::Query);
    let tokens = vec![Token { concurrency: 1, ..first }, Token { rate: 1, ..second }];
    let server = Server::with(Config { tokens, ..config() }).await;
    let mut busy = TcpStream::connect(server.address).await.unwrap();
    busy.write_all(&query(&["spin"], "?deadline=60s", &one)).await.unwrap();
    let metrics = request("GET", "/metrics", &one, "");
    let start = std::time::Instant::now();
    while !server.send(&metrics).await.text().contains("frond_leaves_running 1") {
        assert!(start.elapsed() < PATIENCE);
    }
    let reply = server.ask(&["ok"], "", &one).await;
    assert_eq!(reply.status, 429, "{reply:?}");
    assert_eq!(reply.header("retry-after").unwrap(), "1");
    drop(busy);
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(server.ask(&["ok"], "", &few).await.status);
    }
    assert!(statuses.contains(&200) && statuses.contains(&429), "{statuses:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_can_be_answered_is_refused_at_once() {
    let mut settings = config();
    settings.limits.queries = 1;
    let server = Server::with(settings).await;
    let mut busy = TcpStream::connect(server.address).await.unwrap();
    busy.write_all(&query(&["spin"], "?deadline=60s", "")).await.unwrap();
    server.until("frond_leaves_running", 1.0).await;
    let reply = server.ask(&["ok"], "", "").await;
    assert_eq!((reply.status, &reply.json()["slug"]), (503, &"overloaded".into()));
    assert!(reply.header("retry-after").is_some());
    drop(busy);
    server.until("frond_queries_running", 0.0).await;
    assert_eq!(server.ask(&["ok"], "", "").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_elsewhere_may_not_ask() {
    let server = Server::start().await;
    for host in ["evil.example", "evil.example:80", "127.0.0.1.evil.example", ""] {
        let reply = server.send(&request("GET", "/v1/apps", &format!("host: {host}\r\n"), "")).await;
        assert!(reply.status == 403 || reply.status == 400, "{host}: {reply:?}");
    }
    for host in ["localhost:1", "127.0.0.1", "[::1]:7300", "LOCALHOST"] {
        assert_eq!(
            server.send(&request("GET", "/v1/apps", &format!("host: {host}\r\n"), "")).await.status,
            200,
            "{host}"
        );
    }
    assert_eq!(server.ask(&["ok"], "", "origin: https://evil.example\r\n").await.status, 403);
    assert_eq!(server.ask(&["ok"], "", "origin: null\r\n").await.status, 403);
    assert_eq!(server.ask(&["ok"], "", "origin: http://localhost\r\n").await.status, 200);
    let named = Server::with(Config { cors: vec!["https://good.example".to_owned()], ..config() }).await;
    let reply = named.ask(&["ok"], "", "origin: https://good.example\r\n").await;
    assert_eq!(
        (reply.status, reply.header("access-control-allow-origin").as_deref()),
        (200, Some("https://good.example"))
    );
}

#[test]
fn an_open_door_takes_saying_so() {
    let open = SocketAddr::from(([0, 0, 0, 0], 7300));
    let refused = Config { listen: open, ..config() }.check().unwrap_err().to_string();
    assert!(refused.contains("frond token") && refused.contains("--insecure"), "{refused}");
    Config { listen: open, insecure: true, ..config() }.check().unwrap();
    Config { listen: open, tokens: vec![token("one", Role::Query).1], ..config() }.check().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_are_taken_anew() {
    let server = Server::start().await;
    assert_eq!(server.ask(&["ok"], "", "").await.status, 200);
    let (asks, asker) = token("asker", Role::Query);
    let listen = server.address;
    server.orders.send(Order::Reload(Box::new(Config { listen, tokens: vec![asker], ..config() }))).await.unwrap();
    let start = std::time::Instant::now();
    while server.ask(&["ok"], "", "").await.status != 401 {
        assert!(start.elapsed() < PATIENCE);
    }
    assert_eq!(server.ask(&["ok"], "", &asks).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_bounded() {
    let mut settings = config();
    settings.limits.connections = 2;
    let server = Server::with(settings).await;
    let mut open = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
        let mut first = [0; 12];
        tokio::io::AsyncReadExt::read_exact(&mut stream, &mut first).await.unwrap();
        open.push(stream);
    }
    assert_eq!(read(TcpStream::connect(server.address).await.unwrap()).await.status, 503);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_makes_it_https() {
    let dir = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (certificate, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let server = Server::with(Config { tls: Some(Tls { certificate, key: key.clone() }), ..config() }).await;
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let client = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let client = TlsConnector::from(Arc::new(client.with_root_certificates(roots).with_no_client_auth()));
    let stream = TcpStream::connect(server.address).await.unwrap();
    let mut stream = client.connect(ServerName::try_from("localhost").unwrap(), stream).await.unwrap();
    stream.write_all(&query(&["ok"], "", "")).await.unwrap();
    let reply = tokio::time::timeout(Duration::from_secs(30), read(stream)).await.unwrap();
    assert_eq!((reply.status, &reply.json()["count"]), (200, &1.into()));
    let wrong = Config { tls: Some(Tls { certificate: key.clone(), key }), ..config() };
    let error = frond_server::Starting::new(dir.path(), wrong).await.err().unwrap().to_string();
    assert!(error.contains("cert"), "{error}");
}
