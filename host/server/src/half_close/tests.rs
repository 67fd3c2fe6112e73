//! Answers for half-closed clients, and cancellation for clients that are gone.

use std::future::poll_fn;

use proptest::prelude::*;
use tokio::io::DuplexStream;

use super::*;

const LONG: Duration = Duration::from_secs(3600);
const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";

fn wire() -> (WatchedStream<DuplexStream>, DuplexStream) {
    let (server, client) = tokio::io::duplex(4096);
    (WatchedStream::new(server, HandshakeTimeout::new(LONG)), client)
}

/// Lets an hour pass on the connection. True if the client was found to be gone.
async fn an_hour(wire: &WatchedStream<DuplexStream>) -> bool {
    let watching = poll_fn(|cx| {
        loop {
            match wire.watch(cx) {
                ConnectionState::Read => {}
                ConnectionState::Nothing => return Poll::Pending,
                ConnectionState::Gone(_) => return Poll::Ready(()),
            }
        }
    });
    tokio::time::timeout(LONG, watching).await.is_ok()
}

async fn rest(mut client: DuplexStream) -> Vec<u8> {
    let mut all = Vec::new();
    client.read_to_end(&mut all).await.unwrap();
    all
}

fn paused() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
}

proptest! {
    #[test]
    fn a_response_is_the_same_with_any_probes_before_it_and_in_any_pieces(
        seconds in 0.0..1000.0_f64,
        pieces in prop::collection::vec(1..20_usize, 0..20),
        continues in any::<bool>(),
    ) {
        let got = paused().block_on(async {
            let (mut wire, mut client) = wire();
            wire.asked();
            if continues {
                wire.write_all(CONTINUE).await.unwrap();
            }
            client.shutdown().await.unwrap();
            let watching = async {
                assert!(!an_hour(&wire).await);
            };
            let _ = tokio::time::timeout(Duration::from_secs_f64(seconds), watching).await;
            let mut left = RESPONSE;
            for piece in pieces {
                let (now, later) = left.split_at(piece.min(left.len()));
                wire.write_all(now).await.unwrap();
                let _ = tokio::time::timeout(Duration::from_secs(1), an_hour(&wire)).await;
                left = later;
            }
            wire.write_all(left).await.unwrap();
            wire.shutdown().await.unwrap();
            rest(client).await
        });
        let expected = if continues { [CONTINUE, RESPONSE].concat() } else { RESPONSE.to_vec() };
        prop_assert_eq!(got, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_refuses_bytes_is_gone_and_one_that_takes_them_is_not() {
    let (waiting, mut client) = wire();
    waiting.asked();
    client.shutdown().await.unwrap();
    assert!(!an_hour(&waiting).await);
    let (gone, client) = wire();
    gone.asked();
    drop(client);
    assert!(an_hour(&gone).await);
    // A client that leaves later is found, too.
    let (wire, mut client) = wire();
    wire.asked();
    client.shutdown().await.unwrap();
    assert!(tokio::time::timeout(Duration::from_secs(1), an_hour(&wire)).await.is_err());
    drop(client);
    assert!(an_hour(&wire).await);
}

#[tokio::test(start_paused = true)]
async fn no_probe_is_inserted_into_an_unsent_response() {
    let (mut wire, mut client) = wire();
    wire.asked();
    assert_eq!(wire.write(RESPONSE).await.unwrap(), RESPONSE.len());
    // The next request was read before hyper knew that everything was sent.
    wire.asked();
    client.shutdown().await.unwrap();
    assert!(!an_hour(&wire).await);
    wire.shutdown().await.unwrap();
    assert_eq!(rest(client).await, RESPONSE);
}

#[tokio::test(start_paused = true)]
async fn bytes_read_ahead_are_bounded_and_in_order() {
    let (mut wire, mut client) = wire();
    wire.asked();
    let sent: Vec<u8> = (0..100_000_u32).map(|index| (index % 251) as u8).collect();
    let copy = sent.clone();
    let sending = tokio::spawn(async move {
        client.write_all(&copy).await.unwrap();
        client
    });
    assert!(tokio::time::timeout(Duration::from_secs(1), an_hour(&wire)).await.is_err());
    assert!((AHEAD..AHEAD + 1024).contains(&wire.shared.lock().ahead.len()));
    let mut read = vec![0; sent.len()];
    wire.read_exact(&mut read).await.unwrap();
    assert_eq!(read, sent);
    drop(sending.await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn comments_come_only_once_the_client_has_shut_its_sending_half() {
    let (wire, mut client) = wire();
    let never = http_body_util::StreamBody::new(futures_util::stream::pending::<Result<Frame<Bytes>, io::Error>>());
    let mut pulse = Box::pin(wire.pulse(never));
    let mut next = async || tokio::time::timeout(LONG, poll_fn(|cx| pulse.as_mut().poll_frame(cx))).await;
    assert!(next().await.is_err());
    client.shutdown().await.unwrap();
    assert!(!an_hour(&wire).await);
    for _ in 0..3 {
        assert_eq!(next().await.unwrap().unwrap().unwrap().into_data().unwrap(), COMMENT);
    }
}
