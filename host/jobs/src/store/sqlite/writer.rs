//! The single writer thread. Commands arrive through a bounded channel (backpressure) and run one
//! transaction after the other; results that arrive at about the same time share a transaction
//! (group commit).

use std::thread::{self, JoinHandle};
use std::time::Duration;

use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

use crate::job::UnixMs;
use crate::store::rules::sql;
use crate::store::{AcceptReport, StoreError, StoreResult, cause};

use super::fault::on_disk;
use super::results::{self, PendingResults};
use super::session::{Session, run};

/// Results that fill a batch.
const BATCH: usize = 100;
/// Time for which the first result of a batch waits for others. A single result costs the thread
/// 135 to 165 µs; one of a batch of 100, 16 to 52 µs.
const WAIT: Duration = Duration::from_millis(5);
/// Capacity of the channel of commands; further calls wait for a place in it.
const WAITING: usize = 256;
/// Pages that calls which let jobs end may take beyond the quota, so that a full store can be
/// emptied.
const RESERVE: u64 = 4096;

/// Durability and quota of a transaction.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct TransactionMode {
    /// Wait for the disk (`synchronous=FULL`): promises to clients must survive a power failure.
    full: bool,
    /// May use the reserve beyond the quota.
    reserve: bool,
}

impl TransactionMode {
    /// Accepts work from a client.
    pub(super) const PROMISE: Self = Self { full: true, reserve: false };
    /// Adds data to existing jobs.
    pub(super) const GROW: Self = Self { full: false, reserve: false };
    /// Ends jobs, or frees space.
    pub(super) const END: Self = Self { full: true, reserve: true };
    /// Changes the owner or the state of a job.
    pub(super) const PASS: Self = Self { full: false, reserve: true };
}

/// Command to the writing thread.
enum WriteCommand {
    Work(Box<dyn FnOnce(&mut WriteConnection) + Send>),
    Accept(PendingResults, oneshot::Sender<StoreResult<AcceptReport>>),
}

/// The connection for writes.
pub(super) struct WriteConnection {
    connection: Connection,
    /// Most pages that the database may have.
    pages: Option<u64>,
    /// Mode that the connection is configured for.
    mode: Option<TransactionMode>,
}

impl WriteConnection {
    pub(super) fn new(connection: Connection, pages: Option<u64>) -> Self {
        Self { connection, pages, mode: None }
    }

    fn transact<T>(
        &mut self,
        mode: TransactionMode,
        work: impl FnOnce(&Connection) -> StoreResult<T>,
    ) -> StoreResult<T> {
        if self.mode != Some(mode) {
            self.mode = None;
            self.connection.pragma_update(None, "synchronous", if mode.full { "FULL" } else { "NORMAL" })?;
            if let Some(pages) = self.pages {
                let pages = pages + if mode.reserve { RESERVE } else { 0 };
                self.connection.pragma_update_and_check(None, "max_page_count", sql(pages), |_| Ok(()))?;
            }
            self.mode = Some(mode);
        }
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let done = work(&transaction)?;
        transaction.commit()?;
        Ok(done)
    }

    fn accept(&mut self, batch: Vec<(PendingResults, oneshot::Sender<StoreResult<AcceptReport>>)>) {
        let kept = self.transact(TransactionMode::GROW, |connection| {
            // Nothing here depends on the time.
            let db = Session::new(connection, UnixMs::default());
            batch.iter().map(|(pending, _)| run(results::accept(&db, pending))).collect::<StoreResult<Vec<_>>>()
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

/// Handle of the writer thread. Dropping it completes the pending commands and joins the thread.
pub(super) struct Writer {
    commands: Option<mpsc::Sender<WriteCommand>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Starts the thread, which owns `held` until it ends.
    pub(super) fn start(connection: WriteConnection, held: impl Send + 'static) -> StoreResult<Self> {
        let (commands, waiting) = mpsc::channel(WAITING);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().map_err(on_disk)?;
        let thread = thread::Builder::new()
            .name("jobs-writer".to_owned())
            .spawn(move || {
                runtime.block_on(serve(connection, waiting));
                drop(held);
            })
            .map_err(on_disk)?;
        Ok(Self { commands: Some(commands), thread: Some(thread) })
    }

    /// Runs `work` in a separate transaction, after all earlier commands.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        mode: TransactionMode,
        work: impl FnOnce(&Connection) -> StoreResult<T> + Send + 'static,
    ) -> StoreResult<T> {
        let (reply, answer) = oneshot::channel();
        let command = WriteCommand::Work(Box::new(move |connection| {
            let _ = reply.send(connection.transact(mode, work));
        }));
        self.send(command).await?;
        answer.await.unwrap_or_else(|_| Err(stopped()))
    }

    /// Stores results, in one transaction with others that arrive at the same time.
    pub(super) async fn accept(&self, pending: PendingResults) -> StoreResult<AcceptReport> {
        let (reply, answer) = oneshot::channel();
        self.send(WriteCommand::Accept(pending, reply)).await?;
        answer.await.unwrap_or_else(|_| Err(stopped()))
    }

    async fn send(&self, command: WriteCommand) -> StoreResult<()> {
        let commands = self.commands.as_ref().ok_or_else(stopped)?;
        commands.send(command).await.map_err(|_| stopped())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.commands = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn stopped() -> StoreError {
    StoreError::Other(cause("the writer thread has stopped"))
}

async fn serve(mut connection: WriteConnection, mut commands: mpsc::Receiver<WriteCommand>) {
    while let Some(command) = commands.recv().await {
        match command {
            WriteCommand::Work(work) => work(&mut connection),
            WriteCommand::Accept(pending, reply) => {
                let mut batch = vec![(pending, reply)];
                let next = gather(&mut batch, &mut commands).await;
                connection.accept(batch);
                if let Some(work) = next {
                    work(&mut connection);
                }
            }
        }
    }
}

/// Collects more results for the batch. Any other command ends the wait and is returned.
async fn gather(
    batch: &mut Vec<(PendingResults, oneshot::Sender<StoreResult<AcceptReport>>)>,
    commands: &mut mpsc::Receiver<WriteCommand>,
) -> Option<Box<dyn FnOnce(&mut WriteConnection) + Send>> {
    let until = Instant::now() + WAIT;
    let mut results: usize = batch.iter().map(|(pending, _)| pending.len()).sum();
    while results < BATCH {
        match timeout_at(until, commands.recv()).await {
            Ok(Some(WriteCommand::Accept(pending, reply))) => {
                results += pending.len();
                batch.push((pending, reply));
            }
            Ok(Some(WriteCommand::Work(work))) => return Some(work),
            Ok(None) | Err(_) => return None,
        }
    }
    None
}
