//! What the runtimes of languages write when they end a call, and what is told of it.

use frond_root::{Failure, FailureKind};
use insta::assert_snapshot;

use super::tell;

/// The failure of a guest that wrote this and then trapped.
fn told(log: &str, stack: &[&str]) -> String {
    let failure = tell(Failure {
        log: log.lines().map(str::to_owned).collect(),
        backtrace: stack.iter().map(|&frame| frame.to_owned()).collect(),
        ..Failure::new(FailureKind::Trap, "panicked or aborted (wasm `unreachable` instruction executed)")
    });
    format!("{failure}\n{}\n{}", failure.backtrace.join("\n"), failure.log.join("\n"))
}

const PYTHON: &str = "\n\nthread '<unnamed>' (1) panicked at runtime/src/lib.rs:1293:29:\n\
    Python function threw an unexpected exception\nnote: run with `RUST_BACKTRACE=1` environment variable";

#[test]
fn a_traceback_is_taken_apart() {
    let log = "on my way\nTraceback (most recent call last):\n  File \"/0/leaf.py\", line 25, in process\n  \
        File \"/0/rows.py\", line 34, in row_of\nKeyError: 'b'";
    assert_snapshot!(told(&format!("{log}{PYTHON}"), &["abort"]), @r#"
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
    assert_snapshot!(told(&format!("{log}{PYTHON}"), &[]).lines().take(2).collect::<Vec<_>>().join("\n"), @"
    trap: an exception that nobody caught: b.py:2: RuntimeError: one
    second (b.py:2)
    ");
}

#[test]
fn memory_that_python_itself_refuses_is_out_of_memory() {
    let log = "  File \"/0/leaf.py\", line 7, in process\nMemoryError";
    assert_snapshot!(told(&format!("{log}{PYTHON}"), &[]).lines().next().unwrap_or_default(), @"out-of-memory: an exception that nobody caught: leaf.py:7: MemoryError");
}

#[test]
fn a_panic_in_rust_without_python_is_a_panic_and_nothing_else() {
    let log = "\nthread '<unnamed>' (1) panicked at runtime/src/lib.rs:1:2:\nexpected array\nnote: run with `RUST_BACKTRACE=1` …";
    assert_snapshot!(told(log, &["mine::process"]), @"
    trap: panicked or aborted: runtime/src/lib.rs:1:2: expected array
    mine::process

    thread '<unnamed>' (1) panicked at runtime/src/lib.rs:1:2:
    expected array
    ");
}

#[test]
fn an_error_of_javascript_may_be_cut_or_strange() {
    let begin = "\nthread '<unnamed>' (1) panicked at crates/runtime/src/interpreter.rs:51:31:\nFailed to call 'process': Value(Exception(\n";
    let of = |line: &str| told(&format!("{begin}{line}\n)"), &["function 1"]);
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
    // It is not understood, and then told as it is.
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
        let all = told(log, &["wit_dylib_pop_list"]);
        assert!(all.starts_with("trap: "), "{all}");
    }
}
