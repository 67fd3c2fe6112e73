//! `frond query`: one query against an app on this machine.

mod envelope;
mod input;

use std::io::{ErrorKind, IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anyhow::{Context, anyhow};
use bytes::Bytes;
use frond_app::{App, AppError, Cut};
use frond_root::{Answer, Cancel, Error, Events, Listener, PartitionKey, Plan, Request, Root, flow};
use frond_sandbox::SplitHost;
use tokio::runtime::Runtime;

use crate::args::{Format, QueryArgs};
use crate::exit::{Exit, Machine};
use crate::record::Recorder;
use crate::show::look::Look;
use crate::show::progress::{Mode, Progress};
use crate::show::summary::{Extras, Verdict, summary};
use crate::show::totals::Totals;
use crate::wire::{Wired, wire};

/// Runs the verb.
///
/// # Errors
/// What stops the query before it runs: a wrong command line, app or input.
pub(crate) fn run(args: &QueryArgs) -> anyhow::Result<Exit> {
    let app = App::load(&args.app)?;
    let query = input::query(args, &app)?;
    if args.build {
        app.build()?;
    }
    let slots = slots(args);
    let runtime = runtime()?;
    let wired = wire(&app, slots, runtime.handle())?;
    tell_loading(args, &wired);
    let request = request(args, &app, &query, slots);
    let views = Views::open(args)?;
    let answer = ask(&runtime, Asked { args, app, query, wired, request, views: &views });
    // A guest that is stuck in unbounded host work would otherwise hold the process up at its end.
    runtime.shutdown_background();
    finish(args, answer?, &views)
}

/// Two threads are enough: leaves and merges have their own.
fn runtime() -> anyhow::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()
        .context(Machine::new("the runtime could not be started"))
}

fn slots(args: &QueryArgs) -> usize {
    match args.slots {
        Some(slots) => usize::from(slots),
        None => std::thread::available_parallelism().map_or(1, usize::from),
    }
}

fn request(args: &QueryArgs, app: &App, query: &Bytes, slots: usize) -> Request {
    let mut required = app.required.clone();
    required.extend(args.require.iter().map(|key| PartitionKey::from(key.as_str())));
    let worst = (slots as u64).saturating_mul(app.limits.leaf.output).saturating_mul(3) / 2;
    let partials = match app.limits.partials == frond_app::Limits::default().partials {
        // A default that a machine with many cores would refuse to start with serves nobody.
        true => app.limits.partials.max(worst.saturating_mul(2)),
        false => app.limits.partials,
    };
    Request {
        deadline: args.deadline.unwrap_or(app.deadline),
        floor: args.floor.unwrap_or(app.floor),
        required,
        order: app.order,
        slots,
        leaf_time: app.limits.leaf.time,
        leaf_output: app.limits.leaf.output,
        partials_memory: partials,
        ..Request::new(app.name.clone(), query.clone())
    }
}

/// Who watches a query.
struct Views {
    progress: Progress,
    recorder: Option<Arc<Recorder>>,
    totals: Option<Arc<Totals>>,
}

impl Views {
    fn open(args: &QueryArgs) -> anyhow::Result<Self> {
        let recorder = args.record.as_ref().map(|path| {
            let created = Recorder::create(path);
            created.with_context(|| format!("cannot record to `{}`", path.display()))
        });
        Ok(Self {
            progress: Progress::stderr(args.progress),
            recorder: recorder.transpose()?.map(Arc::new),
            totals: args.stats.then(Arc::default),
        })
    }

    fn events(&self) -> Events {
        let recorder = self.recorder.clone().map(|one| one as Arc<dyn Listener>);
        let totals = self.totals.clone().map(|one| one as Arc<dyn Listener>);
        Events::new([self.progress.listener(), recorder, totals].into_iter().flatten().collect())
    }
}

/// Everything that one query needs.
struct Asked<'a> {
    args: &'a QueryArgs,
    app: App,
    query: Bytes,
    wired: Wired,
    request: Request,
    views: &'a Views,
}

