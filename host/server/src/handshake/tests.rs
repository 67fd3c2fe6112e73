//! Clients that begin in time, and clients that do not.

use std::future::poll_fn;

use tokio::io::{AsyncWriteExt, duplex};

use super::*;

/// Returns the bytes that a server reads from a client that sends these pieces, then nothing more.
async fn read(pieces: &[&[u8]]) -> io::Result<usize> {
    let (mut client, mut server) = duplex(64);
    let mut timeout = HandshakeTimeout::new(Duration::from_secs(1));
    let mut read = async || {
        let mut buffer = [0; 64];
        let mut into = ReadBuf::new(&mut buffer);
        poll_fn(|cx| timeout.poll_read(&mut server, cx, &mut into)).await?;
        Ok::<_, io::Error>(into.filled().len())
    };
    let mut all = 0;
    for piece in pieces {
        client.write_all(piece).await.unwrap();
        all += read().await?;
    }
    tokio::select! {
        more = read() => more,
        () = tokio::time::sleep(Duration::from_secs(60)) => Ok(all),
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_with_a_known_version_has_no_timeout() {
    for pieces in
        [&[b"G".as_slice()][..], &[b"P", b"O"], &[b"PRI * HTTP/1"], &[b"PRI * HTTP/2.0\r\n\r\nS", b"M\r\n\r\n"]]
    {
        assert_eq!(read(pieces).await.unwrap(), pieces.iter().map(|piece| piece.len()).sum::<usize>());
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_without_a_version_times_out() {
    for pieces in [&[][..], &[b"P".as_slice()], &[b"PRI * ", b"HTTP/2.0\r\n\r\nSM\r\n\r"]] {
        assert_eq!(read(pieces).await.unwrap_err().kind(), io::ErrorKind::TimedOut, "{pieces:?}");
    }
}
