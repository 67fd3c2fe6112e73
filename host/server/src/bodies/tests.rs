//! Bodies: whole, too large, late and broken off.

use std::convert::Infallible;

use futures_util::stream;
use proptest::prelude::*;

use super::*;
use crate::params::tests::{headers, status_and_detail};

const LONGEST: Duration = Duration::from_secs(60);

#[test]
fn what_would_have_to_be_unpacked_is_refused() {
    for taken in [
        &[][..],
        &[("content-encoding", "identity")],
        &[("content-encoding", "Identity")],
        &[("content-type", "application/x-www-form-urlencoded")],
        &[("content-type", "text/plain; multipart/form-data")],
    ] {
        assert!(plain(&headers(taken)).is_ok(), "{taken:?}");
    }
    for refused in [
        &[("content-encoding", "gzip")][..],
        &[("content-encoding", "identity, gzip")],
        &[("content-encoding", "identity"), ("content-encoding", "br")],
        &[("content-encoding", "é")],
        &[("content-type", "multipart/form-data; boundary=x")],
        &[("content-type", "Multipart/Mixed")],
    ] {
        let problem = plain(&headers(refused)).expect_err("packed");
        assert_eq!(status_and_detail(&problem).0, 415, "{refused:?}");
    }
}

fn now() -> Instant {
    Instant::now()
}

fn pieces(pieces: &[&'static str]) -> Body {
    let pieces: Vec<Result<_, Infallible>> =
        pieces.iter().map(|piece| Ok(Bytes::from_static(piece.as_bytes()))).collect();
    Body::from_stream(stream::iter(pieces))
}

#[tokio::test]
async fn a_body_is_taken_whole_in_as_many_pieces_as_it_comes() {
    for (parts, whole) in
        [(&[][..], ""), (&["abc"], "abc"), (&["ab", "c"], "abc"), (&["", "a", "", "b", "c"], "abc"), (&["", ""], "")]
    {
        let read = collect(pieces(parts), 3, now(), LONGEST).await;
        assert_eq!(read.ok().unwrap(), whole, "{parts:?}");
    }
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_whether_or_not_it_says_so() {
    for parts in [&["abcd"][..], &["abc", "d"], &["a", "b", "c", "d"]] {
        let problem = collect(pieces(parts), 3, now(), LONGEST).await.expect_err("too large");
        assert_eq!(
            status_and_detail(&problem),
            (413, "the body is larger than the 3 bytes that are allowed".to_owned()),
            "{parts:?}"
        );
    }
}

#[test]
fn what_is_expected_of_a_body_is_what_it_announces_or_the_most_that_it_may_have() {
    let any = || Body::from_stream(stream::pending::<Result<Bytes, Infallible>>());
    let announced = |length: &str| headers(&[("content-length", length)]);
    let problem = expected(&announced("4"), &any(), 3).expect_err("too large");
    assert_eq!(status_and_detail(&problem).0, 413);
    for (headers, body, most) in [
        (announced("3"), any(), 3),
        (announced("0"), any(), 0),
        (announced("many"), any(), 3),
        (HeaderMap::new(), any(), 3),
        (HeaderMap::new(), Body::empty(), 0),
        (HeaderMap::new(), Body::from("ab"), 2),
    ] {
        assert_eq!(expected(&headers, &body, 3).ok(), Some(most), "{headers:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_in_time_is_given_up() {
    let start = tokio::time::Instant::now();
    let slow = stream::unfold((), |()| async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        Some((Ok::<_, Infallible>(Bytes::from_static(b"a")), ()))
    });
    let problem = collect(Body::from_stream(slow), 1000, now(), Duration::from_millis(2500)).await;
    assert_eq!(status_and_detail(&problem.expect_err("late")), (408, "the body did not arrive within 2.5s".to_owned()));
    assert_eq!(start.elapsed(), Duration::from_millis(2500));
}

#[tokio::test]
async fn a_body_that_breaks_off_is_refused() {
    let broken = stream::iter([Ok(Bytes::from_static(b"a")), Err(std::io::Error::other("gone"))]);
    let problem = collect(Body::from_stream(broken), 1000, now(), LONGEST).await.expect_err("broken");
    assert_eq!(status_and_detail(&problem), (400, "the body ended before it was whole".to_owned()));
}

proptest! {
    #[test]
    fn no_header_brings_it_down(value in prop::collection::vec(any::<u8>(), 0..60)) {
        if let Ok(value) = HeaderValue::from_bytes(&value) {
            let names = [CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE];
            let headers: HeaderMap = names.into_iter().map(|name| (name, value.clone())).collect();
            let _ = plain(&headers);
        }
    }
}
