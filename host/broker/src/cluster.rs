//! Roots and workers that find each other over a NATS server.

use std::sync::Arc;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::nats::{RootSide, WorkerSide};
use crate::session::Settings;
use crate::worker::{Introduction, LeafLoader, PartialCache, serve_one_of};
use crate::workers::{Origin, Workers};

/// Talks with each worker that the root hears of, and lists those of another version of the
/// protocol. Dropping the future gives all of them up.
pub async fn accept_workers(mut side: RootSide, workers: Workers) {
    let pool: Arc<str> = side.pool().into();
    let mut strangers = side.strangers();
    let mut conversations = JoinSet::new();
    loop {
        tokio::select! {
            heard = side.accept() => {
                let Some((peer, carrier)) = heard else { return };
                let workers = workers.clone();
                let origin = Origin { process: Some(peer.id), pool: Some(pool.clone()), ..Origin::default() };
                conversations.spawn(async move { workers.converse_with(carrier, origin).await });
            }
            Some(stranger) = strangers.recv() => workers.refuse(&stranger.peer.name, stranger.why()),
            Some(_) = conversations.join_next() => {}
        }
    }
}

/// Runs leaves for each root that the worker hears of. Ends once it is `draining` and the leaves
/// that ran have ended.
pub async fn serve_roots(
    mut side: WorkerSide,
    settings: Settings,
    introduction: Introduction,
    loader: Arc<dyn LeafLoader>,
    draining: CancellationToken,
) {
    let cache = PartialCache::default();
    let mut sessions = JoinSet::new();
    loop {
        tokio::select! {
            heard = side.next_root(), if !draining.is_cancelled() => {
                let Some((peer, carrier)) = heard else { return };
                let settings = settings.clone();
                let introduction = introduction.clone();
                let loader = loader.clone();
                let cache = cache.clone();
                let draining = draining.clone();
                sessions.spawn(async move {
                    tracing::info!(root = %peer.name, id = %peer.id, "joined a root");
                    let lost = serve_one_of(carrier, settings, &introduction, loader, cache, draining).await;
                    tracing::info!(root = %peer.name, id = %peer.id, %lost, "left a root");
                });
            }
            Some(_) = sessions.join_next() => {}
            () = draining.cancelled(), if sessions.is_empty() => return,
        }
    }
}
