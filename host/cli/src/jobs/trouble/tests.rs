//! Texts and exit codes of errors: the server's own words, and whether a retry makes sense.

use serde_json::json;

use super::*;

const AT: &str = "http://127.0.0.1:7300";

fn refused(status: u16, more: serde_json::Value) -> Trouble {
    let mut body =
        json!({ "type": "about:blank", "title": "no", "status": status, "detail": "it may not be", "slug": "no" });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    Trouble::of_reply(AT, StatusCode::from_u16(status).unwrap(), None, body.to_string().as_bytes())
}

fn page(status: u16, body: &str) -> Trouble {
    Trouble::of_reply(AT, StatusCode::from_u16(status).unwrap(), None, body.as_bytes())
}

#[test]
fn what_is_wrong_is_wrong_and_what_passes_may_be_tried_again() {
    for status in [400, 401, 403, 404, 405, 409, 410, 413, 415, 422] {
        assert!(refused(status, json!({})).exit() == Exit::Usage, "{status}");
        assert!(!refused(status, json!({})).is_passing(), "{status}");
    }
    for status in [408, 429, 503, 504, 507] {
        assert!(refused(status, json!({})).exit() == Exit::Unavailable, "{status}");
        assert!(refused(status, json!({})).is_passing(), "{status}");
    }
    assert!(refused(500, json!({})).exit() == Exit::Bug);
    assert!(refused(502, json!({})).exit() == Exit::Plugin);
}

#[test]
fn a_job_without_an_answer_ends_as_a_query_does() {
    let exit = |status, reason: &str| refused(status, json!({ "reason": reason, "coverage": {} })).exit();
    assert!(exit(504, "below-floor") == Exit::BelowFloor);
    assert!(exit(504, "cancelled") == Exit::BelowFloor);
    assert!(exit(504, "deadline") == Exit::Deadline);
    assert!(exit(502, "merge") == Exit::Plugin);
    assert!(exit(502, "split") == Exit::Plugin);
    assert!(exit(422, "invalid-query") == Exit::InvalidQuery);
}

#[test]
fn a_refusal_is_told_in_the_servers_words() {
    assert_eq!(refused(404, json!({})).to_string(), "it may not be");
    let token = refused(401, json!({}));
    assert_eq!(token.to_string(), "it may not be\n(give the token in FROND_TOKEN, or with --token-file)");
    assert_eq!(token.brief(), "it may not be");
    let busy = br#"{ "status": 429, "detail": "too much" }"#;
    let busy = Trouble::of_reply(AT, StatusCode::TOO_MANY_REQUESTS, Some(3), busy);
    assert_eq!(busy.to_string(), "too much\n(try again in 3 s)");
}

#[test]
fn what_is_no_server_of_ours_is_told_as_such() {
    let other = page(404, "\n<html>not here</html>\nmore");
    assert_eq!(
        other.to_string(),
        "the server at http://127.0.0.1:7300 does not answer as Frond does: 404 Not Found, `<html>not here</html>`\n\
         (is it a server of Frond, of this version or later?)"
    );
    assert!(other.exit() == Exit::Usage);
    assert_eq!(page(302, "").brief(), "302 Found");
    // A proxy in front of a server that is down.
    assert!(page(502, "bad gateway").is_passing());
    let long = page(400, &"x".repeat(100_000)).to_string();
    assert!(long.len() < 400, "{}", long.len());
    let bytes = Trouble::of_reply(AT, StatusCode::BAD_REQUEST, None, &[0xff, 0xfe, 0]);
    assert!(bytes.to_string().contains("400 Bad Request"));
}
