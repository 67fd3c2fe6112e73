//! Connection to a NATS server that outlives its losses, and publishes within bounds.

use std::sync::Arc;
use std::time::Duration;

use async_nats::connection::State;
use async_nats::{Client, Event, ServerError, Subject, Subscriber};
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::error::{NatsError, Role};
use super::options::Options;

/// Time for which a message may wait to be published. After it the message is lost.
const PUBLISH_TIME: Duration = Duration::from_secs(1);
/// Time within which the server must confirm the subscriptions of a root or a worker.
const CONFIRM_TIME: Duration = Duration::from_secs(5);
/// How the server's errors about permissions begin.
const REFUSAL: &str = "Permissions Violation";

/// Events of a connection, for those who wait for one.
#[derive(Debug)]
pub(super) struct Events {
    url: String,
    /// The user, in words.
    who: String,
    pool: String,
    /// Number of times that the connection was made.
    connects: watch::Sender<u64>,
    /// The last error about permissions.
    refusal: watch::Sender<Option<String>>,
}

impl Events {
    /// Makes the events of a connection to `url`.
    pub(super) fn new(url: String, options: &Options) -> Arc<Self> {
        let who = options.who();
        let pool = options.pool.clone();
        Arc::new(Self { url, who, pool, connects: watch::Sender::new(0), refusal: watch::Sender::new(None) })
    }

    /// Notes and logs an event.
    pub(super) fn note(&self, event: &Event) {
        match event {
            Event::Connected => {
                self.connects.send_modify(|count| *count += 1);
                tracing::info!(server = %self.url, "connected to the NATS server");
            }
            Event::Disconnected => tracing::warn!(server = %self.url, "the NATS server is away: reconnecting"),
            Event::ServerError(ServerError::Other(text)) if text.starts_with(REFUSAL) => {
                // A refused announcement is refused each second: one line is enough.
                let is_new = self.refusal.send_replace(Some(text.clone())).is_none_or(|last| last != *text);
                if is_new {
                    tracing::warn!(
                        server = %self.url,
                        "the NATS server forbids {} what Frond needs: {text} (compare its permissions with those in \
                         host/docs/cluster/nats.conf)",
                        self.who
                    );
                }
            }
            Event::ServerError(ServerError::AuthorizationViolation) => tracing::warn!(
                server = %self.url,
                "the NATS server refuses {}: has its password changed? (start this process again with the new one)",
                self.who
            ),
            Event::ServerError(error) => tracing::warn!(server = %self.url, "{error}"),
            other => tracing::debug!(server = %self.url, "{other}"),
        }
    }
}

/// Connection to a NATS server.
#[derive(Debug)]
pub(super) struct Link {
    client: Client,
    events: Arc<Events>,
    /// Lets the connection end once nobody has it.
    _alive: Arc<()>,
}

impl Link {
    /// Wraps a connection.
    pub(super) fn new(client: Client, events: Arc<Events>, alive: Arc<()>) -> Arc<Self> {
        Arc::new(Self { client, events, _alive: alive })
    }

    /// Counts the connections, to wait for the next.
    pub(super) fn connects(&self) -> watch::Receiver<u64> {
        let mut connects = self.events.connects.subscribe();
        connects.mark_unchanged();
        connects
    }

    /// Subscribes to a subject. [`Link::confirm`] tells whether the server allows it.
    pub(super) async fn subscribe(&self, subject: impl Into<Subject>) -> Result<Subscriber, NatsError> {
        self.client.subscribe(subject.into()).await.map_err(|error| self.unreachable(&error))
    }

    /// Publishes a message, or loses it: while there is no connection, or if the server does not
    /// take it within [`PUBLISH_TIME`].
    pub(super) async fn publish(&self, subject: Subject, message: Bytes) {
        // While there is no connection, the client would keep messages that are useless after it.
        if self.client.connection_state() != State::Connected {
            return;
        }
        match timeout(PUBLISH_TIME, self.client.publish(subject, message)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!("a message is lost: {error}"),
            Err(_) => tracing::debug!("a message is lost: the NATS server does not take it"),
        }
    }

    /// Waits until the server has processed all earlier subscriptions. It is asked for an answer
    /// on `reply`, by a message to a subject that nobody hears.
    pub(super) async fn confirm(&self, role: Role, reply: Subject, unheard: Subject) -> Result<(), NatsError> {
        let mut refusals = self.events.refusal.subscribe();
        let mut replies = self.subscribe(reply.clone()).await?;
        let asked = self.client.publish_with_reply(unheard, reply, Bytes::new()).await;
        asked.map_err(|error| self.unreachable(&error))?;
        tokio::select! {
            biased;
            Ok(_) = refusals.wait_for(Option::is_some) => {}
            Some(_) = replies.next() => {}
            () = sleep(CONFIRM_TIME) => return Err(NatsError::Silent { url: self.events.url.clone() }),
        }
        let refusal = refusals.borrow().clone();
        let Events { url, who, pool, .. } = &*self.events;
        let forbidden =
            |why| NatsError::Forbidden { url: url.clone(), who: who.clone(), role, pool: pool.clone(), why };
        refusal.map_or(Ok(()), |why| Err(forbidden(why)))
    }

    fn unreachable(&self, error: &dyn std::error::Error) -> NatsError {
        NatsError::Unreachable { url: self.events.url.clone(), why: error.to_string() }
    }
}
