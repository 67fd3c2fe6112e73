//! Clients that begin, and clients that do not.

use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

use super::*;

/// What a server reads of a client that says `said` in pieces, and then nothing more.
async fn read(said: &[&[u8]]) -> io::Result<usize> {
    let (mut client, server) = duplex(64);
    let mut server = HandshakeTimeout::new(server, Duration::from_secs(1));
    let mut all = 0;
    let mut buffer = [0; 64];
    for piece in said {
        client.write_all(piece).await.unwrap();
        all += server.read(&mut buffer).await?;
    }
    tokio::select! {
        more = server.read(&mut buffer) => more,
        () = tokio::time::sleep(Duration::from_secs(60)) => Ok(all),
    }
}

#[tokio::test(start_paused = true)]
async fn who_has_told_the_version_may_take_time() {
    for said in [&[b"G".as_slice()][..], &[b"P", b"O"], &[b"PRI * HTTP/1"], &[b"PRI * HTTP/2.0\r\n\r\nS", b"M\r\n\r\n"]]
    {
        assert_eq!(read(said).await.unwrap(), said.iter().map(|piece| piece.len()).sum::<usize>());
    }
}

#[tokio::test(start_paused = true)]
async fn who_has_not_is_given_up() {
    for said in [&[][..], &[b"P".as_slice()], &[b"PRI * ", b"HTTP/2.0\r\n\r\nSM\r\n\r"]] {
        assert_eq!(read(said).await.unwrap_err().kind(), io::ErrorKind::TimedOut, "{said:?}");
    }
}
