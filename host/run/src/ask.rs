//! Runs one query, from its bytes to its answer.

use std::io::Read;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use frond_app::{App, AppError, Cut, Inputs, PieceSize};
use frond_root::{Answer, CancellationToken, CopySettings, Error, Events, Plan, Request, Tenant, flow};
use frond_sandbox::SplitHost;

use crate::error::{RunError, Why};
use crate::planning::Planning;
use crate::wire::Wired;

/// Callback that receives a plan and returns it or another one.
pub type Replan = Box<dyn FnOnce(Plan) -> Result<Plan, Error> + Send>;

/// A query with the source of its partitions.
pub struct Question {
    /// Bytes of the query, and the promises to keep: see [`Wired::request`].
    pub request: Request,
    /// Globs, files or folders that replace the app's source; a single `-` is stdin.
    pub input: Vec<String>,
    /// Size of the pieces of files; `None` leaves it to the app.
    pub piece_size: Option<PieceSize>,
    /// Reader for a source that reads stdin; `None` for a query that must not read it.
    pub stdin: Option<Box<dyn Read + Send>>,
    /// Callback that may replace the plan.
    pub planned: Option<Replan>,
}

impl Question {
    /// A question to the app's own source.
    #[must_use]
    pub fn new(request: Request) -> Self {
        Self { request, input: Vec::new(), piece_size: None, stdin: None, planned: None }
    }
}

impl Wired {
    /// Makes a request with the app's promises and limits.
    #[must_use]
    pub fn request(&self, query: &Bytes) -> Request {
        let app = &self.app;
        let worst = (self.runner.own_slots() as u64).saturating_mul(app.limits.leaf.output).saturating_mul(3) / 2;
        let partials = if app.limits.partials == frond_app::AppLimits::default().partials {
            // The default grows with the slots: otherwise a host with many cores would refuse every query.
            app.limits.partials.max(worst.saturating_mul(2))
        } else {
            app.limits.partials
        };
        Request {
            deadline: app.deadline,
            floor: app.floor,
            required: app.required.clone(),
            order: app.order,
            leaf_time: Some(app.leaf_time()),
            leaf_output: app.limits.leaf.output,
            partials_memory: partials,
            retry: app.retry.query(),
            copies: CopySettings { is_on: app.retry.allows_copies(&app.grants), history: Some(self.history.clone()) },
            ..Request::new(app.name.clone(), query.clone())
        }
    }
}

/// Runs the query in its own task, which continues if the caller stops waiting. Needs a tokio
/// runtime. `cancel` ends it early with the partials it has.
///
/// # Errors
/// An error that stops the query before it has an answer.
pub async fn ask(
    wired: &Wired,
    question: Question,
    events: Events,
    cancel: CancellationToken,
) -> Result<Answer, RunError> {
    let wired = wired.clone();
    let task = tokio::spawn(async move { answer(&wired, question, events, cancel).await });
    task.await.map_err(|lost| RunError::machine("the query's task was lost", lost))?
}

/// Runs the query within the caller's task: dropping the future stops the query.
///
/// # Errors
/// An error that stops the query before it has an answer.
pub async fn answer(
    wired: &Wired,
    question: Question,
    events: Events,
    cancel: CancellationToken,
) -> Result<Answer, RunError> {
    let request = question.request.clone();
    let services = wired.services(&request, events);
    Ok(flow::run(request, plan(wired, question), services, cancel).await?)
}

/// Makes the plan of a query.
///
/// # Errors
/// An error that stops the query before it is scattered.
pub async fn plan(wired: &Wired, question: Question) -> Result<Plan, Error> {
    let Question { request, input, piece_size, stdin, planned } = question;
    let cutting = Cutting {
        app: wired.app.clone(),
        query: request.query.clone(),
        slots: wired.runner.slots(),
        most: request.partitions,
        split: wired.split(&request),
        planning: wired.planning.clone(),
        tenant: request.tenant.clone(),
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

/// Inputs of one planning run.
struct Cutting {
    app: Arc<App>,
    query: Bytes,
    slots: usize,
    most: usize,
    split: Option<SplitHost>,
    planning: Planning,
    tenant: Tenant,
    until: Instant,
    input: Vec<String>,
    piece_size: Option<PieceSize>,
    stdin: Option<Box<dyn Read + Send>>,
}

impl Cutting {
    async fn plan(self) -> Result<Plan, Error> {
        let app = self.app.clone();
        let query = self.query.clone();
        let split = self.split.clone();
        let until = self.until;
        // Stops the thread that searches for files once nobody waits for it.
        let cancel = CancellationToken::new();
        let _guard = cancel.clone().drop_guard();
        let cut = if self.input.is_empty() && app.source.is_quick(query.len()) {
            self.cut(cancel)
        } else {
            let permit = self.planning.permit(&self.tenant).await;
            let cutting = tokio::task::spawn_blocking(move || {
                // Held until the thread is free, even if nobody waits any more.
                let _permit = permit;
                self.cut(cancel)
            });
            cutting.await.map_err(|lost| Error::Source(Box::new(lost)))?
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

    fn cut(self, cancel: CancellationToken) -> Result<Cut, AppError> {
        self.app.partitions(Inputs {
            query: &self.query,
            slots: self.slots,
            most: self.most,
            piece_size: self.piece_size,
            input: &self.input,
            cancel,
            stdin: self.stdin,
        })
    }
}

fn source(error: AppError) -> Error {
    Error::Source(Box::new(error))
}
