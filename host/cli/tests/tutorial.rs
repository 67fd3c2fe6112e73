//! The tutorial, run as it is written: each `sh` block in order in one shell, in an empty folder; a
//! `text` block is the exact output of the block before it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests stop the test where it is"
)]

mod kit;

use std::fmt::Write;
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};

use kit::root;

/// Port of the tutorial's server. The test takes a free one.
const PORT: &str = "7300";

/// Returns the tutorial's fenced blocks in order, each with its language.
fn blocks(text: &str) -> Vec<(&str, &str)> {
    let fenced = text.split("\n```").skip(1).step_by(2);
    fenced.map(|block| block.split_once('\n').expect("a block has a language")).collect()
}

/// Returns one script of all `sh` blocks. Each is a group with braces, so variables and background
/// jobs stay, and writes to `outN.txt`.
fn script(blocks: &[(&str, &str)], port: u16, shared: &Path) -> String {
    let mut script = String::from("set -eum\n");
    for (number, (_, block)) in blocks.iter().enumerate().filter(|(_, (language, _))| *language == "sh") {
        script.push_str("{\n");
        for line in block.replace(PORT, &port.to_string()).lines() {
            let _ = writeln!(script, "{line}");
            if line.starts_with("frond new") {
                // Compiles dependencies once, and not for each run.
                let _ = writeln!(script, "ln -s '{}' lines/target", shared.display());
            }
        }
        let _ = writeln!(script, "}} > out{number}.txt");
    }
    script
}

#[test]
fn every_step_of_the_tutorial_works_as_told() {
    if Command::new("curl").arg("--version").stdout(Stdio::null()).status().is_err() {
        kit::skip_without("curl", "install the package curl");
        return;
    }
    let text = fs::read_to_string(root().join("host/docs/tutorial.md")).unwrap();
    let blocks = blocks(&text);
    let folder = tempfile::tempdir().unwrap();
    let shared = Path::new(env!("CARGO_TARGET_TMPDIR")).join("tutorial");
    fs::create_dir_all(&shared).unwrap();
    // Free once the listener is dropped; the server takes it next.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let frond = Path::new(env!("CARGO_BIN_EXE_frond")).parent().unwrap();
    let path = format!("{}:{}", frond.display(), std::env::var("PATH").unwrap());
    // A loop that waits for what never comes ends the test, and not the whole run.
    let ended = Command::new("timeout")
        .args(["900", "bash", "-c", &script(&blocks, port, &shared)])
        .current_dir(folder.path())
        .env("PATH", path)
        .env("FROND_CACHE", folder.path().join(".cache"))
        .env_remove("CARGO_TARGET_DIR")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let log = fs::read_to_string(folder.path().join("serve.log")).unwrap_or_default();
    let stderr = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{}\n{stderr}\n{log}", ended.status);
    let mut compared = 0;
    for (number, (_, expected)) in blocks.iter().enumerate().filter(|(_, (language, _))| *language == "text") {
        let output = fs::read_to_string(folder.path().join(format!("out{}.txt", number - 1))).unwrap();
        assert_eq!(output.trim(), expected.trim(), "block {number}\n{stderr}\n{log}");
        compared += 1;
    }
    assert!(compared >= 5, "the tutorial has {compared} outputs");
}
