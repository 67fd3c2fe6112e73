//! Connections: accepted up to a limit, with TLS if there is a certificate, with timeouts for
//! silent clients.
//! Connections are closed gracefully when the server stops.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::IntoResponse;
use futures_util::future::BoxFuture;
use http::header::{CONNECTION, CONTENT_TYPE};
use http::{HeaderValue, Request, Response, Version};
use hyper::body::{Body as _, Incoming};
use hyper::service::Service;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

use crate::config::{Config, ConfigError, Limits};
use crate::drain::{self, DrainedBody};
use crate::event_stream::EVENTS;
use crate::half_close::{ConnectionState, WatchedStream};
use crate::handshake::HandshakeTimeout;
use crate::health;
use crate::links::{ConnectionPermit, Link, Links, Signal};
use crate::reply::Problem;
use crate::sending::{Reserved, Sending, SendingBody};
use crate::server::Server;
use crate::tls::Certificate;

/// Pause of the listener when the system has no file descriptors left.
const REST: Duration = Duration::from_millis(50);
/// Response to a client that is turned away.
const FULL: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
/// The most turned-away clients that are answered at once.
const TURNED_AWAY: usize = 64;
/// Time within which a turned-away client must send a request, and then read the response.
const TELLING: Duration = Duration::from_secs(1);
/// Idle time after which TCP keepalive probes a connection.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// HTTP/2 window: bytes that a client may send on one connection before they are read.
const WINDOW: u32 = 256 << 10;
/// Bytes that the system buffers unsent, beyond those in flight.
const UNSENT: u32 = 256 << 10;
/// Longest interval between checks of the connections; a quarter of the shortest timeout if that is
/// less.
const EVERY: Duration = Duration::from_secs(1);
/// Shortest interval between checks of the connections.
const LEAST: Duration = Duration::from_millis(10);

/// The bound listener.
pub(crate) struct Listener {
    tcp: TcpListener,
    tls: Option<TlsAcceptor>,
    certificate: Option<Arc<Certificate>>,
    address: SocketAddr,
}

impl Listener {
    /// Binds the address, and reads the certificate.
    ///
    /// # Errors
    /// If the address is in use or not this machine's, or the certificate is invalid.
    pub(crate) async fn bind(config: &Config) -> Result<Self, ConfigError> {
        let certificate = config.tls.as_ref().map(Certificate::read).transpose()?;
        let tls = certificate.as_ref().map(Certificate::acceptor).transpose()?;
        let bound = TcpListener::bind(config.listen).await;
        let refuse = |error: io::Error| {
            let hint = match error.kind() {
                io::ErrorKind::AddrInUse => "\n(another process listens there; --listen 127.0.0.1:0 takes a free port)",
                io::ErrorKind::PermissionDenied => "\n(ports below 1024 need more rights)",
                io::ErrorKind::AddrNotAvailable => "\n(this machine does not have the address)",
                _ => "",
            };
            ConfigError::Refused(format!("cannot listen on {}: {error}{hint}", config.listen))
        };
        let tcp = bound.map_err(refuse)?;
        let address = tcp.local_addr().map_err(refuse)?;
        Ok(Self { tcp, tls, certificate, address })
    }

    /// The bound address, with the actual port.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The server's certificate, with TLS.
    pub(crate) fn certificate(&self) -> Option<Arc<Certificate>> {
        self.certificate.clone()
    }

    /// True with TLS.
    pub(crate) fn is_secure(&self) -> bool {
        self.tls.is_some()
    }

