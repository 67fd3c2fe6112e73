//! Connections: taken as many at once as are allowed, with TLS if there is a certificate, each with a limit on how long
//! its client may be silent; closed when the server stops.

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
use crate::half_close::{ConnectionState, WatchedStream};
use crate::handshake::HandshakeTimeout;
use crate::health;
use crate::links::{ConnectionPermit, Link, Links, Signal};
use crate::params::EVENTS;
use crate::reply::Problem;
use crate::sending::{Sending, SendingBody};
use crate::server::Server;
use crate::tls::Certificate;

/// How long the listener rests when the system has no more file descriptors.
const REST: Duration = Duration::from_millis(50);
/// What a client is told for whom there is no room.
const FULL: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
/// Clients for whom there is no room, and who are being told so.
const TURNED_AWAY: usize = 64;
/// How long a client for whom there is no room may take to ask, and then to be told.
const TELLING: Duration = Duration::from_secs(1);
/// A connection without traffic is asked whether it still stands after this time.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// Bytes that a client of HTTP/2 may send on one connection before they are read.
const WINDOW: u32 = 256 << 10;
/// Bytes that the system holds of what is to be sent, beside what is on its way.
const UNSENT: u32 = 256 << 10;
/// How often connections are looked after: this, or a quarter of the shortest time that they may take, but not more often than
/// the other.
const EVERY: Duration = Duration::from_secs(1);
const LEAST: Duration = Duration::from_millis(10);

/// Where the server listens.
pub(crate) struct Listener {
    tcp: TcpListener,
    tls: Option<TlsAcceptor>,
    certificate: Option<Arc<Certificate>>,
    address: SocketAddr,
}

impl Listener {
    /// Listens, and reads the certificate.
    ///
    /// # Errors
    /// An address that is taken, or not this machine's; a certificate that is none.
    pub(crate) async fn bind(config: &Config) -> Result<Self, ConfigError> {
        let certificate = config.tls.as_ref().map(Certificate::read).transpose()?;
        let tls = certificate.as_ref().map(Certificate::acceptor).transpose()?;
        let bound = TcpListener::bind(config.listen).await;
        let refuse = |error: io::Error| {
            let hint = match error.kind() {
                io::ErrorKind::AddrInUse => "\n(another process listens there; --listen 127.0.0.1:0 takes a free port)",
                io::ErrorKind::PermissionDenied => "\n(ports below 1024 take more rights)",
                io::ErrorKind::AddrNotAvailable => "\n(this machine does not have the address)",
                _ => "",
            };
            ConfigError::Refused(format!("cannot listen on {}: {error}{hint}", config.listen))
        };
        let tcp = bound.map_err(refuse)?;
        let address = tcp.local_addr().map_err(refuse)?;
        Ok(Self { tcp, tls, certificate, address })
    }

    /// Where it listens, the port included.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The certificate that clients are shown, with TLS.
    pub(crate) fn certificate(&self) -> Option<Arc<Certificate>> {
        self.certificate.clone()
    }

    /// True with TLS.
    pub(crate) fn is_secure(&self) -> bool {
        self.tls.is_some()
    }

