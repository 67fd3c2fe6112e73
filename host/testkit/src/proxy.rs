//! TCP proxy that can simulate a silent network: connections stay open, but no bytes pass.

use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Running TCP proxy that tests can silence. Dropping it closes all of its connections.
pub struct Proxy {
    port: u16,
    silent: Arc<watch::Sender<bool>>,
    _connections: JoinSet<()>,
}

impl Proxy {
    /// Listens on a free local port and forwards to the server on `port`.
    pub async fn before(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let own = listener.local_addr().unwrap().port();
        let silent = Arc::new(watch::Sender::new(false));
        let mut connections = JoinSet::new();
        let silence = silent.clone();
        connections.spawn(async move {
            let mut all = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await else { continue };
                let (from_client, to_client) = client.into_split();
                let (from_server, to_server) = server.into_split();
                all.spawn(pass(from_client, to_server, silence.subscribe()));
                all.spawn(pass(from_server, to_client, silence.subscribe()));
            }
        });
        Self { port: own, silent, _connections: connections }
    }

    /// Stops all traffic. New connections are accepted, but pass no bytes either.
    pub fn fall_silent(&self) {
        self.silent.send_replace(true);
    }

    /// Ends the silence for new connections. Connections that it cut off stay silent.
    pub fn speak(&self) {
        self.silent.send_replace(false);
    }

    /// Connection URL of a database through the proxy.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgres://frond@127.0.0.1:{}/{database}", self.port)
    }
}

/// Forwards bytes until the silence; then keeps the connection open.
async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut silent: watch::Receiver<bool>) {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let count = tokio::select! {
            biased;
            () = until(&mut silent) => std::future::pending().await,
            count = from.read(&mut buffer) => count.unwrap_or(0),
        };
        if count == 0 || to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}

async fn until(silent: &mut watch::Receiver<bool>) {
    let _ = silent.wait_for(|silent| *silent).await;
}
