//! A server's log that cannot be written must not delay or lose a query.

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::Stdio;

use rustix::fs::{OFlags, fcntl_setfl};

use crate::kit::Folder;
use crate::server::Server;

/// Number of queries whose log lines exceed what a pipe holds.
const QUERIES: usize = 40;

fn start(folder: &Folder, stderr: impl Into<Stdio>) -> Server {
    Server::by(folder.frond("serve . --listen 127.0.0.1:0").stderr(stderr))
}

/// Sends this many queries; each must have an answer.
#[track_caller]
fn answers(server: &Server, queries: usize) {
    let body = r#"{"query":{},"partitions":[{"key":"ok-1","data":""}]}"#;
    for number in 0..queries {
        let (status, answer) = server.ask("POST", "/v1/apps/app/query", body);
        assert_eq!(status, 200, "query {number}: {answer}");
    }
}

fn lost(server: &Server) -> u64 {
    let (_, metrics) = server.ask("GET", "/metrics", "");
    let line = metrics.lines().find_map(|line| line.strip_prefix("frond_log_lines_lost_total "));
    line.expect("the metric").parse().unwrap()
}

fn apps() -> Folder {
    Folder::with_app("faulty", "[source]\nkind = \"query\"")
}

#[test]
fn a_log_whose_reader_has_gone_away_costs_no_query() {
    let folder = apps();
    let (reader, writer) = std::io::pipe().unwrap();
    let server = start(&folder, writer);
    let mut log = BufReader::new(reader);
    log.read_line(&mut String::new()).unwrap();
    drop(log);
    answers(&server, QUERIES);
    while lost(&server) < QUERIES as u64 {}
    server.end();
}

#[test]
fn a_log_on_a_full_disk_costs_no_query() {
    let folder = apps();
    let server = start(&folder, OpenOptions::new().write(true).open("/dev/full").unwrap());
    answers(&server, QUERIES);
    while lost(&server) < QUERIES as u64 {}
    server.end();
}

#[test]
fn a_log_that_nobody_reads_costs_no_query_and_no_line() {
    for blocks in [true, false] {
        let (reader, mut writer) = std::io::pipe().unwrap();
        fcntl_setfl(&writer, OFlags::NONBLOCK).unwrap();
        let mut filled = 0;
        while let Ok(written) = writer.write(&[b'\n'; 1024]) {
            filled += written;
        }
        // The flag belongs to the pipe's end, which this process and the server share.
        fcntl_setfl(&writer, if blocks { OFlags::empty() } else { OFlags::NONBLOCK }).unwrap();
        let folder = apps();
        let server = start(&folder, writer);
        answers(&server, QUERIES);
        assert_eq!(lost(&server), 0);
        let mut log = BufReader::new(reader);
        log.read_exact(&mut vec![0; filled]).unwrap();
        let mut ended = 0;
        while ended < QUERIES {
            let mut line = String::new();
            log.read_line(&mut line).unwrap();
            ended += usize::from(line.contains("outcome="));
        }
        server.end();
    }
}
