//! Connections to hosts. A name is resolved once, its addresses are checked, and the connection
//! goes to a checked address, so that no second resolution can lead elsewhere (DNS rebinding).

use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Instant;

use tokio::net::TcpStream;
use tokio::time::timeout_at;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_util::either::Either;
use wasmtime_wasi_http::Error;

use super::exchange::Exchange;
use crate::address::is_public;
use crate::files::threads::{Resource, THREADS};
use crate::grants::Target;

/// Connection with or without TLS.
pub(super) type Stream = Either<TcpStream, Box<TlsStream<TcpStream>>>;

/// Connects to the exchange's target.
pub(super) async fn connect(exchange: &Exchange, by: Instant) -> Result<Stream, Error> {
    let addresses = addresses(exchange).await?;
    let stream = first(&addresses, by).await?;
    // Requests are small, and the whole request is sent at once.
    let _ = stream.set_nodelay(true);
    if !exchange.tls {
        return Ok(Either::Left(stream));
    }
    let config = exchange.trust.client_for(&["http/1.1"]).map_err(|error| exchange.refuse_tls(&error))?;
    let connector = TlsConnector::from(Arc::new(config));
    Ok(Either::Right(Box::new(secured(&connector, &exchange.target, stream).await?)))
}

/// Makes a TLS connection, and verifies that the server's certificate is for the target.
async fn secured(connector: &TlsConnector, target: &Target, stream: TcpStream) -> Result<TlsStream<TcpStream>, Error> {
    let name = match target {
        Target::Name(name) => ServerName::try_from(name.clone()).map_err(|_| Error::HttpRequestUriInvalid)?,
        Target::Address(address) => ServerName::from(*address),
    };
    connector.connect(name, stream).await.map_err(|error| of_tls(&error))
}

/// Returns the addresses of the host: the target address itself, or those of its name that may be
/// connected to.
async fn addresses(exchange: &Exchange) -> Result<Vec<SocketAddr>, Error> {
    let port = exchange.port;
    let name = match &exchange.target {
        // The grant names this very address.
        Target::Address(address) => return Ok(vec![SocketAddr::new(*address, port)]),
        Target::Name(name) => name,
    };
    let found = match &exchange.resolved {
        Some(addresses) => addresses.iter().map(|address| SocketAddr::new(*address, port)).collect(),
        None => resolve(name.clone(), port).await?,
    };
    allowed(&found, exchange.private).map_err(|private| match private {
        Some(private) => {
            exchange.refuse_address(private);
            Error::DestinationIpProhibited
        }
        None => unresolved(None),
    })
}

/// Returns the addresses that may be connected to; if there are none, the first of the others, if
/// any.
fn allowed(found: &[SocketAddr], private: bool) -> Result<Vec<SocketAddr>, Option<IpAddr>> {
    let may = |address: &&SocketAddr| private || is_public(address.ip());
    let allowed: Vec<SocketAddr> = found.iter().filter(may).copied().collect();
    if allowed.is_empty() { Err(found.first().map(SocketAddr::ip)) } else { Ok(allowed) }
}

/// Resolves a name by the system's resolver, which cannot be interrupted: on a pool thread, which
/// may be lost.
async fn resolve(name: String, port: u16) -> Result<Vec<SocketAddr>, Error> {
    let lane = THREADS.lane(&Resource::Names);
    let found = lane.call(move || (name.as_str(), port).to_socket_addrs().map(Vec::from_iter)).await;
    found.map_err(|_| Error::DnsTimeout)?.map_err(|error| unresolved(Some(&error)))
}

fn unresolved(error: Option<&io::Error>) -> Error {
    Error::DnsError { rcode: error.map(ToString::to_string), info_code: None }
}

/// Connects to the first address that answers. Each attempt gets an equal share of the remaining
/// time.
async fn first(addresses: &[SocketAddr], by: Instant) -> Result<TcpStream, Error> {
    let mut last = Error::ConnectionTimeout;
    for (tried, address) in (0..).zip(addresses) {
        let rest = u32::try_from(addresses.len()).unwrap_or(u32::MAX).saturating_sub(tried).max(1);
        let now = Instant::now();
        let share = now + by.saturating_duration_since(now) / rest;
        match timeout_at(share.into(), TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = of_connect(&error),
            Err(_) => last = Error::ConnectionTimeout,
        }
    }
    Err(last)
}

fn of_connect(error: &io::Error) -> Error {
    match error.kind() {
        ErrorKind::ConnectionRefused => Error::ConnectionRefused,
        ErrorKind::TimedOut => Error::ConnectionTimeout,
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => Error::DestinationIpUnroutable,
        _ => Error::DestinationUnavailable,
    }
}

fn of_tls(error: &io::Error) -> Error {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>());
    match cause {
        Some(rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented) => {
            Error::TlsCertificateError
        }
        Some(_) => Error::TlsProtocolError,
        None => Error::ConnectionTerminated,
    }
}

#[cfg(test)]
mod tests;
