//! `frond query`: runs one query against an app on this machine.

mod capture;
pub(crate) mod input;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use bytes::Bytes;
use frond_app::App;
use frond_root::{Answer, CancellationToken, Events, Listener, PartitionKey, Request};
use frond_run::envelope::warning;
use frond_run::laws::Laws;
use frond_run::{Machine, Question, RunError, USUAL_SPARES, WaitLimits, Wired, ask, envelope, usual_slots, wire};
use tokio::runtime::Runtime;

use self::capture::PlanCell;
use crate::args::{Format, QueryArgs};
use crate::exit::{Exit, MachineFault};
use crate::loading;
use crate::out;
use crate::record::Recorder;
use crate::show::progress::{Mode, Progress};
use crate::show::style::TermStyle;
use crate::show::summary::{Extras, Verdict, notes, summary};
use crate::show::totals::Totals;
use crate::signals;
use crate::worker;

/// Runs the verb.
///
/// # Errors
/// When the command line, the app or the input is wrong, or the output cannot be written.
pub(crate) fn run(args: &QueryArgs) -> anyhow::Result<Exit> {
    input::hint(args);
    let app = App::load(&args.app)?;
    let query = input::query(args, &app)?;
    if args.build {
        app.build()?;
    }
    let runtime = runtime()?;
    let machine = machine(args)?.isolating(runtime.handle(), USUAL_SPARES);
    let (machine, crew) = worker::crew(&args.workers, machine, runtime.handle())?;
    let (wired, warnings) = loading::loaded(args.progress, |tell| wire(&app, &machine, runtime.handle(), tell))?;
    out::warn(warnings);
    let request = promises(args, &wired, &query);
    let views = Views::open(args)?;
    let planned = PlanCell::default();
    let answer = ask_it(&runtime, args, &wired, request, &views, &planned);
    crew.iter().for_each(|crew| runtime.block_on(crew.leave()));
    drop(crew);
    // Otherwise a guest stuck in unbounded host work would keep the process from ending.
    runtime.shutdown_background();
    let answer = answer?;
    let exit = finish(args, &answer, &views, &wired)?;
    if let Some(dir) = &args.capture_failures {
        capture::keep(dir, &wired, &planned, &query, &answer)?;
    }
    Ok(exit)
}

/// Returns a runtime of two threads: leaves and merges have their own threads.
pub(crate) fn runtime() -> anyhow::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context(MachineFault::new("the runtime could not be started"))
}

/// Returns a machine with room for the leaves that the arguments ask for.
fn machine(args: &QueryArgs) -> Result<Machine, RunError> {
    let usual = WaitLimits::default();
    let waiting = WaitLimits {
        leaves: args.waiting.map_or(usual.leaves, |leaves| leaves as usize),
        memory: args.waiting_memory.unwrap_or(usual.memory),
    };
    Ok(Machine::new(args.slots.map_or_else(usual_slots, usize::from))?.with_waiting(waiting))
}

fn promises(args: &QueryArgs, wired: &Wired, query: &Bytes) -> Request {
    let request = wired.request(query);
    let mut required = request.required;
    required.extend(args.require.iter().map(|key| PartitionKey::from(key.as_str())));
    let deadline = args.deadline.unwrap_or(request.deadline);
    // The user of this command owns the machine, so a longer deadline lifts a leaf's default time
    // limit.
    let leaf_time =
        request.leaf_time.map(|time| if wired.app.limits.leaf_time.is_none() { time.max(deadline) } else { time });
    Request { deadline, leaf_time, floor: args.floor.unwrap_or(request.floor), required, ..request }
}

/// Listeners of a query's events.
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

fn ask_it(
    runtime: &Runtime,
    args: &QueryArgs,
    wired: &Wired,
    request: Request,
    views: &Views,
    planned: &PlanCell,
) -> anyhow::Result<Answer> {
    let cancel = CancellationToken::new();
    cancel_on_interrupt(cancel.clone())?;
    let stdin = || -> Box<dyn std::io::Read + Send> { Box::new(std::io::stdin()) };
    let question = Question {
        input: args.input.clone(),
        piece_size: args.piece_size,
        stdin: input::reads_stdin(&args.input, &wired.app).then(stdin),
        planned: args.capture_failures.is_some().then(|| planned.hook()),
        ..Question::new(request)
    };
    Ok(runtime.block_on(ask(wired, question, views.events(), cancel))?)
}

/// The first interrupt cancels the query, which then answers from the partials it has. The second
/// one quits.
fn cancel_on_interrupt(cancel: CancellationToken) -> anyhow::Result<()> {
    let again = AtomicBool::new(false);
    signals::at_each_ending(move || {
        if again.swap(true, Ordering::SeqCst) {
            std::process::exit(Exit::Interrupted as i32);
        }
        cancel.cancel();
    })
}

fn finish(args: &QueryArgs, answer: &Answer, views: &Views, wired: &Wired) -> anyhow::Result<Exit> {
    views.progress.finish();
    let laws = wired.laws;
    let content_type = wired.app.content_type.as_str();
    let printed = match args.format {
        Format::Answer => answer.body().cloned().unwrap_or_default(),
        Format::Json => envelope(answer, content_type, laws)?,
    };
    out::answer(&printed)?;
    out::warn(warning(answer, content_type));
    let show_summary = args.stats || !matches!(answer, Answer::Complete { .. }) || out::stderr_is_terminal();
    if show_summary && args.progress != Mode::Json {
        let written = views.totals.as_ref().map(|totals| totals.written());
        let extras = Extras {
            stats: views.totals.as_ref().map(|totals| totals.sums()),
            written: written.as_ref(),
            recorded: args.record.as_deref(),
        };
        out::message(&summary(Verdict::from(answer), extras, TermStyle::stderr()));
    } else if args.progress != Mode::Json {
        out::message(&notes(answer.coverage(), TermStyle::stderr()));
    }
    if let (Some(recorder), Some(path)) = (&views.recorder, &args.record) {
        let finished = recorder.finish();
        finished.with_context(|| MachineFault::new(format!("the recording `{}` is incomplete", path.display())))?;
    }
    let verbose = args.stats || out::stderr_is_terminal();
    if !matches!(args.progress, Mode::None | Mode::Json) && (verbose || laws == Laws::Broken) {
        tell_laws(args, laws);
    }
    Ok(Exit::from(answer))
}

fn tell_laws(args: &QueryArgs, laws: Laws) {
    let app = args.app.display();
    match laws {
        Laws::Hold => {}
        Laws::Broken => errln!(
            "warning: a law of this app's merge or leaf does not hold: its answers may differ from run to run\n\
             (frond test {app} says which)"
        ),
        Laws::Unchecked => errln!(
            "note: nobody has checked yet that this app's answers are the same in any order of arrival\n\
             (frond test {app} does)"
        ),
    }
}