fn ask(runtime: &Runtime, asked: Asked<'_>) -> anyhow::Result<Answer> {
    let cancel = Cancel::default();
    cancel_on_interrupt(cancel.clone())?;
    let root = Root { runner: asked.wired.runner, merger: asked.wired.merger, events: asked.views.events() };
    let cutting = Cutting {
        app: Arc::new(asked.app),
        input: asked.args.input.clone(),
        piece_size: asked.args.piece_size,
        query: asked.query,
        slots: asked.request.slots,
        split: asked.wired.split,
        until: Instant::now() + asked.request.deadline,
    };
    let request = asked.request;
    let task = runtime.spawn(async move { flow::run(request, cutting.plan(), root, cancel).await });
    let answer = runtime.block_on(task).context(Machine::new("the query's task was lost"))?;
    answer.map_err(|error| match error {
        // By its own type again: it decides the exit code.
        Error::Source(source) => match source.downcast::<AppError>() {
            Ok(wrong) => anyhow::Error::new(*wrong),
            Err(lost) => anyhow::Error::from_boxed(lost).context(Machine::new("the query's work could not be cut")),
        },
        other => other.into(),
    })
}

/// The first interrupt cancels, and what is there is answered; the second quits.
fn cancel_on_interrupt(cancel: Cancel) -> anyhow::Result<()> {
    let again = AtomicBool::new(false);
    ctrlc::set_handler(move || {
        if again.swap(true, Ordering::SeqCst) {
            std::process::exit(Exit::Interrupted as i32);
        }
        cancel.cancel();
    })
    .context(Machine::new("interrupts could not be taken over"))
}

/// A query's work on its way to a plan.
struct Cutting {
    app: Arc<App>,
    input: Option<String>,
    piece_size: Option<frond_app::PieceSize>,
    query: Bytes,
    slots: usize,
    split: Option<SplitHost>,
    until: Instant,
}

impl Cutting {
    async fn plan(self) -> Result<Plan, Error> {
        let (app, query, split, until) = (self.app.clone(), self.query.clone(), self.split.clone(), self.until);
        let cut =
            tokio::task::spawn_blocking(move || self.cut()).await.map_err(|lost| Error::Source(Box::new(lost)))?;
        match cut.map_err(source)? {
            Cut::Ready { partitions, query: inner } if inner != query => Ok(Plan::new(partitions)?.asking(inner)),
            Cut::Ready { partitions, .. } => Plan::new(partitions),
            Cut::Split { query, wanted } => {
                let Some(split) = split else {
                    return Err(Error::Source(anyhow!("the app has no split component").into()));
                };
                let pieces = split.split(query, wanted, until).await.map_err(Error::Split)?;
                Plan::new(app.from_split(pieces).map_err(source)?)
            }
        }
    }

    fn cut(self) -> Result<Cut, AppError> {
        let stdin = || -> Box<dyn std::io::Read + Send> { Box::new(std::io::stdin()) };
        self.app.partitions(frond_app::Inputs {
            query: &self.query,
            slots: self.slots,
            piece_size: self.piece_size,
            input: self.input.as_deref(),
            stdin: input::reads_stdin(self.input.as_deref(), &self.app).then(stdin),
        })
    }
}

fn source(error: AppError) -> Error {
    Error::Source(Box::new(error))
}

fn tell_loading(args: &QueryArgs, wired: &Wired) {
    for warning in &wired.warnings {
        eprintln!("warning: {warning}");
    }
    if args.progress != Mode::None && args.progress != Mode::Json {
        for (path, took) in &wired.compiled {
            eprintln!("compiled {} in {:.2} s", path.display(), took.as_secs_f64());
        }
    }
}

fn finish(args: &QueryArgs, answer: Answer, views: &Views) -> anyhow::Result<Exit> {
    views.progress.finish();
    let printed = match args.format {
        Format::Answer => answer.body().cloned().unwrap_or_default(),
        Format::Json => envelope::envelope(&answer)?,
    };
    print(&printed)?;
    let told = args.stats || !matches!(answer, Answer::Complete { .. }) || std::io::stderr().is_terminal();
    if told && args.progress != Mode::Json {
        let extras =
            Extras { stats: views.totals.as_ref().map(|totals| totals.sums()), recorded: args.record.as_deref() };
        eprint!("{}", summary(Verdict::from(&answer), extras, Look::stderr()));
    }
    if let (Some(recorder), Some(path)) = (&views.recorder, &args.record) {
        let kept = recorder.finish();
        kept.with_context(|| Machine::new(format!("the recording `{}` is incomplete", path.display())))?;
    }
    Ok(Exit::from(&answer))
}

/// Writes the answer. A reader that has gone away, such as `head`, has had enough: that is no error.
fn print(bytes: &[u8]) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    let written = out.write_all(bytes).and_then(|()| match bytes.last() {
        Some(b'\n') | None => Ok(()),
        Some(_) if out.is_terminal() => out.write_all(b"\n"),
        Some(_) => Ok(()),
    });
    match written.and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(error).context(Machine::new("the answer could not be written"))
        }
        _ => Ok(()),
    }
}
