//! Apps whose leaves run on slots, in worker processes, or on workers behind a broker.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use frond_app::App;
use frond_root::{Answer, CancellationToken, Events, Floor, Request};
use frond_run::processes::PROCESS_MEMORY;
use frond_run::worker_process::{ProcessOrders, run_process};
use frond_run::{BrokerOptions, Crew, CrewSettings, Machine, Question, USUAL_SPARES, Wired, ask, wire};
use frond_testkit::Nats;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::floor::Task;
use crate::guests::top;

/// Verb with which a root starts worker processes: this program is one.
pub(crate) const CHILD: &str = "worker";
/// Query of the apps of the plugin `pi`.
pub(super) const SEED: &str = "{\"seed\":1}";
/// Source of an app whose query names its partitions.
pub(super) const KEYS: &str = "[source]\nkind = \"query\"\n";
/// Limits of leaves that count no fuel.
pub(super) const UNMETERED: &str = "[limits.leaf]\nfuel = 0\noutput = \"8MiB\"\n";
/// Deadline of all queries.
const DEADLINE: Duration = Duration::from_secs(60);
/// Time after which a fault counts as never repaired.
pub(super) const NEVER: Duration = Duration::from_secs(30);
/// Time in which the first workers join.
const PATIENCE: Duration = Duration::from_secs(10);

/// Life of a worker process that this program has started.
pub(crate) fn child(arguments: &[String]) -> anyhow::Result<()> {
    let value = |name: &str| {
        let at = arguments.iter().position(|one| one == name)?;
        arguments.get(at + 1).cloned()
    };
    let parent = value("--child").and_then(|parent| parent.parse().ok()).context("no parent")?;
    let name = value("--name").unwrap_or_default();
    let needs_wall = arguments.iter().any(|one| one == "--needs-wall");
    Ok(run_process(ProcessOrders { parent, name, slots: 1, memory: PROCESS_MEMORY, needs_wall })?)
}

/// Source of an app over a range of integers, cut into steps.
pub(super) fn range(end: u64, step: u64) -> String {
    format!("[source]\nkind = \"range\"\nstart = 0\nend = {end}\nstep = {step}\n")
}

/// Source of an app over all files of a folder, each as a whole.
pub(super) fn files(folder: &Path) -> String {
    format!("[source]\nkind = \"files\"\nglob = \"{}/*\"\ncut = \"none\"\n", folder.display())
}

/// Writes texts into a folder.
pub(super) fn texts(tasks: &[Task]) -> anyhow::Result<TempDir> {
    let folder = tempfile::tempdir()?;
    for task in tasks {
        fs::write(folder.path().join(&task.key), &task.data)?;
    }
    Ok(folder)
}

/// Query with so many partitions whose leaves return at once.
pub(super) fn keys(count: usize) -> String {
    let mut query = "{\"query\":{},\"partitions\":[".to_owned();
    for at in 0..count {
        // Writing to a string cannot fail.
        let _ = write!(query, "{}{{\"key\":\"ok-{at}\",\"data\":\"\"}}", if at == 0 { "" } else { "," });
    }
    query + "]}"
}

/// Place in which leaves run.
pub(super) enum Place {
    /// Slots of this process, this many.
    Slots(usize),
    /// Worker processes, this many.
    Processes(usize),
    /// Worker processes that are killed at deadlines, this many.
    Isolated(usize),
    /// The workers of a broker.
    Broker(String),
}

/// Folder of an app with one component as leaf and merge, and `rest` in its manifest.
pub(super) fn folder(component: &[u8], rest: &str) -> anyhow::Result<TempDir> {
    isolated_folder(component, rest, "")
}

fn isolated_folder(component: &[u8], rest: &str, isolation: &str) -> anyhow::Result<TempDir> {
    let folder = tempfile::tempdir()?;
    fs::write(folder.path().join("it.wasm"), component)?;
    let part = "component = \"it.wasm\"\n";
    let query = "[query]\ndeadline = \"60s\"\n";
    let manifest = format!("[leaf]\n{part}{isolation}[merge]\n{part}{query}{rest}");
    fs::write(folder.path().join("frond.toml"), manifest)?;
    Ok(folder)
}

/// `frond`, as `make host` builds it.
pub(super) fn frond() -> Command {
    Command::new(top().join("target/release/frond"))
}

