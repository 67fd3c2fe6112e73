//! Roots and workers that find each other over a NATS server.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::nats::{PeerId, RootSide, WorkerSide};
use crate::session::{Lost, Settings};
use crate::worker::{Introduction, LeafLoader, PartialCache, serve_one_of};
use crate::workers::{Origin, Workers};

/// Time for workers to hear that their root leaves. One that does not finds it silent.
const FAREWELL: Duration = Duration::from_secs(1);

/// Talks with each worker that the root hears of, and lists those of another version of the
/// protocol. Once the root is `ending`, says goodbye to all of them, and ends when they know, after
/// a second at most. Dropping the future gives all of them up without a word.
pub async fn accept_workers(mut side: RootSide, workers: Workers, ending: CancellationToken) {
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
            () = ending.cancelled() => {
                let left = workers.left();
                // Each conversation that is given up says goodbye. `side` carries that.
                conversations.shutdown().await;
                // A worker that has not answered by then may be gone itself.
                let _ = timeout(FAREWELL, left).await;
                return;
            }
        }
    }
}

/// The most roots that are remembered as having drained the worker. For a further one, the first is
/// forgotten, and asks again.
const MOST_DISMISSALS: usize = 1024;

/// Runs leaves for each root that the worker hears of, but for those that have drained it. Ends
/// once it is `draining` and the leaves that ran have ended.
pub async fn serve_roots(
    mut side: WorkerSide,
    settings: Settings,
    introduction: Introduction,
    loader: Arc<dyn LeafLoader>,
    draining: CancellationToken,
) {
    let cache = PartialCache::default();
    let mut sessions: JoinSet<Option<PeerId>> = JoinSet::new();
    let mut dismissals: VecDeque<PeerId> = VecDeque::new();
    loop {
        tokio::select! {
            heard = side.next_root(), if !draining.is_cancelled() => {
                let Some((peer, carrier)) = heard else { return };
                if dismissals.contains(&peer.id) {
                    continue;
                }
                let settings = settings.clone();
                let introduction = introduction.clone();
                let loader = loader.clone();
                let cache = cache.clone();
                let draining = draining.clone();
                sessions.spawn(async move {
                    tracing::info!(root = %peer.name, id = %peer.id, "joined a root");
                    let lost = serve_one_of(carrier, settings, &introduction, loader, cache, draining).await;
                    tracing::info!(root = %peer.name, id = %peer.id, %lost, "left a root");
                    (lost == Lost::Drained).then_some(peer.id)
                });
            }
            Some(left) = sessions.join_next() => {
                dismissals.extend(left.ok().flatten());
                if dismissals.len() > MOST_DISMISSALS {
                    dismissals.pop_front();
                }
            }
            () = draining.cancelled(), if sessions.is_empty() => return,
        }
    }
}
