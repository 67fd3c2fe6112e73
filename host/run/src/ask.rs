//! One query, from its bytes to its answer.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use bytes::Bytes;
use frond_app::{App, AppError, Cut, Inputs, PieceSize};
use frond_root::{Answer, Cancel, Error, Events, Plan, Request, flow};
use frond_sandbox::SplitHost;

use crate::error::{RunError, Why};
use crate::planning::Planning;
use crate::wire::Wired;

/// Sees a plan, and may put another in its place.
pub type Replan = Box<dyn FnOnce(Plan) -> Result<Plan, Error> + Send>;

/// A query, and where its work comes from.
pub struct Question {
    /// What is asked, and the promises to keep: see [`request`].
    pub request: Request,
    /// Globs, files or folders that replace the app's source; `-` alone is stdin.
    pub input: Vec<String>,
    /// How large the pieces of files are, unless the app shall say.
    pub piece_size: Option<PieceSize>,
    /// Where a source that reads stdin reads; nothing for one that must not.
    pub stdin: Option<Box<dyn Read + Send>>,
    /// Sees the plan once the query is cut, and may put another in its place.
    pub planned: Option<Replan>,
}

impl Question {
    /// A query of the app's own source.
    #[must_use]
    pub fn new(request: Request) -> Self {
        Self { request, input: Vec::new(), piece_size: None, stdin: None, planned: None }
    }
}

/// A request with the app's promises and limits.
#[must_use]
pub fn request(app: &App, query: &Bytes, slots: usize) -> Request {
    let worst = (slots as u64).saturating_mul(app.limits.leaf.output).saturating_mul(3) / 2;
    let partials = match app.limits.partials == frond_app::Limits::default().partials {
        // A default that a machine with many cores would refuse to start with serves nobody.
        true => app.limits.partials.max(worst.saturating_mul(2)),
        false => app.limits.partials,
    };
    Request {
        deadline: app.deadline,
        floor: app.floor,
        required: app.required.clone(),
        order: app.order,
        slots,
        leaf_time: Some(app.leaf_time()),
        leaf_output: app.limits.leaf.output,
        partials_memory: partials,
        retry: app.retry.query(),
        ..Request::new(app.name.clone(), query.clone())
    }
}

/// Asks the query in a task of its own, which goes on should nobody wait for it. Needs a tokio runtime; `cancel` ends it
/// early with what is there.
///
/// # Errors
/// What stops the query before it can have an answer.
pub async fn ask(wired: &Wired, question: Question, events: Events, cancel: Cancel) -> Result<Answer, RunError> {
    let wired = wired.clone();
    let task = tokio::spawn(async move { answer(&wired, question, events, cancel).await });
    task.await.map_err(|lost| RunError::machine("the query's task was lost", lost))?
}

/// The same within the caller's own task: dropping the future stops the query.
///
/// # Errors
/// What stops the query before it can have an answer.
pub async fn answer(wired: &Wired, question: Question, events: Events, cancel: Cancel) -> Result<Answer, RunError> {
    let request = question.request.clone();
    Ok(flow::run(request, plan(wired, question), wired.root(events), cancel).await?)
}

/// Cuts a query.
///
/// # Errors
/// What stops it before it is scattered.
pub async fn plan(wired: &Wired, question: Question) -> Result<Plan, Error> {
    let Question { request, input, piece_size, stdin, planned } = question;
    let cutting = Cutting {
        app: wired.app.clone(),
        query: request.query.clone(),
        slots: request.slots,
        split: wired.split.clone(),
        planning: wired.planning.clone(),
        until: Instant::now() + request.deadline,
        input,
        piece_size,
        stdin,
    };
    let plan = cutting.plan().await?;
    let notes = plan.notes().clone();
    match planned {
        Some(planned) => Ok(planned(plan)?.noting(notes)),
        None => Ok(plan),
    }
}

/// A query's work on its way to a plan.
struct Cutting {
    app: Arc<App>,
    query: Bytes,
    slots: usize,
    split: Option<SplitHost>,
    planning: Planning,
    until: Instant,
    input: Vec<String>,
    piece_size: Option<PieceSize>,
    stdin: Option<Box<dyn Read + Send>>,
}

impl Cutting {
    async fn plan(self) -> Result<Plan, Error> {
        let (app, query, split, until) = (self.app.clone(), self.query.clone(), self.split.clone(), self.until);
        let over = CancelOnDrop::default();
        let cut = match self.input.is_empty() && app.source.is_quick(query.len()) {
            true => self.cut(&over.0),
            false => {
                let over = over.0.clone();
                let permit = self.planning.permit().await.map_err(|closed| Error::Source(Box::new(closed)))?;
                let cutting = tokio::task::spawn_blocking(move || {
                    // Held until the thread is free, though nobody may be waiting any more.
                    let _permit = permit;
                    self.cut(&over)
                });
                cutting.await.map_err(|lost| Error::Source(Box::new(lost)))?
            }
        };
        match cut.map_err(source)? {
            Cut::Ready { partitions, query: inner, notes } if inner != query => {
                Ok(Plan::new(partitions)?.asking(inner).noting(notes))
            }
            Cut::Ready { partitions, notes, .. } => Ok(Plan::new(partitions)?.noting(notes)),
            Cut::Split { query, wanted } => {
                let Some(split) = split else {
                    return Err(Error::Source(Box::new(Why("the app has no split component"))));
                };
                let pieces = split.split(query, wanted, until).await.map_err(Error::Split)?;
                Plan::new(app.from_split(pieces).map_err(source)?)
            }
        }
    }

    fn cut(self, over: &AtomicBool) -> Result<Cut, AppError> {
        let is_over = || over.load(Ordering::Relaxed) || Instant::now() >= self.until;
        self.app.partitions(Inputs {
            query: &self.query,
            slots: self.slots,
            piece_size: self.piece_size,
            input: &self.input,
            is_over: Some(&is_over),
            stdin: self.stdin,
        })
    }
}

/// Tells the thread that looks for files that nobody waits for them any more.
#[derive(Default)]
struct CancelOnDrop(Arc<AtomicBool>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn source(error: AppError) -> Error {
    Error::Source(Box::new(error))
}