    /// Accepts connections until `stop`. Returns the open connections, which can still finish.
    pub(crate) async fn run(self, server: Arc<Server>, app: Router, stop: impl Future<Output = ()>) -> Connections {
        let limits = server.settings().config.limits.clone();
        let links = server.sending.links().clone();
        let turned_away = Arc::new(Semaphore::new(TURNED_AWAY));
        let mut connections = Connections { tasks: JoinSet::new(), links: links.clone(), checking: JoinSet::new() };
        connections.checking.spawn(check_timeouts(server.sending.clone(), limits.clone()));
        let http = Arc::new(http(&limits));
        tokio::pin!(stop);
        loop {
            let accepted = tokio::select! {
                biased;
                () = &mut stop => return connections,
                Some(_) = connections.tasks.join_next() => continue,
                accepted = self.tcp.accept() => accepted,
            };
            let (stream, peer) = match accepted {
                Ok((stream, peer)) => (stream, peer.ip()),
                Err(error) if is_of_one(&error) => continue,
                Err(error) => {
                    tracing::warn!(%error, "no connection could be accepted");
                    tokio::time::sleep(REST).await;
                    continue;
                }
            };
            let Some(permit) = links.permit(peer) else {
                if let Ok(permit) = turned_away.clone().try_acquire_owned() {
                    connections.tasks.spawn(turn_away(stream, permit));
                }
                continue;
            };
            settle(&stream, limits.read_time.0);
            let one = Connection {
                http: http.clone(),
                app: app.clone(),
                server: server.clone(),
                patience: limits.header_time.0,
                link: permit.link.clone(),
            };
            connections.tasks.spawn(one.serve(stream, self.tls.clone(), permit));
        }
    }
}

/// The open connections.
pub(crate) struct Connections {
    tasks: JoinSet<()>,
    links: Arc<Links>,
    /// The task that checks timeouts.
    checking: JoinSet<()>,
}

impl Connections {
    /// Closes idle connections and waits for the others up to `within`. Returns how many were cut
    /// off.
    pub(crate) async fn close(mut self, within: Duration) -> usize {
        self.links.finish();
        let all = async { while self.tasks.join_next().await.is_some() {} };
        let in_time = tokio::time::timeout(within, all).await.is_ok();
        let left = if in_time { 0 } else { self.tasks.len() };
        self.tasks.shutdown().await;
        self.checking.shutdown().await;
        left
    }
}

/// A connection to be served.
struct Connection {
    http: Arc<Builder<TokioExecutor>>,
    app: Router,
    server: Arc<Server>,
    /// Timeout of the TLS handshake, and of the first bytes.
    patience: Duration,
    link: Arc<Link>,
}

impl Connection {
    async fn serve(self, stream: TcpStream, tls: Option<TlsAcceptor>, mut permit: ConnectionPermit) {
        self.server.telemetry.metrics.connections(1);
        match tls {
            None => self.talk(stream, &mut permit).await,
            Some(tls) => {
                let handshake = tokio::time::timeout(self.patience, tls.accept(stream));
                let result = tokio::select! {
                    result = handshake => Some(result),
                    _ = permit.signals.recv() => None,
                };
                match result {
                    Some(Ok(Ok(stream))) => self.talk(stream, &mut permit).await,
                    Some(Ok(Err(error))) => tracing::debug!(%error, "the TLS handshake failed"),
                    Some(Err(_)) => tracing::debug!("the TLS handshake took too long"),
                    None => {}
                }
            }
        }
        self.server.telemetry.metrics.connections(-1);
    }

    async fn talk(&self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, permit: &mut ConnectionPermit) {
        let wire = WatchedStream::new(stream, HandshakeTimeout::new(self.patience));
        let link = self.link.clone();
        let sending = self.server.sending.clone();
        let service = Exchange { app: self.app.clone(), wire: wire.clone(), link, sending };
        let talk = self.http.serve_connection(TokioIo::new(wire.clone()), service);
        let mut talk = Box::pin(talk.into_owned());
        let ended = poll_fn(|cx| {
            while let Poll::Ready(Some(signal)) = permit.signals.poll_recv(cx) {
                match signal {
                    Signal::Finish => talk.as_mut().graceful_shutdown(),
                    Signal::End => return Poll::Ready(None),
                }
            }
            loop {
                if let Poll::Ready(ended) = talk.as_mut().poll(cx) {
                    return Poll::Ready(Some(ended));
                }
                match wire.watch(cx) {
                    ConnectionState::Read => {}
                    ConnectionState::Nothing => return Poll::Pending,
                    ConnectionState::Gone(error) => {
                        tracing::debug!(%error, "a client is gone");
                        return Poll::Ready(None);
                    }
                }
            }
        });
        let ended = ended.await;
        // Dropping the connection cancels its queries.
        drop(talk);
        if let Some(Err(error)) = ended {
            tracing::debug!(error, "a connection broke off");
            wire.linger().await;
        }
    }
}

