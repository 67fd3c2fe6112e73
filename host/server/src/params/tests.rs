//! Parameters and headers: valid, invalid and arbitrary input.

use http::HeaderValue;
use http::header::ACCEPT;
use proptest::prelude::*;

use super::*;

const LONGEST: Duration = Duration::from_secs(60);

fn read(query: &str) -> Result<Promises, Problem> {
    Promises::read(Some(query), LONGEST)
}

/// Status and detail of a refusal.
pub(crate) fn status_and_detail(problem: &Problem) -> (u16, String) {
    let problem = serde_json::to_value(problem).unwrap();
    (problem["status"].as_u64().unwrap() as u16, problem["detail"].as_str().unwrap().to_owned())
}

#[track_caller]
fn refused(query: &str) -> String {
    let (status, detail) = status_and_detail(&read(query).expect_err(query));
    assert_eq!(status, 400, "{query}");
    detail
}

/// Headers by name and value.
pub(crate) fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(*name, value.parse().unwrap());
    }
    headers
}

/// A text as part of a URL, with every byte escaped.
fn escaped(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect()
}

#[test]
fn an_empty_query_part_has_no_promises() {
    for query in [None, Some(""), Some("&"), Some("&&&")] {
        assert_eq!(Promises::read(query, LONGEST).ok(), Some(Promises::default()), "{query:?}");
    }
}

#[test]
fn promises_are_read() {
    let promises = read("deadline=1m&floor=80%25&require=a&require=b&require=a").ok().unwrap();
    let required: Vec<_> = promises.required.iter().map(PartitionKey::as_str).collect();
    assert_eq!((promises.deadline, promises.floor), (Some(LONGEST), Some(Floor::AtLeast(0.8))));
    assert_eq!(required, ["a", "b", "a"]);
    for (text, floor) in [
        ("all", Floor::All),
        ("best-effort", Floor::BestEffort),
        ("1", Floor::AtLeast(1.0)),
        ("1e-9", Floor::AtLeast(1e-9)),
    ] {
        assert_eq!(read(&format!("floor={text}")).ok().unwrap().floor, Some(floor), "{text}");
    }
    assert_eq!(read("deadline=1ns").ok().unwrap().deadline, Some(Duration::from_nanos(1)));
}

#[test]
fn a_wrong_promise_is_told_with_what_it_should_be() {
    for (query, hint) in [
        ("deadline=", "is not a duration"),
        ("deadline", "is not a duration"),
        ("deadline=5", "write a number with a unit"),
        ("deadline=-1s", "is not a duration"),
        ("deadline=0s", "must be above 0"),
        ("deadline=0.1ns", "must be above 0"),
        ("deadline=61s", "the longest that this server allows is 60s"),
        ("deadline=60000000001ns", "the longest that this server allows is 60s"),
        ("deadline=9999999d", "more than a year"),
        ("floor=", "write `all`"),
        ("floor=0", "write `all`"),
        ("floor=1.01", "write `all`"),
        ("floor=-0.5", "write `all`"),
        ("floor=NaN", "write `all`"),
        ("floor=inf", "write `all`"),
        ("floor=ALL", "write `all`"),
        ("floor=101%25", "write `all`"),
        ("deadline=1s&deadline=1s", "`deadline` is given twice"),
        ("floor=all&floor=all", "`floor` is given twice"),
        ("dedline=1s", "the parameters are deadline, floor and require"),
        ("Deadline=1s", "there is no parameter `Deadline`"),
        ("=1s", "there is no parameter ``"),
        ("deadline=1s;floor=all", "is not a unit of time"),
    ] {
        let detail = refused(query);
        assert!(detail.contains(hint), "{query}: {detail}");
    }
}

#[test]
fn more_than_enough_partitions_are_refused() {
    let many = |count: usize| vec!["require=a"; count].join("&");
    assert_eq!(read(&many(MAX_REQUIRED)).ok().unwrap().required.len(), MAX_REQUIRED);
    assert!(refused(&many(MAX_REQUIRED + 1)).contains("more than 1000 partitions"));
}

#[test]
fn names_and_values_are_unescaped_once() {
    let required = |query: &str| read(query).ok().unwrap().required[0].as_str().to_owned();
    for (query, key) in [
        ("require=", ""),
        ("require", ""),
        ("require=a+b", "a b"),
        ("require=a%2Bb", "a+b"),
        ("require=a%26floor%3Dall", "a&floor=all"),
        ("require=a=b", "a=b"),
        ("require=%2525", "%25"),
        ("require=%zz%", "%zz%"),
        ("require=%C3%A9", "é"),
        ("require=%00%0a", "\0\n"),
        ("require=a%2fb/c?d", "a/b/c?d"),
        ("%72equire=a", "a"),
    ] {
        assert_eq!(required(query), key, "{query}");
    }
    // Bytes that are no UTF-8 cannot be part of a key.
    assert_eq!(required("require=%ff"), "\u{fffd}");
}

