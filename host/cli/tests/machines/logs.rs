//! A server's log that cannot be written costs no query.

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::Stdio;

use rustix::fs::{OFlags, fcntl_setfl};

use crate::kit::{Folder, Running};

/// Queries whose lines would be more than a pipe holds.
const QUERIES: usize = 40;

/// A server whose stderr goes there.
struct Server {
    running: Running,
    address: String,
    _stdout: BufReader<std::io::PipeReader>,
}

impl Server {
    fn start(folder: &Folder, stderr: impl Into<Stdio>) -> Self {
        let (reader, writer) = std::io::pipe().unwrap();
        let running = folder.frond("serve . --listen 127.0.0.1:0").stdout(writer).stderr(stderr).start();
        let mut stdout = BufReader::new(reader);
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on http://").expect("it listens").to_owned();
        let server = Self { running, address, _stdout: stdout };
        while server.ask("GET", "/readyz", "").0 != 200 {}
        while server.ask("GET", "/v1/apps/app", "").0 != 200 {}
        server
    }

    /// The status and the body of a reply.
    fn ask(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let head = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n");
        stream.write_all(format!("{head}content-length: {}\r\n\r\n{body}", body.len()).as_bytes()).unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).unwrap();
        let status = reply.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
        (status, reply.split_once("\r\n\r\n").map_or("", |(_, body)| body).to_owned())
    }

    /// Asks so many queries, each of which has an answer and a line in the log.
    #[track_caller]
    fn answers(&self, queries: usize) {
        let body = r#"{"query":{},"partitions":[{"key":"ok-1","data":""}]}"#;
        for number in 0..queries {
            let (status, answer) = self.ask("POST", "/v1/apps/app/query", body);
            assert_eq!(status, 200, "query {number}: {answer}");
        }
    }

    fn lost(&self) -> u64 {
        let (_, metrics) = self.ask("GET", "/metrics", "");
        let line = metrics.lines().find_map(|line| line.strip_prefix("frond_log_lines_lost_total "));
        line.expect("the metric").parse().unwrap()
    }

    fn end(mut self) {
        self.running.signal("TERM");
        self.running.end().expect(0);
    }
}

fn apps() -> Folder {
    Folder::with_app("faulty", "[source]\nkind = \"query\"")
}

#[test]
fn a_log_whose_reader_has_gone_away_costs_no_query() {
    let folder = apps();
    let (reader, writer) = std::io::pipe().unwrap();
    let server = Server::start(&folder, writer);
    let mut log = BufReader::new(reader);
    log.read_line(&mut String::new()).unwrap();
    drop(log);
    server.answers(QUERIES);
    while server.lost() < QUERIES as u64 {}
    server.end();
}

#[test]
fn a_log_on_a_full_disk_costs_no_query() {
    let folder = apps();
    let server = Server::start(&folder, OpenOptions::new().write(true).open("/dev/full").unwrap());
    server.answers(QUERIES);
    while server.lost() < QUERIES as u64 {}
    server.end();
}

#[test]
fn a_log_that_nobody_reads_costs_no_query_and_no_line() {
    for blocks in [true, false] {
        let (reader, mut writer) = std::io::pipe().unwrap();
        fcntl_setfl(&writer, OFlags::NONBLOCK).unwrap();
        let mut held = 0;
        while let Ok(written) = writer.write(&[b'\n'; 1024]) {
            held += written;
        }
        // Both ends of it are this process's and the server's: the flag is of the pipe's end itself.
        fcntl_setfl(&writer, if blocks { OFlags::empty() } else { OFlags::NONBLOCK }).unwrap();
        let folder = apps();
        let server = Server::start(&folder, writer);
        server.answers(QUERIES);
        assert_eq!(server.lost(), 0);
        let mut log = BufReader::new(reader);
        log.read_exact(&mut vec![0; held]).unwrap();
        let mut ended = 0;
        while ended < QUERIES {
            let mut line = String::new();
            log.read_line(&mut line).unwrap();
            ended += usize::from(line.contains("outcome="));
        }
        server.end();
    }
}
