//! Carriers over NATS: roots and workers on any hosts find each other, and exchange messages.
//!
//! 1. [`connect`] makes the connection, which then outlives the server's absence.
//! 2. [`Nats::root`] announces a root; [`RootSide::accept`] returns each worker that speaks to it.
//! 3. [`Nats::worker`] listens for roots; [`WorkerSide::next_root`] returns each of them.
//!
//! A message to a peer that does not read, or published while the server is away, is lost: that is
//! what a [`carrier`](crate::carrier) promises.

mod discovery;
mod error;
mod inlet;
mod line;
mod link;
mod names;
mod options;
mod peers;
mod root_side;
mod task;
mod worker_side;

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::Duration;

use async_nats::{Client, ConnectError, ConnectOptions, ServerAddr};
use frond_tls::{Trust, TrustError, rustls};
use tokio::time::timeout;

use crate::carrier::MAX_MESSAGE;
use crate::label::is_label;
use link::{Events, Link};
use names::{ANY, Subjects};

pub use discovery::{Greeted, VERSION};
pub use error::{NatsError, Role};
pub use names::{PeerId, PeerName};
pub use options::{Options, read_secret};
pub use root_side::RootSide;
pub use worker_side::WorkerSide;

/// Oldest version of the server that works, as major and minor number: older ones ignore options
/// without a word.
const OLDEST: (u32, u32) = (2, 11);
/// Time for the first connection, to all addresses of all servers together.
const FIRST_CONNECTION: Duration = Duration::from_secs(10);
/// Time for one attempt to connect to one address.
const ATTEMPT: Duration = Duration::from_secs(5);
/// Longest delay between two attempts to connect again: a server that returns is found soon.
const MAX_DELAY: Duration = Duration::from_millis(250);
/// Time between two pings of the server. After three without an answer it counts as lost.
const PING: Duration = Duration::from_secs(2);
/// Most messages that are published and not yet written to the server. Further ones wait.
const UNWRITTEN: usize = 64;
/// Most messages of one subscription that wait for the task that gives them to their carriers.
/// Further ones are lost.
const UNROUTED: usize = 2048;

/// Connection to a NATS server, for a root or a worker.
#[derive(Debug)]
pub struct Nats {
    link: Arc<Link>,
    subjects: Subjects,
    user: Arc<str>,
}

impl Nats {
    /// Announces a root by this name, and hears its workers.
    ///
    /// # Errors
    /// An invalid name; a server that does not confirm the subscriptions, or forbids them.
    pub async fn root(self, name: &str) -> Result<RootSide, NatsError> {
        check_label(name)?;
        RootSide::start(self.link, self.subjects, name).await
    }

    /// Says hello as a worker of this name, and hears its roots.
    ///
    /// # Errors
    /// See [`Nats::root`].
    pub async fn worker(self, name: &str) -> Result<WorkerSide, NatsError> {
        check_label(name)?;
        WorkerSide::start(self.link, self.subjects, self.user, name).await
    }
}

fn check_label(name: &str) -> Result<(), NatsError> {
    if is_label(name) { Ok(()) } else { Err(NatsError::Name { name: name.to_owned() }) }
}

/// Checks the name of a pool.
///
/// # Errors
/// [`NatsError::Pool`] for anything but 1 to 32 lower-case letters, digits and hyphens.
pub fn check_pool(name: &str) -> Result<(), NatsError> {
    if names::is_pool(name) { Ok(()) } else { Err(NatsError::Pool { pool: name.to_owned() }) }
}

/// Connects to a NATS server. Later losses of the connection are repaired for as long as anybody
/// has it.
///
/// # Errors
/// Invalid options, and a server that cannot be reached within 10 s, refuses the user, is older
/// than 2.11, or accepts smaller messages than [`MAX_MESSAGE`].
pub async fn connect(options: &Options) -> Result<Nats, NatsError> {
    check_pool(&options.pool)?;
    let user = options.user.as_deref().unwrap_or(ANY);
    if !names::is_user(user) {
        return Err(NatsError::User { user: user.to_owned() });
    }
    let servers = servers(&options.url)?;
    let url = servers.iter().map(shown).collect::<Vec<_>>().join(", ");
    let wants_tls = options.ca.is_some() || servers.iter().any(ServerAddr::tls_required);
    let events = Events::new(url.clone(), options);
    let alive = Arc::new(());
    let settings = settings(events.clone(), Arc::downgrade(&alive)).require_tls(wants_tls);
    let settings = login(settings.tls_client_config(trust(options.ca.clone()).await?), options).await?;
    let explain = |error: ConnectError| NatsError::explain(url.clone(), options, &error);
    let client = match timeout(FIRST_CONNECTION, settings.connect(servers.as_slice())).await {
        Ok(connected) => connected.map_err(explain)?,
        Err(_) => return Err(NatsError::Silent { url }),
    };
    check_server(&client, &url)?;
    let is_secure = wants_tls || client.server_info().tls_required;
    if options.password.is_some() && !is_secure && !servers.iter().all(is_local) {
        tracing::warn!("the password of the NATS server at {url} travels unencrypted (use `tls://`)");
    }
    Ok(Nats { link: Link::new(client, events, alive), subjects: Subjects::new(&options.pool), user: user.into() })
}

