//! Errors of the first connection: each says what is wrong, where, and what to do.

use frond_broker::nats::{NatsError, Options, connect};
use frond_testkit::Nats;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;

use crate::common::{introduce, options};

async fn failure(options: &Options) -> String {
    connect(options).await.unwrap_err().to_string()
}

fn to(url: &str) -> Options {
    Options { url: url.to_owned(), pool: "test".to_owned(), ..Options::default() }
}

#[tokio::test]
async fn invalid_options_are_refused_before_any_connection() {
    for pool in ["", "GPU", "a.b", "a*", "ü", &"p".repeat(33)] {
        let options = Options { pool: pool.to_owned(), ..to("nats://127.0.0.1:1") };
        assert!(failure(&options).await.starts_with(&format!("`{pool}` is no name of a pool")));
    }
    for user in ["", "a.b", ">", "a b", "_", &"u".repeat(65)] {
        let options = Options { user: Some(user.to_owned()), ..to("nats://127.0.0.1:1") };
        assert!(failure(&options).await.starts_with(&format!("`{user}` is no name of a NATS user")));
    }
    for (url, why) in [
        ("", "host"),
        ("http://a", "scheme"),
        ("ws://a", "WebSockets"),
        ("nats://me:secret@a", "options of their own"),
        ("nats://a,nats://b:x", "port"),
    ] {
        let error = failure(&to(url)).await;
        assert!(error.contains(why) && error.contains("nats://host:4222") && !error.contains("secret"), "{error}");
    }
}

#[tokio::test]
async fn an_absent_server_is_named() {
    // The port is free again after this.
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let error = failure(&to(&format!("nats://127.0.0.1:{port}"))).await;
    assert!(error.starts_with(&format!("cannot reach the NATS server at 127.0.0.1:{port}: ")), "{error}");
    assert!(error.contains("refused") && error.contains("check host and port"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_silent_server_is_given_up() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let error = failure(&to(&format!("nats://{}", silent.local_addr().unwrap()))).await;
    assert!(error.contains("does not answer"), "{error}");
}

/// A server of another version: it greets one client.
async fn greet(version: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("nats://{}", listener.local_addr().unwrap());
    let info = format!(
        "INFO {{\"server_id\":\"x\",\"version\":\"{version}\",\"proto\":1,\"host\":\"a\",\"port\":1,\"max_payload\":1048576}}\r\n"
    );
    tokio::spawn(async move {
        let (mut client, _) = listener.accept().await.unwrap();
        client.write_all(info.as_bytes()).await.unwrap();
        let (reads, mut writes) = client.split();
        let mut lines = BufReader::new(reads).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            if line == "PING" {
                writes.write_all(b"PONG\r\n").await.unwrap();
            }
        }
    });
    url
}

#[tokio::test]
async fn an_old_server_is_refused_by_its_version() {
    for version in ["2.10.29", "2.9.0", "1.11.0", "2", "", "x"] {
        let error = connect(&to(&greet(version).await)).await.unwrap_err();
        assert!(matches!(&error, NatsError::TooOld { version: found, .. } if found == version), "{error}");
        assert!(error.to_string().contains("2.11"), "{error}");
    }
    for version in ["2.11.0", "2.15.1", "3.0.0", "v2.12.0-beta.1"] {
        connect(&to(&greet(version).await)).await.unwrap();
    }
}

#[tokio::test]
async fn a_server_with_small_messages_is_refused() {
    let Some(server) = Nats::start_with("max_payload: 64KB", &[]) else { return };
    let error = failure(&options(&server)).await;
    assert!(error.contains("65536 bytes at most, and 524288 are needed\n(raise `max_payload`"), "{error}");
}

#[tokio::test]
async fn a_wrong_login_is_told() {
    let Some(server) = Nats::start_with("authorization { user: me, password: secret }", &[]) else { return };
    let own = options(&server);
    let error = failure(&own).await;
    assert!(error.contains("refuses connections without a user\n(name a user with --nats-user"), "{error}");
    let forgotten = Options { user: Some("me".to_owned()), ..own.clone() };
    let error = failure(&forgotten).await;
    assert!(error.contains("refuses the user `me`\n(there is no password: put it into"), "{error}");
    let nobodys = Options { password: Some("secret".to_owned()), ..own.clone() };
    let error = failure(&nobodys).await;
    assert!(error.contains("(there is a password without a user: ") && !error.contains("secret"), "{error}");
    let wrong = Options { user: Some("me".to_owned()), password: Some("guess".to_owned()), ..own.clone() };
    let error = failure(&wrong).await;
    assert!(
        error.contains("refuses the user `me`\n(check the user, --nats-user") && !error.contains("guess"),
        "{error}"
    );
    assert!(!format!("{wrong:?}").contains("guess"));
    let right = Options { password: Some("secret".to_owned()), ..wrong };
    let mut root = connect(&right).await.unwrap().root("the root").await.unwrap();
    let mut worker = connect(&right).await.unwrap().worker("the worker").await.unwrap();
    let (_, carrier) = worker.next_root().await.unwrap();
    let (name, _carrier) = introduce(&carrier, &mut root, "hello").await;
    assert_eq!(&*name.name, "me");
}

#[tokio::test]
async fn unusable_credentials_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("worker.creds");
    for text in [None, Some("nothing"), Some("\u{0}")] {
        if let Some(text) = text {
            std::fs::write(&path, text).unwrap();
        }
        let options = Options { credentials: Some(path.clone()), ..to("nats://127.0.0.1:1") };
        let error = failure(&options).await;
        assert!(error.starts_with("cannot use the NATS credentials in `") && error.contains("worker.creds"), "{error}");
    }
}

