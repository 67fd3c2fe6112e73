//! Answers that are being sent: charges, and readers without progress.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Instant;

use futures_util::stream;
use http_body_util::BodyExt;

use super::*;
use crate::links::{ConnectionPermit, Signal};
use crate::metrics::Counts;

const MIB: u64 = 1 << 20;

/// The answers of a server, and a connection.
fn sending() -> (Arc<Sending>, ConnectionPermit) {
    // The clock has run for an hour, so that time 0 is long ago.
    let began = Instant::now().checked_sub(Duration::from_secs(3600)).unwrap();
    let links = Links::since(began, 8, 8, Counts::default());
    let permit = links.permit(IpAddr::V4(Ipv4Addr::LOCALHOST)).unwrap();
    (Sending::new(MIB, links), permit)
}

fn sent(sending: &Arc<Sending>, permit: &ConnectionPermit, body: impl Into<Body>) -> SendingBody {
    SendingBody::new(body.into(), sending.clone(), permit.link.enter())
}

async fn piece(sent: &mut SendingBody) -> Option<Bytes> {
    sent.frame().await.map(|frame| frame.unwrap().into_data().unwrap())
}

#[tokio::test]
async fn an_answer_is_charged_until_its_last_byte_is_gone() {
    let (sending, permit) = sending();
    let answer = Bytes::from(vec![7; 200_000]);
    let mut body = sent(&sending, &permit, answer.clone());
    assert_eq!(sending.budget.used(), 200_000, "before anybody asks for it");
    assert_eq!((body.size_hint().exact(), body.is_end_stream()), (Some(200_000), false));
    let mut pieces = Vec::new();
    while let Some(piece) = piece(&mut body).await {
        assert!(piece.len() <= PIECE);
        pieces.push(piece);
    }
    assert_eq!((pieces.len(), pieces.concat()), (4, answer.to_vec()));
    assert!(body.is_end_stream());
    drop(body);
    assert_eq!(sending.budget.used(), 200_000, "the connection still has them");
    let last = pieces.pop();
    drop(pieces);
    assert_eq!(sending.budget.used(), 200_000);
    drop(last);
    assert_eq!((sending.budget.used(), sending.answers.lock().len()), (0, 0));
}

#[tokio::test]
async fn a_stream_is_charged_for_the_bytes_in_flight() {
    let (sending, permit) = sending();
    let frames = [&b"one"[..], b"", b"three"].map(|text| Ok::<_, Infallible>(Bytes::from_static(text)));
    let mut body = sent(&sending, &permit, Body::from_stream(stream::iter(frames)));
    assert_eq!(sending.budget.used(), 0);
    let first = piece(&mut body).await.unwrap();
    assert_eq!((&*first, sending.budget.used()), (&b"one"[..], 3));
    drop(first);
    let second = piece(&mut body).await.unwrap();
    assert_eq!((&*second, sending.budget.used()), (&b"three"[..], 5));
    assert!(piece(&mut body).await.is_none());
    drop(second);
    assert_eq!((sending.budget.used(), sending.answers.lock().len()), (0, 0), "who waits for more owes nothing");
}

#[tokio::test]
async fn a_reader_that_makes_no_progress_is_cut_off() {
    let (sending, mut permit) = sending();
    let mut body = sent(&sending, &permit, vec![7; 200_000]);
    let _piece = piece(&mut body).await;
    sending.look(Duration::from_secs(600));
    assert!(permit.signals.try_recv().is_err());
    for answer in sending.answers.lock().values() {
        answer.since.store(0, Ordering::Relaxed);
    }
    let more = piece(&mut body).await;
    assert!(more.is_some());
    assert!(
        sending.answers.lock().values().all(|answer| answer.since.load(Ordering::Relaxed) > 0),
        "that was progress"
    );
    for answer in sending.answers.lock().values() {
        answer.since.store(0, Ordering::Relaxed);
    }
    sending.look(Duration::from_secs(600));
    assert_eq!(permit.signals.try_recv(), Ok(Signal::End));
}

#[tokio::test]
async fn the_slowest_reader_goes_when_answers_take_more_than_there_is() {
    let (sending, mut slow) = sending();
    let mut quick = sending.links.permit(IpAddr::V4(Ipv4Addr::LOCALHOST)).unwrap();
    let first = sent(&sending, &slow, vec![7; 700_000]);
    // The first answer has made no progress for long.
    for answer in sending.answers.lock().values() {
        answer.since.store(0, Ordering::Relaxed);
    }
    let second = sent(&sending, &quick, vec![7; 700_000]);
    assert_eq!((slow.signals.try_recv(), quick.signals.try_recv().is_err()), (Ok(Signal::End), true));
    drop((first, second));
    assert_eq!(sending.budget.used(), 0);
}
