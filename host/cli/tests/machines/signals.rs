//! Signals that the parent process has ignored stay ignored.

use serde_json::json;

use crate::kit::{Frond, frond};

/// Returns a query that waits until it is cancelled, started by a shell that ignores these signals.
fn asked_ignoring(signals: &str) -> Frond {
    let body = json!({ "query": {}, "partitions": [{ "key": "ok-1", "data": "" }, { "key": "sleep-1", "data": "" }] });
    let args =
        ["query", "examples/faulty", &body.to_string(), "--progress", "json", "--deadline", "100s", "--slots", "2"];
    let ignoring = format!("trap '' {signals}; exec \"$0\" \"$@\"");
    frond(args).through("sh", ["-c", &ignoring])
}

#[test]
fn what_nohup_ignores_goes_on() {
    for (ignored, handled) in [("HUP", "INT"), ("HUP", "TERM"), ("INT", "TERM")] {
        let mut running = asked_ignoring(ignored).start();
        running.wait_for("\"attempt-ended\"").signal(ignored).signal(handled);
        // A second handled signal would have ended the process with another code.
        running.end().expect(3);
    }
}

#[test]
fn a_hangup_that_nobody_ignores_cancels() {
    let mut running = asked_ignoring("USR1").start();
    running.wait_for("\"attempt-ended\"").signal("HUP");
    running.end().expect(3);
}
