//! The one thread that writes. What it is asked comes through a bounded channel, one transaction after the other;
//! results that come at about the same time share one.

use std::thread::{self, JoinHandle};
use std::time::Duration;

use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

use crate::store::rules::sql;
use crate::store::{AcceptReport, StoreError, StoreResult, cause};

use super::fault::on_disk;
use super::results::{self, PendingResults};

/// Results that are enough for a transaction.
const BATCH: usize = 100;
/// How long the first of them waits for others. Alone, a result costs 135 to 165 µs of the thread; among 100, 16 to 52.
const WAIT: Duration = Duration::from_millis(5);
/// Calls that may wait for the thread; further ones wait for a place.
const WAITING: usize = 256;
/// The pages that calls which let jobs end may take beyond the quota, so that a full store can be emptied.
const RESERVE: u64 = 4096;

/// How a transaction is made.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct TransactionMode {
    /// Wait for the disk (`synchronous=FULL`): what was said to a client must outlive a loss of power.
    full: bool,
    /// Take from the reserve.
    reserve: bool,
}

impl TransactionMode {
    /// Takes something in for a client.
    pub(super) const PROMISE: Self = Self { full: true, reserve: false };
    /// Adds to what is there.
    pub(super) const GROW: Self = Self { full: false, reserve: false };
    /// Ends something, or makes room.
    pub(super) const END: Self = Self { full: true, reserve: true };
    /// Changes hands.
    pub(super) const PASS: Self = Self { full: false, reserve: true };
}

enum WriteCommand {
    Work(Box<dyn FnOnce(&mut WriteConnection) + Send>),
    Accept(PendingResults, oneshot::Sender<StoreResult<AcceptReport>>),
}

/// The connection that writes.
pub(super) struct WriteConnection {
    connection: Connection,
    /// The most pages that the database may have.
    pages: Option<u64>,
    /// How the connection is set now.
    care: Option<TransactionMode>,
}

impl WriteConnection {
    pub(super) fn new(connection: Connection, pages: Option<u64>) -> Self {
        Self { connection, pages, care: None }
    }

    fn transact<T>(
        &mut self,
        care: TransactionMode,
        work: impl FnOnce(&Connection) -> StoreResult<T>,
    ) -> StoreResult<T> {
        if self.care != Some(care) {
            self.care = None;
            self.connection.pragma_update(None, "synchronous", if care.full { "FULL" } else { "NORMAL" })?;
            if let Some(pages) = self.pages {
                let pages = pages + if care.reserve { RESERVE } else { 0 };
                self.connection.pragma_update_and_check(None, "max_page_count", sql(pages), |_| Ok(()))?;
            }
            self.care = Some(care);
        }
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let done = work(&transaction)?;
        transaction.commit()?;
        Ok(done)
    }

    fn accept(&mut self, batch: Vec<(PendingResults, oneshot::Sender<StoreResult<AcceptReport>>)>) {
        let kept = self.transact(TransactionMode::GROW, |connection| {
            batch.iter().map(|(handed, _)| results::accept(connection, handed)).collect::<StoreResult<Vec<_>>>()
        });
        match kept {
            Ok(all) => {
                for ((_, reply), kept) in batch.into_iter().zip(all) {
                    let _ = reply.send(kept);
                }
            }
            Err(error) => {
                for (_, reply) in batch {
                    let _ = reply.send(Err(error.clone()));
                }
            }
        }
    }
}

/// The way to the thread. When it is dropped, what was handed over is still done, and waited for.
pub(super) struct Writer {
    orders: Option<mpsc::Sender<WriteCommand>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Starts the thread. It keeps `held` until it ends.
    pub(super) fn start(pen: WriteConnection, held: impl Send + 'static) -> StoreResult<Self> {
        let (orders, waiting) = mpsc::channel(WAITING);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().map_err(on_disk)?;
        let thread = thread::Builder::new()
            .name("jobs-writer".to_owned())
            .spawn(move || {
                runtime.block_on(run(pen, waiting));
                drop(held);
            })
            .map_err(on_disk)?;
        Ok(Self { orders: Some(orders), thread: Some(thread) })
    }

    /// Does `work` in a transaction of its own, after what was asked before.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        care: TransactionMode,
        work: impl FnOnce(&Connection) -> StoreResult<T> + Send + 'static,
    ) -> StoreResult<T> {
        let (reply, answer) = oneshot::channel();
        let order = WriteCommand::Work(Box::new(move |pen| {
            let _ = reply.send(pen.transact(care, work));
        }));
        self.send(order).await?;
        answer.await.unwrap_or_else(|_| Err(stopped()))
    }

    /// Keeps results, in one transaction with others that come now.
    pub(super) async fn accept(&self, handed: PendingResults) -> StoreResult<AcceptReport> {
        let (reply, answer) = oneshot::channel();
        self.send(WriteCommand::Accept(handed, reply)).await?;
        answer.await.unwrap_or_else(|_| Err(stopped()))
    }

    async fn send(&self, order: WriteCommand) -> StoreResult<()> {
        let orders = self.orders.as_ref().ok_or_else(stopped)?;
        orders.send(order).await.map_err(|_| stopped())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn stopped() -> StoreError {
    StoreError::Other(cause("the thread that writes has stopped"))
}

async fn run(mut pen: WriteConnection, mut orders: mpsc::Receiver<WriteCommand>) {
    while let Some(order) = orders.recv().await {
        match order {
            WriteCommand::Work(work) => work(&mut pen),
            WriteCommand::Accept(handed, reply) => {
                let mut batch = vec![(handed, reply)];
                let next = gather(&mut batch, &mut orders).await;
                pen.accept(batch);
                if let Some(work) = next {
                    work(&mut pen);
                }
            }
        }
    }
}

/// Waits for more results. Anything else ends the wait, and is returned.
async fn gather(
    batch: &mut Vec<(PendingResults, oneshot::Sender<StoreResult<AcceptReport>>)>,
    orders: &mut mpsc::Receiver<WriteCommand>,
) -> Option<Box<dyn FnOnce(&mut WriteConnection) + Send>> {
    let until = Instant::now() + WAIT;
    let mut results: usize = batch.iter().map(|(handed, _)| handed.len()).sum();
    while results < BATCH {
        match timeout_at(until, orders.recv()).await {
            Ok(Some(WriteCommand::Accept(handed, reply))) => {
                results += handed.len();
                batch.push((handed, reply));
            }
            Ok(Some(WriteCommand::Work(work))) => return Some(work),
            Ok(None) | Err(_) => return None,
        }
    }
    None
}