    /// Takes connections until `stop`, then lets those that are busy end. Returns what watches over them.
    pub(crate) async fn run(self, server: Arc<Server>, app: Router, stop: impl Future<Output = ()>) -> Connections {
        let limits = server.settings().config.limits.clone();
        let links = server.sending.links().clone();
        let turned_away = Arc::new(Semaphore::new(TURNED_AWAY));
        let mut connections = Connections { tasks: JoinSet::new(), links: links.clone(), looking: JoinSet::new() };
        connections.looking.spawn(look(server.sending.clone(), limits.clone()));
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
                    tracing::warn!(%error, "no connection could be taken");
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

/// The connections that still stand.
pub(crate) struct Connections {
    tasks: JoinSet<()>,
    links: Arc<Links>,
    /// What looks after them.
    looking: JoinSet<()>,
}

impl Connections {
    /// Closes those that are idle, and waits for the others; those that take longer are cut off. How many those were.
    pub(crate) async fn close(mut self, within: Duration) -> usize {
        self.links.finish();
        let all = async { while self.tasks.join_next().await.is_some() {} };
        let in_time = tokio::time::timeout(within, all).await.is_ok();
        let left = if in_time { 0 } else { self.tasks.len() };
        self.tasks.shutdown().await;
        self.looking.shutdown().await;
        left
    }
}

/// One connection, to be served.
struct Connection {
    http: Arc<Builder<TokioExecutor>>,
    app: Router,
    server: Arc<Server>,
    /// How long a client may take to agree on TLS, and to begin.
    patience: Duration,
    link: Arc<Link>,
}

impl Connection {
    async fn serve(self, stream: TcpStream, tls: Option<TlsAcceptor>, mut permit: ConnectionPermit) {
        self.server.telemetry.metrics.connections(1);
        match tls {
            None => self.talk(stream, &mut permit).await,
            Some(tls) => {
                let agreeing = tokio::time::timeout(self.patience, tls.accept(stream));
                let agreed = tokio::select! {
                    agreed = agreeing => Some(agreed),
                    _ = permit.signals.recv() => None,
                };
                match agreed {
                    Some(Ok(Ok(stream))) => self.talk(stream, &mut permit).await,
                    Some(Ok(Err(error))) => tracing::debug!(%error, "no TLS could be agreed on"),
                    Some(Err(_)) => tracing::debug!("a client took too long to agree on TLS"),
                    None => {}
                }
            }
        }
        self.server.telemetry.metrics.connections(-1);
    }

    async fn talk(&self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, permit: &mut ConnectionPermit) {
        let wire = WatchedStream::new(HandshakeTimeout::new(stream, self.patience));
        let (link, sending) = (self.link.clone(), self.server.sending.clone());
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
        // What was asked for is cancelled with it.
        drop(talk);
        if let Some(Err(error)) = ended {
            tracing::debug!(error, "a connection broke off");
            wire.linger().await;
        }
    }
}

/// The requests of one connection.
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
        let (busy, sending, wire) = (self.link.enter(), self.sending.clone(), self.wire.clone());
        let is_refused = self.link.is_spare() && !health::is_check(request.uri().path());
        let app = self.app.clone();
        Box::pin(async move {
            let response = match is_refused {
                true => full(),
                false => app.oneshot(request).await?,
            };
            let size = response.body().size_hint().exact().unwrap_or_default();
            let response = if sending.has_room(size) { response } else { crowded() };
            let kind = response.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes);
            let is_stream = !is_http2 && kind.is_some_and(|kind| kind.starts_with(EVENTS.as_bytes()));
            let response = if is_stream { response.map(|body| Body::new(wire.pulse(body))) } else { response };
            Ok(response.map(|body| Body::new(SendingBody::new(body, sending, busy))))
        })
    }
}

/// What a client is told for whom there is only a place that is kept for health checks.
fn full() -> Response<Body> {
    let text = "all connections that there may be are in use\n(`limits.connections` in the server's settings)";
    let mut response = Problem::overloaded(text, Duration::from_secs(1)).into_response();
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// Response in the place of an answer for which there is no room.
fn crowded() -> Response<Body> {
    let text = "answers that are being sent take the memory that they may\n(`limits.bodies` in the server's settings)";
    Problem::overloaded(text, Duration::from_secs(1)).into_response()
}

/// Looks after connections: closes those that are not used, and those whose clients do not read.
async fn look(sending: Arc<Sending>, limits: Limits) {
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
        // A FIN is told from the end of a client by `half_close`.
        .half_close(true)
        .header_read_timeout(limits.header_time.0)
        .max_buf_size(limits.headers.len().max(8192))
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(u32::try_from(limits.headers.0).unwrap_or(u32::MAX))
        .max_concurrent_streams(128)
        // What a client may send before a handler reads it: of one stream, and of all.
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .keep_alive_interval(KEEPALIVE)
        .keep_alive_timeout(limits.header_time.0);
    http
}

/// A client that vanishes, or that reads nothing, is given up after `patience`: the system does that on its own.
fn settle(stream: &TcpStream, patience: Duration) {
    let socket = SockRef::from(stream);
    let _ = socket.set_tcp_nodelay(true);
    // Without it the system takes megabytes at once, and a reader that is slow seems to make no progress for as long.
    #[cfg(target_os = "linux")]
    let _ = socket.set_tcp_notsent_lowat(UNSENT);
    let _ = socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE));
    #[cfg(target_os = "linux")]
    let _ = socket.set_tcp_user_timeout(Some(patience));
    #[cfg(not(target_os = "linux"))]
    let _ = patience;
}

/// Clients believe a reply only after they have asked; and to close on what they are still sending would take the reply
/// back before they have read it.
async fn turn_away(mut stream: TcpStream, _permit: OwnedSemaphorePermit) {
    let _ = tokio::time::timeout(TELLING, stream.peek(&mut [0])).await;
    let telling = async {
        stream.write_all(FULL).await?;
        stream.shutdown().await?;
        tokio::io::copy(&mut stream.take(drain::MAX_BYTES), &mut tokio::io::sink()).await
    };
    let _ = tokio::time::timeout(TELLING, telling).await;
}

/// True for errors of the one connection, not of the listener.
fn is_of_one(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
    )
}