/// Handler of one connection's requests.
struct Exchange<S> {
    app: Router,
    wire: WatchedStream<S>,
    link: Arc<Link>,
    sending: Arc<Sending>,
}

impl<S: Send + 'static> Service<Request<Incoming>> for Exchange<S> {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        self.wire.asked();
        let matters = DrainedBody::matters(request.version(), request.headers(), request.body());
        let is_http2 = request.version() == Version::HTTP_2;
        let mut request = request.map(|body| if matters { Body::new(DrainedBody::new(body)) } else { Body::new(body) });
        request.extensions_mut().insert(self.link.clone());
        let busy = self.link.enter();
        let sending = self.sending.clone();
        let wire = self.wire.clone();
        let is_refused = self.link.is_spare() && !health::is_check(request.uri().path());
        let app = self.app.clone();
        Box::pin(async move {
            let mut response = if is_refused { full() } else { app.oneshot(request).await? };
            let size = response.body().size_hint().exact().unwrap_or_default();
            let reserved = response.extensions_mut().remove::<Reserved>();
            let has_room = reserved.is_some() || sending.has_room(size);
            // From here on, the sending charges the body.
            drop(reserved);
            let response = if has_room { response } else { Problem::crowded().into_response() };
            let kind = response.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes);
            let is_stream = !is_http2 && kind.is_some_and(|kind| kind.starts_with(EVENTS.as_bytes()));
            let response = if is_stream { response.map(|body| Body::new(wire.pulse(body))) } else { response };
            Ok(response.map(|body| Body::new(SendingBody::new(body, sending, busy))))
        })
    }
}

/// Reply on an extra connection to any request but a health check.
fn full() -> Response<Body> {
    let text = "all connections of this server are in use\n(`limits.connections` in the server's settings)";
    let mut response = Problem::overloaded(text, Duration::from_secs(1)).into_response();
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// Checks the timeouts of connections: idle ones, and clients that do not read.
async fn check_timeouts(sending: Arc<Sending>, limits: Limits) {
    let every = EVERY.min(limits.idle_time.0 / 4).min(limits.read_time.0 / 4).max(LEAST);
    loop {
        tokio::time::sleep(every).await;
        sending.look(limits.read_time.0);
        sending.links().look(limits.idle_time.0);
    }
}

fn http(limits: &Limits) -> Builder<TokioExecutor> {
    let mut http = Builder::new(TokioExecutor::new());
    http.http1()
        .timer(TokioTimer::new())
        // `half_close` distinguishes a FIN from a client that is gone.
        .half_close(true)
        .header_read_timeout(limits.header_time.0)
        .max_buf_size(limits.headers.len().max(8192))
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(u32::try_from(limits.headers.0).unwrap_or(u32::MAX))
        .max_concurrent_streams(128)
        // Flow control: bytes that a client may send before a handler reads them, for a stream and
        // in total.
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .keep_alive_interval(KEEPALIVE)
        .keep_alive_timeout(limits.header_time.0);
    http
}

/// Sets socket options: the system drops clients that vanish, or that read nothing for `patience`.
fn settle(stream: &TcpStream, patience: Duration) {
    let socket = SockRef::from(stream);
    let _ = socket.set_tcp_nodelay(true);
    // Otherwise the system buffers megabytes, and a slow reader seems to make no progress for as
    // long.
    #[cfg(target_os = "linux")]
    let _ = socket.set_tcp_notsent_lowat(UNSENT);
    let _ = socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE));
    #[cfg(target_os = "linux")]
    let _ = socket.set_tcp_user_timeout(Some(patience));
    #[cfg(not(target_os = "linux"))]
    let _ = patience;
}

/// Answers a client for which there is no room.
/// Clients accept a response only after they have sent a request, and closing a connection with
/// unread bytes would discard the response.
async fn turn_away(mut stream: TcpStream, _permit: OwnedSemaphorePermit) {
    let _ = tokio::time::timeout(TELLING, stream.peek(&mut [0])).await;
    let telling = async {
        stream.write_all(FULL).await?;
        stream.shutdown().await?;
        tokio::io::copy(&mut stream.take(drain::MAX_BYTES), &mut tokio::io::sink()).await
    };
    let _ = tokio::time::timeout(TELLING, telling).await;
}

/// True for errors of a single connection, not of the listener.
fn is_of_one(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
    )
}
