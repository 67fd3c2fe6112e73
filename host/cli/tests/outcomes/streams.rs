//! Sources of queries and destinations of answers: arguments, files, pipes. A guest's text never
//! drives the terminal.

use std::io::Write;

use serde_json::json;

use crate::faulty;
use crate::kit::{Ended, Folder, frond};

#[test]
fn the_query_comes_from_an_argument_a_file_or_stdin() {
    let folder = Folder::with_app("wordcount", "[source]\nkind = \"files\"\nglob = \"*.txt\"");
    folder.write("app/a.txt", "one two two three three three");
    folder.write("query.json", r#"{"top":2}"#);
    let expected = r#"{"words":[{"word":"three","count":3},{"word":"two","count":2}],"total":6,"distinct":3}"#;
    assert_eq!(folder.frond(r#"query app {"top":2}"#).run().expect(0).out(), expected);
    assert_eq!(folder.frond("query app @query.json").run().expect(0).out(), expected);
    assert_eq!(folder.frond("query app -").input(r#"{"top":2}"#).run().expect(0).out(), expected);
}

#[test]
fn the_partitions_come_from_stdin() {
    let text = "one two two\n".repeat(100_000);
    let args = ["--input", "-", "--piece-size", "64KiB", "--format", "json"];
    let json = frond(["query", "examples/wordcount", r#"{"top":1}"#]).args(args).input(text).run().expect(0).json();
    assert_eq!(
        json["answer"],
        json!({ "words": [{ "word": "two", "count": 200_000 }], "total": 300_000, "distinct": 2 })
    );
    assert_eq!(json["coverage"]["partitions"]["planned"], 19);
}

#[test]
fn stdin_is_not_read_unless_it_is_wanted() {
    // The other end stays open, so that a process which reads it would wait forever.
    let (reader, mut writer) = std::io::pipe().unwrap();
    let ended = faulty(&json!({}), &["ok-1"]).stdin(reader).run().expect(0);
    assert!(ended.out().contains("ok-1"));
    writer.write_all(b"too late").expect_err("nobody is there any more");
}

#[test]
fn an_answer_is_written_as_it_is() {
    let ended = faulty(&json!({}), &["ok-1"]).run().expect(0);
    assert_eq!(ended.out(), r#"{"count":1,"keys":["ok-1"],"planned":1,"covered":1,"complete":true}"#);
    assert_eq!(ended.err().replace("compiled", "").lines().filter(|line| !line.contains(".wasm in ")).count(), 0);
}

#[test]
fn what_a_guest_writes_does_not_reach_the_terminal_raw() {
    let noisy = ["flood-stderr-1", "flood-stdout-1"];
    for mode in ["lines", "bar", "none"] {
        // Each query fails after the guest has written, so that its log is shown.
        let query = json!({ "merge-fault": "trap", "faults": { "\u{1b}[31mpanic\u{7}": "panic" } });
        let keys = ["flood-stderr-1", "flood-stdout-1", "\u{1b}[31mpanic\u{7}", "\u{202e}trap-1"];
        harmless(&faulty(&query, &keys).args(["--stats", "--deadline", "20s", "--progress", mode]).run().expect(6));
        harmless(
            &faulty(&json!({}), &noisy).args(["--stats", "--deadline", "20s", "--progress", mode]).run().expect(0),
        );
        harmless(&faulty(&json!({ "finish-fault": "flood-stderr" }), &noisy[..1]).args(["--progress", mode]).run());
    }
}

#[test]
fn a_refusal_does_not_reach_the_terminal_raw() {
    let query = json!({ "from": "\u{1b}[2J\u{1b}]0;title\u{7}\u{202e}", "budget": 1 });
    harmless(&frond(["query", "examples/rail"]).arg(query.to_string()).run().expect(65));
    let pattern = json!({ "pattern": "(\u{1b}[2J\u{9b}31m" });
    harmless(&frond(["query", "examples/grep"]).arg(pattern.to_string()).run().expect(65));
}

/// Asserts that stderr has no characters that drive a terminal or reorder text.
fn harmless(ended: &Ended) {
    let text = String::from_utf8(ended.stderr.clone()).expect("stderr is UTF-8");
    let drives = |c: &char| {
        (c.is_control() && *c != '\n') || ('\u{202a}'..='\u{202e}').contains(c) || ('\u{2066}'..='\u{2069}').contains(c)
    };
    let found: Vec<_> = text.chars().filter(drives).collect();
    assert!(found.is_empty(), "{found:?} in {text:?}");
    assert!(text.len() < 64 << 10, "{} bytes are a flood", text.len());
}
