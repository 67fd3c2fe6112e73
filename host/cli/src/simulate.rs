//! `frond simulate`: simulates the queries of a world, or of a recorded run.

use std::path::Path;

use anyhow::{Context, anyhow};
use frond_root::{Event, Listener};
use frond_sim::{RecordedRun, World};

use crate::args::{OutputMode, SimulateArgs};
use crate::exit::Exit;
use crate::out::print;
use crate::record::{self, Recorder};
use crate::show::simulate::view;
use crate::show::style::TermStyle;

/// Runs the verb.
///
/// # Errors
/// When the file is missing, or is neither a world nor a recording that can be simulated, or the
/// events cannot be written.
pub(crate) fn run(args: &SimulateArgs) -> anyhow::Result<Exit> {
    let world = world(args)?;
    let report = frond_sim::simulate(&world).with_context(|| unusable(&args.file))?;
    let events = || frond_sim::record(&world, report.slowest.query).with_context(|| unusable(&args.file));
    match args.format {
        OutputMode::Text => print(view(&world, &report, &events()?, TermStyle::stdout()).as_bytes())?,
        OutputMode::Json => {
            let mut json = serde_json::to_vec_pretty(&report)?;
            json.push(b'\n');
            print(&json)?;
        }
    }
    if let Some(path) = &args.record {
        write(path, &events()?)?;
    }
    Ok(Exit::Whole)
}

/// Reads the world, and changes it as the command line asks.
fn world(args: &SimulateArgs) -> anyhow::Result<World> {
    let is_world = args.file.extension().is_some_and(|extension| extension == "toml");
    let mut world = if is_world { of_file(&args.file)? } else { of_recording(&args.file)? };
    world.seed = args.seed.unwrap_or(world.seed);
    world.arrivals.queries = args.queries.unwrap_or(world.arrivals.queries);
    if let Some(workers) = args.workers {
        world.set_workers(workers as usize);
    }
    if let Some(slots) = args.slots {
        world.set_slots(slots);
    }
    Ok(world)
}

fn of_file(path: &Path) -> anyhow::Result<World> {
    let text = frond_files::read_text(path, frond_sim::MAX_FILE)
        .with_context(|| format!("cannot read the world `{}`", path.display()))?;
    frond_sim::parse(&text).map_err(|why| anyhow!("{}: {why}", path.display()))
}

fn of_recording(path: &Path) -> anyhow::Result<World> {
    let mut run = RecordedRun::default();
    record::read(path, |event| run.add(&event))?;
    frond_sim::replayed(&run).with_context(|| unusable(path))
}

fn unusable(path: &Path) -> String {
    format!("cannot simulate `{}`", path.display())
}

/// Writes events as a recording.
fn write(path: &Path, events: &[Event]) -> anyhow::Result<()> {
    let recorder = Recorder::create(path).with_context(|| format!("cannot write `{}`", path.display()))?;
    events.iter().for_each(|event| recorder.event(event));
    recorder.finish()?;
    Ok(())
}
