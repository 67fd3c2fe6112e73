//! Tests of the server for tests: its port, its signals, and its end with the test process.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};

use super::{Nats, guard};

/// First line that the server sends to a client.
fn greeting(server: &Nats) -> Option<String> {
    let mut connection = TcpStream::connect(("127.0.0.1", server.port())).ok()?;
    connection.write_all(b"PING\r\n").ok()?;
    let mut text = [0; 4];
    connection.read_exact(&mut text).ok()?;
    Some(String::from_utf8_lossy(&text).into_owned())
}

#[test]
fn a_server_returns_on_its_port_after_each_end() {
    let Some(mut server) = Nats::start_with("jetstream: enabled", &[]) else { return };
    let port = server.port();
    assert_eq!(greeting(&server).as_deref(), Some("INFO"));
    server.stop();
    assert_eq!(greeting(&server), None);
    server.start_again();
    server.kill9();
    assert_eq!(greeting(&server), None);
    assert!(server.folder.path().join("store").exists());
    server.start_empty();
    assert_eq!(greeting(&server).as_deref(), Some("INFO"));
    assert_eq!(server.port(), port);
    server.pause();
    server.proceed();
    assert_eq!(greeting(&server).as_deref(), Some("INFO"));
}

#[test]
fn variables_reach_the_configuration() {
    let configuration = "authorization { user: a, password: $FROND_TEST_PASSWORD }";
    let Some(server) = Nats::start_with(configuration, &[("FROND_TEST_PASSWORD", "secret")]) else { return };
    assert!(server.url().ends_with(&server.port().to_string()));
}

#[test]
fn the_guard_ends_a_server_whose_test_process_is_gone() {
    let folder = tempfile::tempdir().unwrap().keep();
    let mut server = Command::new("sleep").arg("1000").stdout(Stdio::null()).spawn().unwrap();
    std::fs::write(folder.join("pid"), server.id().to_string()).unwrap();
    let mut guard = guard(&folder);
    // Closes the guard's input, as the end of this process would.
    drop(guard.stdin.take());
    guard.wait().unwrap();
    assert!(!server.wait().unwrap().success());
    assert!(!Path::new(&folder).exists());
}
