//! TCP proxy that can simulate a silent network, where connections stay open, but no bytes pass,
//! and a slow one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Time that each packet waits on a slow link.
const DELAY: Duration = Duration::from_millis(30);
/// The most bytes of a packet on a slow link.
const PACKET: usize = 16 << 10;

/// Running TCP proxy that tests can silence and slow down. Dropping it closes all of its
/// connections.
pub struct Proxy {
    port: u16,
    silent: Arc<watch::Sender<bool>>,
    slow: Arc<Slow>,
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
        let slow = Arc::new(Slow::default());
        let slowness = slow.clone();
        connections.spawn(async move {
            let mut all = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await else { continue };
                let (from_client, to_client) = client.into_split();
                let (from_server, to_server) = server.into_split();
                all.spawn(pass(from_client, to_server, silence.subscribe(), slowness.clone()));
                all.spawn(pass(from_server, to_client, silence.subscribe(), slowness.clone()));
            }
        });
        Self { port: own, silent, slow, _connections: connections }
    }

    /// Stops all traffic. New connections are accepted, but pass no bytes either.
    pub fn fall_silent(&self) {
        self.silent.send_replace(true);
    }

    /// Ends the silence for new connections. Connections that it cut off stay silent.
    pub fn speak(&self) {
        self.silent.send_replace(false);
    }

    /// Delays all traffic from now on, or no longer.
    pub fn slow_down(&self, slow: bool) {
        self.slow.is_on.store(slow, Ordering::SeqCst);
    }

    /// Number of packets that were delayed.
    #[must_use]
    pub fn delayed(&self) -> u64 {
        self.slow.delayed.load(Ordering::SeqCst)
    }

    /// Port of the proxy.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Connection URL of a database through the proxy.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgres://frond@127.0.0.1:{}/{database}", self.port)
    }
}

/// Slowness of the link.
#[derive(Default)]
struct Slow {
    is_on: AtomicBool,
    delayed: AtomicU64,
}

impl Slow {
    /// Waits as long as a packet does now.
    async fn wait(&self) {
        if self.is_on.load(Ordering::SeqCst) {
            self.delayed.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(DELAY).await;
        }
    }
}

/// Forwards bytes until the silence; then keeps the connection open.
async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut silent: watch::Receiver<bool>, slow: Arc<Slow>) {
    let mut buffer = vec![0; PACKET];
    loop {
        let count = tokio::select! {
            biased;
            () = until(&mut silent) => std::future::pending().await,
            count = from.read(&mut buffer) => count.unwrap_or(0),
        };
        slow.wait().await;
        if count == 0 || to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}

async fn until(silent: &mut watch::Receiver<bool>) {
    let _ = silent.wait_for(|silent| *silent).await;
}
