//! Tests of URL parsing, of answers, and of the conversion of errors into failures.

use super::*;

fn check(url: &str, expect: Option<(bool, &str, &str)>) {
    let found = Url::parse(url).ok();
    let found = found.as_ref().map(|url| (url.secure, url.authority, url.path.as_str()));
    assert_eq!(found, expect, "{url}");
}

#[test]
fn urls_are_read() {
    check("http://a.example", Some((false, "a.example", "/")));
    check("HTTPS://a.example:8443/b/c?d=e#f", Some((true, "a.example:8443", "/b/c?d=e")));
    check("http://[::1]:80?q", Some((false, "[::1]:80", "/?q")));
    check("http://a#b", Some((false, "a", "/")));
    for wrong in ["", "a.example", "ftp://a", "http://", "http:///a", "://a", "http:/a"] {
        check(wrong, None);
    }
}

#[test]
fn errors_are_passing() {
    let failure = Failure::from(get("http://a.example/b").unwrap_err());
    assert!(matches!(failure, Failure::Unavailable(text) if text.contains("no network in a native test")));
    assert!(matches!(get("a.example").unwrap_err(), Error::Invalid(_)));
}

#[test]
fn answers_are_read() {
    let headers = vec![("content-type".to_owned(), b"\xff".to_vec()), ("content-type".to_owned(), b"b".to_vec())];
    let answer = Response { status: 200, headers, body: b"[1]".to_vec() };
    assert_eq!((answer.header("Content-Type"), answer.header("etag")), (Some("b"), None));
    assert_eq!((answer.text().unwrap(), answer.json::<Vec<u8>>().unwrap()), ("[1]", vec![1]));
    assert!(matches!(answer.json::<String>().unwrap_err(), Error::Content(_)));
    assert!(answer.clone().success().is_ok());
    assert_eq!(Response { status: 302, ..answer }.success().unwrap_err(), Error::Status(302));
}
