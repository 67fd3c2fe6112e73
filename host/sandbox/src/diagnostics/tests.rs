//! Diagnostics from the logs of the languages' runtimes.

use frond_root::{Failure, FailureKind};
use insta::assert_snapshot;

use super::tell;
use crate::log::Text;

/// Formats the failure of a guest that wrote this log and then trapped.
fn formatted(log: &str, stack: &[&str]) -> String {
    let failure = Failure {
        backtrace: stack.iter().map(|&frame| frame.to_owned()).collect(),
        ..Failure::new(FailureKind::Trap, "panicked or aborted (wasm `unreachable` instruction executed)")
    };
    let failure = tell(failure, &Text::of(log));
    format!("{failure}\n{}\n{}", failure.backtrace.join("\n"), failure.log.join("\n"))
}

const PYTHON: &str = "\n\nthread '<unnamed>' (1) panicked at runtime/src/lib.rs:1293:29:\n\
    Python function threw an unexpected exception\nnote: run with `RUST_BACKTRACE=1` environment variable";

#[test]
fn a_traceback_is_taken_apart() {
    let log = "on my way\nTraceback (most recent call last):\n  File \"/0/leaf.py\", line 25, in process\n  \
        File \"/0/rows.py\", line 34, in row_of\nKeyError: 'b'";
    assert_snapshot!(formatted(&format!("{log}{PYTHON}"), &["abort"]), @r#"
    trap: an exception that nobody caught: rows.py:34: KeyError: 'b'
    row_of (rows.py:34)
    process (leaf.py:25)
    on my way
    Traceback (most recent call last):
      File "/0/leaf.py", line 25, in process
      File "/0/rows.py", line 34, in row_of
    KeyError: 'b'
    "#);
}

#[test]
fn of_a_chain_the_last_exception_counts_and_its_first_line() {
    let log = "Traceback (most recent call last):\n  File \"/0/a.py\", line 1, in first\nValueError: x\n\n\
        During handling of the above exception, another exception occurred:\n\nTraceback (most recent call last):\n  \
        File \"/0/b.py\", line 2, in second\n    some(source)\n    ~~~~^^^^\nRuntimeError: one\ntwo";
    assert_snapshot!(formatted(&format!("{log}{PYTHON}"), &[]).lines().take(2).collect::<Vec<_>>().join("\n"), @"
    trap: an exception that nobody caught: b.py:2: RuntimeError: one
    second (b.py:2)
    ");
}

#[test]
fn a_module_that_was_not_there_at_the_build_comes_with_the_remedy() {
    let check = |raised: &str, expect: &str| {
        let log = format!("  File \"/0/leaf.py\", line 7, in process\n{raised}{PYTHON}");
        let first = formatted(&log, &[]).lines().next().unwrap_or_default().to_owned();
        let begin = format!("trap: an exception that nobody caught: leaf.py:7: {raised}");
        assert_eq!(first.strip_prefix(&begin), Some(expect));
    };
    let csv = " (write `import csv` at the top of the plugin: modules are found when it is built)";
    check("ModuleNotFoundError: No module named 'csv'", csv);
    let codec = " (write `import encodings.cp1252` at the top of the plugin: modules are found when it is built)";
    check("LookupError: unknown encoding: cp1252", codec);
    check("LookupError: list index", "");
}

/// Returns the first line of a formatted failure, cut to `width` characters.
fn begins(text: &str, width: usize) -> String {
    text.lines().next().unwrap_or_default().chars().take(width).collect()
}

#[test]
fn a_message_of_any_length_leaves_file_and_line() {
    for length in [10, 1_000, 3_000, 20_000, 200_000] {
        let long = "x".repeat(length);
        let javascript = format!(
            "\nthread '<unnamed>' (1) panicked at crates/runtime/src/interpreter.rs:51:31:\nFailed to call 'process': \
             Value(Exception(\nException {{ message: Some(\"{long}\"), stack: Some(\"    at f (/leaf.js:3:9)\\n    \
             at g (/leaf.js:8:1)\") }}\n)"
        );
        let text = formatted(&javascript, &["function 1", "function 2"]);
        assert_eq!(begins(&text, 56), "trap: an exception that nobody caught: leaf.js:3:9: xxxx", "{length}");
        assert_eq!(
            text.lines().skip(1).take(2).collect::<Vec<_>>(),
            ["f (leaf.js:3:9)", "g (leaf.js:8:1)"],
            "{length}"
        );
        let python = format!("  File \"/0/leaf.py\", line 7, in process\nValueError: {long}{PYTHON}");
        let text = formatted(&python, &[]);
        assert_eq!(begins(&text, 62), "trap: an exception that nobody caught: leaf.py:7: ValueError: ", "{length}");
        assert_eq!(text.lines().nth(1), Some("process (leaf.py:7)"), "{length}");
        let rust = format!(
            "\nthread '<unnamed>' (1) panicked at src/lib.rs:3:9:\n{long}\nnote: run with `RUST_BACKTRACE=1` …"
        );
        let text = formatted(&rust, &["mine::process"]);
        assert_eq!(begins(&text, 49), "trap: panicked or aborted: src/lib.rs:3:9: xxxxxx", "{length}");
        assert!(text.len() < 32 << 10, "{}", text.len());
    }
}

#[test]
fn memory_that_python_itself_refuses_is_out_of_memory() {
    let log = "  File \"/0/leaf.py\", line 7, in process\nMemoryError";
    assert_snapshot!(formatted(&format!("{log}{PYTHON}"), &[]).lines().next().unwrap_or_default(), @"out-of-memory: an exception that nobody caught: leaf.py:7: MemoryError");
}

#[test]
fn a_panic_in_rust_without_python_is_a_panic_and_nothing_else() {
    let log = "\nthread '<unnamed>' (1) panicked at runtime/src/lib.rs:1:2:\nexpected array\nnote: run with `RUST_BACKTRACE=1` …";
    assert_snapshot!(formatted(log, &["mine::process"]), @"
    trap: panicked or aborted: runtime/src/lib.rs:1:2: expected array
    mine::process

    thread '<unnamed>' (1) panicked at runtime/src/lib.rs:1:2:
    expected array
    ");
}

#[test]
fn an_error_of_javascript_may_be_cut_or_strange() {
    let begin = "\nthread '<unnamed>' (1) panicked at crates/runtime/src/interpreter.rs:51:31:\nFailed to call 'process': Value(Exception(\n";
    let of = |line: &str| formatted(&format!("{begin}{line}\n)"), &["function 1"]);
    assert_snapshot!(of(r#"Exception { message: Some("a \"b\" \u{1b}[2J\nsecond"), stack: Some("    at f (/leaf.js:1:2)\n    at g (/le…"#), @r#"
    trap: an exception that nobody caught: leaf.js:1:2: a "b" \u{1b}[2J
    second
    f (leaf.js:1:2)
    g (le…
    "#);
    assert_snapshot!(of("Exception { message: None, stack: None }"), @"
    trap: an exception that nobody caught: an error without a message
    function 1
    ");
    // An unknown format is shown as it is.
    assert_snapshot!(of("Something { else }").lines().next().unwrap_or_default(), @"trap: panicked or aborted: crates/runtime/src/interpreter.rs:51:31: Failed to call 'process': Value(Exception(");
}

#[test]
fn nothing_that_a_guest_writes_stops_the_host() {
    for log in [
        "panicked at ",
        "panicked at\n",
        "panicked at x\nFailed to call '",
        "panicked at x\nPython function threw an unexpected exception",
        "  File \"\", line , in \npanicked at \nPython function threw an unexpected exception",
        "Assertion failed: ",
    ] {
        let all = formatted(log, &["wit_dylib_pop_list"]);
        assert!(all.starts_with("trap: "), "{all}");
    }
}

#[test]
fn the_functions_of_a_traceback_are_escaped_and_bounded() {
    let name = "\u{1b}[2J".repeat(400);
    let log =
        format!("Traceback (most recent call last):\n  File \"/0/leaf.py\", line 1, in {name}\nKeyError: 'b'{PYTHON}");
    let failure = tell(Failure::new(FailureKind::Trap, "panicked or aborted"), &Text::of(&log));
    assert_eq!(failure.backtrace.len(), 1);
    let frame = &failure.backtrace[0];
    assert!(frame.len() <= crate::classify::MAX_FRAME + '…'.len_utf8() && frame.starts_with("\\u{1b}[2J"), "{frame}");
}