#[test]
fn what_is_refused_is_shown_short_and_harmless() {
    let long = refused(&format!("deadline={}", "9".repeat(10_000)));
    assert!(long.contains("the duration is too long a text") && long.len() < 200, "{long}");
    assert!(refused(&format!("floor={}", "9".repeat(10_000))).len() < 300);
    assert!(refused(&format!("{}=1", "x".repeat(10_000))).len() < 300);
    for query in
        ["deadline=%1b[31m%e2%80%ae", "deadline=1%1b[31m%e2%80%ae", "floor=%1b[31m%e2%80%ae", "%1b[31m%e2%80%ae=1"]
    {
        let detail = refused(query);
        assert!(!detail.contains(['\u{1b}', '\u{202e}']) && detail.contains("\\u{202e}"), "{detail}");
    }
}

#[test]
fn the_form_is_the_one_that_the_client_prefers() {
    for (accept, form) in [
        (&[][..], Form::Answer),
        (&["*/*"], Form::Answer),
        (&["application/json"], Form::Answer),
        (&["application/json, text/event-stream"], Form::Answer),
        (&["text/event-stream, application/json;q=0.5"], Form::Stream),
        (&["application/vnd.frond+json"], Form::Envelope),
        (&["Application/Vnd.Frond+JSON; q=0.1"], Form::Envelope),
        (&["application/vnd.frond+json, */*"], Form::Envelope),
        (&["text/html, application/vnd.frond+json;q=0.9, */*"], Form::Answer),
        (&["text/html, text/event-stream;q=0.9, application/vnd.frond+json;q=0.8"], Form::Stream),
        (&["text/html", "application/vnd.frond+json", "text/event-stream"], Form::Envelope),
        (&["text/event-streams, xapplication/vnd.frond+json"], Form::Answer),
        (&["image/png"], Form::Answer),
    ] {
        let pairs: Vec<_> = accept.iter().map(|value| ("accept", *value)).collect();
        assert_eq!(Form::wanted(&headers(&pairs), "application/json"), form, "{accept:?}");
    }
    // The app's answers are not JSON.
    assert_eq!(
        Form::wanted(&headers(&[("accept", "application/json, text/event-stream")]), "text/plain"),
        Form::Stream
    );
    for (accept, stream) in [("", false), ("*/*", false), ("text/event-stream", true), ("text/*", true)] {
        assert_eq!(crate::event_stream::is_wanted(&headers(&[("accept", accept)])), stream, "{accept}");
    }
}

proptest! {
    #[test]
    fn no_address_brings_it_down(
        query in prop_oneof![".*", "((deadline|floor|require|[a-z]*)[=&%+;]?[0-9a-zA-Z%.+&=-]{0,8}){0,6}"],
    ) {
        if let Err(problem) = read(&query) {
            let (status, detail) = status_and_detail(&problem);
            prop_assert_eq!(status, 400);
            prop_assert!(!detail.is_empty() && detail.len() < 10_000, "{}", detail);
        }
    }

    #[test]
    fn every_key_can_be_required(keys in prop::collection::vec(".*", 0..5)) {
        let query: Vec<_> = keys.iter().map(|key| format!("require={}", escaped(key))).collect();
        let promises = read(&query.join("&")).ok().unwrap();
        let required: Vec<_> = promises.required.iter().map(PartitionKey::as_str).collect();
        prop_assert_eq!(required, keys);
    }

    #[test]
    fn every_deadline_within_the_longest_is_taken_as_it_is(nanos in 1..=60_000_000_000_u64) {
        let deadline = read(&format!("deadline={nanos}ns")).ok().unwrap().deadline;
        prop_assert_eq!(deadline, Some(Duration::from_nanos(nanos)));
    }

    #[test]
    fn no_header_brings_it_down(value in prop::collection::vec(any::<u8>(), 0..60)) {
        if let Ok(value) = HeaderValue::from_bytes(&value) {
            let headers: HeaderMap = [(ACCEPT, value)].into_iter().collect();
            let _ = Form::wanted(&headers, "text/plain");
        }
    }
}

#[test]
fn preferences_that_make_sense_count() {
    let prefers = |values: &[&str]| {
        let pairs: Vec<_> = values.iter().map(|value| ("prefer", *value)).collect();
        let Preferences { respond_async, wait } = Preferences::of(&headers(&pairs));
        (respond_async, wait.map(|wait| wait.as_secs()))
    };
    assert_eq!(prefers(&[]), (false, None));
    assert_eq!(prefers(&["respond-async, wait=10"]), (true, Some(10)));
    assert_eq!(prefers(&["Wait = \"5\"", "Respond-Async; now=yes"]), (true, Some(5)));
    assert_eq!(prefers(&["wait=1, wait=2"]), (false, Some(1)));
    assert_eq!(prefers(&["wait=soon, respond-asynchronously", "return=minimal; wait=3"]), (false, None));
}

#[test]
fn what_was_applied_is_said() {
    let applied = |respond_async, wait| {
        let mut headers = HeaderMap::new();
        Preferences { respond_async, wait }.applied(&mut headers);
        headers.get("preference-applied").map(|value| value.to_str().unwrap().to_owned())
    };
    assert_eq!(applied(false, None), None);
    assert_eq!(applied(true, None).unwrap(), "respond-async");
    assert_eq!(applied(true, Some(Duration::from_secs(7))).unwrap(), "respond-async, wait=7");
}