/// An app whose leaves run in one place.
pub(super) struct Crewed {
    runtime: Runtime,
    pub(super) wired: Wired,
    pub(super) crew: Option<Crew>,
    _folder: TempDir,
    _machine: Machine,
}

impl Crewed {
    /// Loads an app with one component as leaf and merge, and `rest` in its manifest.
    pub(super) fn new(component: &[u8], rest: &str, place: Place) -> anyhow::Result<Self> {
        let isolation = if matches!(place, Place::Isolated(_)) { "isolation = \"process\"\n" } else { "" };
        let folder = isolated_folder(component, rest, isolation)?;
        let runtime = crate::rig::runtime()?;
        let slots = match place {
            Place::Slots(count) | Place::Isolated(count) | Place::Processes(count) => count,
            Place::Broker(_) => 1,
        };
        let machine = Machine::new(slots)?.isolating(runtime.handle(), USUAL_SPARES);
        let crew = crew(&place, &runtime)?;
        let machine = crew.as_ref().map_or(Ok(machine), |crew| anyhow::Ok(crew.on(Machine::new(slots)?)))?;
        let app = App::load(folder.path())?;
        let (wired, warnings) = wire(&app, &machine, runtime.handle(), &|_| {})?;
        ensure!(warnings.is_empty(), "{warnings:?}");
        Ok(Self { runtime, wired, crew, _folder: folder, _machine: machine })
    }

    /// Asks the app, and checks that the answer is whole.
    pub(super) fn ask(&self, query: &str) -> anyhow::Result<()> {
        self.ask_with(query, Events::default())
    }

    /// Asks the app as [`Crewed::ask`] does, with its events.
    pub(super) fn ask_with(&self, query: &str, events: Events) -> anyhow::Result<()> {
        match self.answer(&Bytes::copy_from_slice(query.as_bytes()), Floor::All, events)? {
            Answer::Complete { .. } => Ok(()),
            other => bail!("the answer is not whole: {other:?}"),
        }
    }

    /// Asks the app for an answer that may lack anything.
    pub(super) fn ask_partly(&self, query: &Bytes, events: Events) -> anyhow::Result<()> {
        self.answer(query, Floor::BestEffort, events).map(drop)
    }

    fn answer(&self, query: &Bytes, floor: Floor, events: Events) -> anyhow::Result<Answer> {
        let request = Request { deadline: DEADLINE, floor, ..self.wired.request(query) };
        let answer = ask(&self.wired, Question::new(request), events, CancellationToken::new());
        Ok(self.runtime.block_on(answer)?)
    }
}

fn crew(place: &Place, runtime: &Runtime) -> anyhow::Result<Option<Crew>> {
    let (processes, broker) = match place {
        Place::Slots(_) | Place::Isolated(_) => return Ok(None),
        Place::Processes(count) => (*count, None),
        Place::Broker(url) => (0, Some(BrokerOptions { url: url.clone(), ..BrokerOptions::default() })),
    };
    let settings = CrewSettings { processes, spares: USUAL_SPARES, broker, local_slots: 0 };
    let crew = Crew::start(settings, runtime.handle())?;
    runtime.block_on(crew.join())?;
    runtime.block_on(crew.joined(PATIENCE));
    Ok(Some(crew))
}

/// `frond worker` with one slot, killed on drop.
pub(super) struct HostWorker(Child);

impl Drop for HostWorker {
    fn drop(&mut self) {
        self.kill();
    }
}

impl HostWorker {
    /// Starts a worker behind the broker, and waits until it says that it is there.
    pub(super) fn start(nats: &Nats, name: &str) -> anyhow::Result<Self> {
        let mut command = frond();
        command.args(["worker", "--nats", &nats.url(), "--name", name, "--slots", "1", "--trust-roots"]);
        let mut child = command.stderr(Stdio::piped()).spawn().context("`frond` is not built (make host)")?;
        let mut lines = BufReader::new(child.stderr.take().context("no stderr")?);
        let mut line = String::new();
        while !line.contains("worker ") {
            line.clear();
            ensure!(lines.read_line(&mut line)? > 0, "the worker did not start");
        }
        // Drains the rest, so that the worker never blocks on a full pipe.
        std::thread::spawn(move || lines.lines().for_each(drop));
        Ok(Self(child))
    }

    /// Kills the worker with SIGKILL.
    pub(super) fn kill(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
