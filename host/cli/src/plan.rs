//! `frond plan`: how many leaves an app's queries should have, from recordings or from queries that
//! it runs.

mod calibrate;
mod measurements;

use anyhow::{Context, bail};
use frond_app::{App, Source as Partitions};
use frond_plan::{Division, Input, Inputs, Plan, Source, plan};
use frond_root::Floor;
use frond_run::usual_slots;
use frond_sandbox::component;
use frond_sandbox::inspect::report;
use frond_sandbox::inspect::report::Import;
use serde::Serialize;

use self::calibrate::calibrate;
use self::measurements::Measurements;
use crate::args::{OutputMode, PlanArgs};
use crate::exit::{Exit, MachineFault};
use crate::out::print;
use crate::record::read;
use crate::show::model::build::Builder;
use crate::show::plan as view;
use crate::show::style::TermStyle;
use crate::show::text::plural;

/// Runs the verb.
///
/// # Errors
/// When the command line, the app or a recording is wrong, or nothing could be measured.
pub(crate) fn run(args: &PlanArgs) -> anyhow::Result<Exit> {
    let Basis { inputs, words } = match &args.app {
        Some(_) => of_app(args)?,
        None => without_app(args)?,
    };
    let plan = plan(&inputs);
    let text = match args.format {
        OutputMode::Text => view::plan(&plan, &words, TermStyle::stdout()).into_bytes(),
        OutputMode::Json => json(&plan, &words)?,
    };
    print(&text)?;
    Ok(Exit::Whole)
}

/// Inputs of a plan, and words for where they come from.
struct Basis {
    inputs: Inputs,
    words: String,
}

/// A plan as JSON.
#[derive(Serialize)]
struct PlanEnvelope<'a> {
    basis: &'a str,
    #[serde(flatten)]
    plan: &'a Plan,
}

fn json(plan: &Plan, basis: &str) -> anyhow::Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec(&PlanEnvelope { basis, plan })
        .context(MachineFault::new("the plan could not be written"))?;
    bytes.push(b'\n');
    Ok(bytes)
}

fn without_app(args: &PlanArgs) -> anyhow::Result<Basis> {
    if args.sla.is_none() && args.leaves.is_none() {
        bail!(
            "there is nothing to plan\n\
             (name an app: frond plan APP; or promise an availability: --sla 97% --leaf-availability 99%)"
        );
    }
    if args.leaf_availability.is_none() {
        bail!(
            "without an app, the availability of a leaf is unknown\n\
             (give it: --leaf-availability 99%; or name an app: frond plan APP)"
        );
    }
    Ok(Basis { inputs: promised(args), words: "computed from the given probabilities, without an app".to_owned() })
}

/// Returns the inputs that the arguments give.
fn promised(args: &PlanArgs) -> Inputs {
    let usual = Inputs::default();
    Inputs {
        leaf_availability: args.leaf_availability.map_or(usual.leaf_availability, Input::given),
        attempts: args.attempts.map_or(usual.attempts, Input::given),
        sla: args.sla.map(Input::given),
        floor: args.floor.map_or(usual.floor, |floor| Input::given(share(floor))),
        deadline: args.deadline.map(|time| Input::given(time.as_secs_f64())),
        leaves: args.leaves.map(Input::given),
        ..Inputs::default()
    }
}

fn of_app(args: &PlanArgs) -> anyhow::Result<Basis> {
    let Some(path) = &args.app else { return without_app(args) };
    let app = App::load(path)?;
    let (measured, source, words) = if args.recording.is_empty() {
        let found = calibrate(args, &app)?;
        (found.measured, Source::Calibration, found.words)
    } else {
        (recorded(args, &app)?, Source::Recording, plural(args.recording.len() as u64, "recording", "recordings"))
    };
    let division = division(&app, &measured);
    let Some(mut workload) = measured.workload(source, division) else {
        bail!(
            "no leaf of `{}` has succeeded, so there is nothing to plan from\n(frond query {0} says why)",
            path.display()
        );
    };
    workload.memory = args.memory.map(Input::given);
    let given = promised(args);
    let of_app = |floor: Floor| Input::certain(share(floor), Source::App);
    let inputs = Inputs {
        leaf_availability: match args.leaf_availability {
            None => measured.availability(source).unwrap_or(given.leaf_availability),
            Some(_) => given.leaf_availability,
        },
        attempts: args.attempts.map_or(Input::certain(app.retry.query().attempts, Source::App), Input::given),
        floor: if args.floor.is_some() { given.floor } else { of_app(app.floor) },
        slots: Some(slots(args)),
        throughputs: measured.throughputs(),
        workload: Some(workload),
        ..given
    };
    Ok(Basis { inputs, words: format!("{}: measured in {words}", app.name) })
}

/// Returns the share of the weight that a floor needs.
fn share(floor: Floor) -> f64 {
    match floor {
        Floor::All => 1.0,
        Floor::AtLeast(share) => share,
        Floor::BestEffort => 0.0,
    }
}

/// Returns the slots to plan for.
fn slots(args: &PlanArgs) -> Input<u64> {
    let each = args.slots.map_or_else(usual_slots, usize::from) as u64;
    let slots = each.saturating_mul(u64::from(args.workers.unwrap_or(1)));
    let is_given = args.slots.is_some() || args.workers.is_some();
    if is_given { Input::given(slots) } else { Input::certain(slots, Source::Machine) }
}

/// Returns how an app's work divides: partitions of a list, of a query or of a split are fixed.
fn division(app: &App, measured: &Measurements) -> Input<Division> {
    let division = match app.source {
        _ if measured.is_cut => Division::Cut,
        Partitions::Files { .. } | Partitions::Stdin { .. } | Partitions::Range { .. } => Division::Divisible,
        _ => Division::Fixed,
    };
    Input::certain(division, Source::App)
}

fn recorded(args: &PlanArgs, app: &App) -> anyhow::Result<Measurements> {
    let mut measured = Measurements::default();
    // A component that cannot be read is no reason to refuse recordings.
    let leaf = component::read(&app.leaf.path).ok().and_then(|bytes| report(&bytes).ok());
    measured.is_cut = leaf.is_some_and(|leaf| leaf.asks.contains(&Import::Pieces));
    for file in &args.recording {
        let mut builder = Builder::default();
        read(file, |event| builder.take(&event))?;
        measured.add(&builder.build());
    }
    Ok(measured)
}
