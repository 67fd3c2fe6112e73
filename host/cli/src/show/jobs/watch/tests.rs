//! Lines and bars of a watched job.

use serde_json::{Value, json};

use super::*;
use crate::jobs::job::tests::job;

fn plain(changes: Value, away: Option<&str>) -> String {
    picture(&job(changes), away.map(|why| ("the server", why)), TermStyle::plain(120))
}

#[test]
fn a_picture_says_how_far_it_is_and_how_long_it_takes() {
    assert_eq!(plain(json!({}), None), "rail  ██████··············  12/40 partitions, 30 % · about 12 s left");
    assert_eq!(plain(json!({ "state": "queued", "eta": null }), None), "rail  queued");
    assert_eq!(
        plain(json!({ "partitions": { "planned": 3, "done": 1, "degraded": 1, "failed": 1 }, "eta": null }), None),
        "rail  ██████··············  1/3 partitions, 30 % · 1 in part · 1 failed"
    );
    assert_eq!(
        plain(json!({ "state": "merging", "cancelling": true, "eta": null }), None),
        "rail  merging · cancelling"
    );
}

#[test]
fn a_picture_of_a_server_that_is_away_promises_nothing() {
    assert_eq!(
        plain(json!({}), Some("Connection refused")),
        "rail  ██████··············  12/40 partitions, 30 % · the server is unreachable, trying again: Connection refused"
    );
}

#[test]
fn a_picture_is_one_line_within_the_width_whatever_the_server_says() {
    let odd = json!({
        "app": "a\u{1b}[2J\nb\u{202e}", "fraction": 7.0,
        "partitions": { "planned": 1, "done": u64::MAX, "degraded": u64::MAX, "failed": u64::MAX },
        "eta": { "p50_ms": u64::MAX, "p90_ms": 0 },
    });
    for width in [20, 40, 80, 240] {
        let text = picture(&job(odd.clone()), Some(("the server", "no\nroute\u{7}")), TermStyle::plain(width));
        assert!(text::columns(&text) < width && !text.contains(char::is_control), "{text}");
    }
}

#[test]
fn lines_come_at_changes_and_tenths_only() {
    let mut lines = Lines::default();
    let mut show = |changes: Value| lines.show(&job(changes));
    let none = json!({ "planned": 0 });
    let queued = json!({ "state": "queued", "partitions": none, "eta": null });
    assert_eq!(show(queued.clone()), ["rail: waits for its turn"]);
    assert!(show(queued).is_empty());
    assert_eq!(
        show(json!({ "state": "planning", "partitions": none, "eta": null })),
        ["rail: is being cut into partitions"]
    );
    assert_eq!(show(json!({})), ["rail: 12 of 40 partitions, 30 % · about 12 s left"]);
    assert!(show(json!({ "partitions": { "planned": 40, "done": 15 } })).is_empty());
    assert_eq!(
        show(json!({ "partitions": { "planned": 40, "done": 16 }, "fraction": 0.4, "eta": null })),
        ["rail: 16 of 40 partitions, 40 %"]
    );
    assert_eq!(
        show(json!({ "partitions": { "planned": 40, "done": 16 }, "cancelling": true, "eta": null })),
        ["rail: being cancelled"]
    );
    assert!(show(json!({ "state": "cancelled" })).is_empty());
}

#[test]
fn lines_say_that_a_job_was_taken_on_again() {
    let mut lines = Lines::default();
    assert_eq!(lines.show(&job(json!({ "epoch": 2, "eta": null }))), ["rail: 12 of 40 partitions, 30 %"]);
    lines.away = Some("the server");
    assert_eq!(
        lines.show(&job(json!({ "epoch": 3, "eta": null }))),
        ["the server is reachable again", "rail: resumed where it was"]
    );
}
