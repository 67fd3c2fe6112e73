//! Tests of the server as a command.
#![allow(clippy::unwrap_used, reason = "helpers of tests stop where it is wrong")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

/// A server process, killed on drop.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// Starts a server. Returns it with its address.
fn started(args: &[&str]) -> (Server, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_operators"));
    command.args(["--listen", "127.0.0.1:0"]).args(args).stdout(Stdio::piped());
    let mut server = Server(command.spawn().unwrap());
    let mut line = String::new();
    BufReader::new(server.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.trim().strip_prefix("http://").unwrap().to_owned();
    (server, address)
}

#[test]
fn it_says_where_it_listens_and_answers_there() {
    let (_server, address) = started(&["--silent", "Dales"]);
    let address = address.as_str();
    let found = get(address, "/Albion/fare?from=London&to=York");
    assert!(found.starts_with("HTTP/1.1 200 ") && found.ends_with(r#"{"operator":"Albion","pounds":62}"#), "{found}");
    assert!(get(address, "/operators").ends_with(r#"["Albion","Borderline","Coastway","Dales","Estuary"]"#));
    assert!(get(address, "/Albion/fare?from=London&to=Hull").starts_with("HTTP/1.1 404 "));
    assert!(get(address, "/Albion/fare?from=London").starts_with("HTTP/1.1 400 "));
}

#[test]
fn any_number_of_operators_is_made_up() {
    let (_server, address) = started(&["--operators", "3", "--delay", "1"]);
    assert!(get(&address, "/operators").ends_with(r#"["Operator 1","Operator 2","Operator 3"]"#));
    let found = get(&address, "/Operator%203/fare?from=Here&to=There");
    assert!(found.ends_with(r#"{"operator":"Operator 3","pounds":51}"#), "{found}");
    for unknown in ["/Operator%204/fare?from=Here&to=There", "/Albion/fare?from=London&to=York"] {
        assert!(get(&address, unknown).starts_with("HTTP/1.1 404 "));
    }
}

#[test]
fn an_unknown_flag_is_named() {
    let ended = Command::new(env!("CARGO_BIN_EXE_operators")).args(["--quiet", "yes"]).output().unwrap();
    assert!(!ended.status.success());
    assert!(String::from_utf8_lossy(&ended.stderr).contains("--quiet is unknown"));
}