#[tokio::test]
async fn names_that_cannot_be_shown_are_refused() {
    let Some(server) = Nats::start() else { return };
    for name in ["", "two\nlines", &"n".repeat(65)] {
        let error = connect(&options(&server)).await.unwrap().root(name).await.unwrap_err();
        assert!(error.to_string().contains("use 1 to 64 bytes of text on one line"), "{error}");
        let error = connect(&options(&server)).await.unwrap().worker(name).await.unwrap_err();
        assert!(matches!(error, NatsError::Name { .. }), "{error}");
    }
}

#[tokio::test]
async fn tls_needs_a_trusted_certificate_of_the_right_name() {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let Some(server) = Nats::start_encrypted(&cert.pem(), &signing_key.serialize_pem()) else { return };
    let folder = tempfile::tempdir().unwrap();
    let own = folder.path().join("own.pem");
    std::fs::write(&own, cert.pem()).unwrap();
    let other = folder.path().join("other.pem");
    let stranger = generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    std::fs::write(&other, stranger.cert.pem()).unwrap();

    // The system does not know the certificate. A plain URL does not keep a server from TLS.
    let error = failure(&options(&server)).await;
    assert!(error.starts_with("no secure connection to the NATS server at 127.0.0.1:"), "{error}");
    assert!(
        error.contains("(name a file with the root that issued the server's certificate: --nats-ca FILE"),
        "{error}"
    );
    let wrong = Options { ca: Some(other), ..options(&server) };
    let error = failure(&wrong).await;
    assert!(error.contains("other.pem` has the root that issued the server's certificate"), "{error}");
    let misnamed =
        Options { ca: Some(own.clone()), url: format!("tls://localhost:{}", server.port()), ..wrong.clone() };
    let error = failure(&misnamed).await;
    assert!(error.contains("(use a host in the URL that the server's certificate names"), "{error}");

    for url in [server.url(), server.url().replace("nats:", "tls:")] {
        let right = Options { ca: Some(own.clone()), url, ..wrong.clone() };
        let mut root = connect(&right).await.unwrap().root("the root").await.unwrap();
        let mut worker = connect(&right).await.unwrap().worker("the worker").await.unwrap();
        let (_, carrier) = worker.next_root().await.unwrap();
        introduce(&carrier, &mut root, "hello").await;
    }
}

#[tokio::test]
async fn a_demand_for_tls_is_not_dropped() {
    let Some(server) = Nats::start() else { return };
    let url = server.url().replace("nats:", "tls:");
    let error = connect(&to(&url)).await.unwrap_err();
    assert!(matches!(error, NatsError::Tls { .. }), "{error}");
    assert!(error.to_string().contains("(if the server has no `tls` section, give it one; or"), "{error}");
}

#[tokio::test]
async fn a_server_that_wants_tls_before_it_greets_is_named() {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let files = [("server.crt", cert.pem()), ("server.key", signing_key.serialize_pem())];
    let folder = tempfile::tempdir().unwrap();
    let [certificate, key] = files.map(|(name, text)| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    });
    let tls = format!("tls {{ cert_file: {certificate:?}, key_file: {key:?}, handshake_first: true, timeout: 0.1 }}");
    let Some(server) = Nats::start_with(&tls, &[]) else { return };
    let error = failure(&options(&server)).await;
    assert!(error.contains("does not greet as a NATS server") && error.contains("no `handshake_first`"), "{error}");
}