/// Reads the URLs of the servers.
fn servers(url: &str) -> Result<Vec<ServerAddr>, NatsError> {
    let invalid = |why: &str| NatsError::Url { why: why.to_owned() };
    let server = |url: &str| {
        // The parser's own message has no part of the URL, which may have a password.
        let unreadable = |error: std::io::Error| {
            let why = error.to_string();
            invalid(why.strip_prefix("NATS server URL is invalid: ").unwrap_or(&why))
        };
        let server: ServerAddr = url.trim().parse().map_err(unreadable)?;
        if server.is_websocket() {
            return Err(invalid("WebSockets are not supported"));
        }
        if server.username().is_some() || server.password().is_some() {
            return Err(invalid("user and password have options of their own"));
        }
        if server.host().is_empty() { Err(invalid("it names no host")) } else { Ok(server) }
    };
    url.split(',').map(server).collect()
}

/// Address of a server for messages.
fn shown(server: &ServerAddr) -> String {
    let host = server.host();
    if host.contains(':') { format!("[{host}]:{}", server.port()) } else { format!("{host}:{}", server.port()) }
}

fn is_local(server: &ServerAddr) -> bool {
    server.host() == "localhost" || server.host().parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Settings that all connections share.
fn settings(events: Arc<Events>, alive: Weak<()>) -> ConnectOptions {
    ConnectOptions::new()
        .name("frond")
        .connection_timeout(ATTEMPT)
        .reconnect_delay_callback(move |attempt| delay(attempt, alive.strong_count() > 0))
        .ping_interval(PING)
        .client_capacity(UNWRITTEN)
        .subscription_capacity(UNROUTED)
        // All subjects are made of checked names.
        .skip_subject_validation(true)
        .event_callback(move |event| {
            events.note(&event);
            std::future::ready(())
        })
}

/// Delay before an attempt to connect, the first of which has the number 1.
fn delay(attempt: usize, has_owner: bool) -> Duration {
    if attempt <= 1 {
        return Duration::ZERO;
    }
    // The client would go on for ever, also after its owner is gone.
    if !has_owner {
        return Duration::MAX;
    }
    let steps = u32::try_from(attempt).unwrap_or(u32::MAX);
    let longest = MAX_DELAY.min(Duration::from_millis(2_u64.saturating_pow(steps)));
    // Random, so that many workers do not return all at once.
    longest.mul_f64(0.5 + 0.5 * rand::random::<f64>())
}

/// Root certificates for a connection; read on a thread that may wait.
async fn trust(ca: Option<PathBuf>) -> Result<rustls::ClientConfig, NatsError> {
    let load = move || -> Result<rustls::ClientConfig, TrustError> {
        let trust = ca.as_deref().map_or_else(|| Ok(Trust::system()), Trust::file)?;
        Ok((*trust.client()?).clone())
    };
    let loaded = tokio::task::spawn_blocking(load).await;
    let cancelled = |_| NatsError::Unreachable { url: String::new(), why: "the runtime ends".to_owned() };
    Ok(loaded.map_err(cancelled)??)
}

/// Reads the file with the credentials of a connection, if there is one.
///
/// # Errors
/// [`NatsError::Credentials`] for a file that cannot be read, or is larger than 64 KiB.
pub fn read_credentials(options: &Options) -> Result<Option<String>, NatsError> {
    let read = |path: &PathBuf| {
        let unreadable = |cause| NatsError::Credentials { path: path.clone(), cause };
        read_secret(path).map_err(unreadable)
    };
    options.credentials.as_ref().map(read).transpose()
}

/// Adds the user to the settings of a connection.
async fn login(settings: ConnectOptions, options: &Options) -> Result<ConnectOptions, NatsError> {
    if let Some(path) = options.credentials.clone() {
        let unusable = |cause| NatsError::Credentials { path: path.clone(), cause };
        let options = options.clone();
        // The file may be on a slow volume.
        let text = tokio::task::spawn_blocking(move || read_credentials(&options)).await;
        let text = text.map_err(|error| unusable(error.into()))??.unwrap_or_default();
        return settings.credentials(&text).map_err(unusable);
    }
    Ok(match (&options.user, &options.password) {
        (Some(user), Some(password)) => settings.user_and_password(user.clone(), password.clone()),
        _ => settings,
    })
}

/// Checks that the server has all that carriers need.
fn check_server(client: &Client, url: &str) -> Result<(), NatsError> {
    let info = client.server_info();
    let mut numbers = info.version.trim_start_matches('v').split('.').map_while(|number| number.parse().ok());
    let version: (u32, u32) = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default());
    if version < OLDEST {
        return Err(NatsError::TooOld { url: url.to_owned(), version: info.version });
    }
    if info.max_payload < MAX_MESSAGE {
        return Err(NatsError::TooSmall { url: url.to_owned(), most: info.max_payload, needed: MAX_MESSAGE });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
