//! Command line of `frond`, as written.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Arg, Args, Command, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use frond_app::PieceSize;
use frond_app::size::{parse_duration, parse_size};
use frond_root::Floor;

use crate::show::progress::Mode;

mod bench;
mod compile;
mod doctor;
mod inspect;
mod jobs;
mod new;
mod plan;
mod replay;
mod run_test;
mod serve;
mod simulate;
mod test;
mod worker;
mod workers;

pub use bench::{BenchArgs, ProfileBy};
pub use compile::CompileArgs;
pub use doctor::DoctorArgs;
pub use inspect::{InspectArgs, OutputMode};
pub use jobs::{
    CancelArgs, DeleteArgs, JobsArgs, JobsVerb, ListArgs, RedriveArgs, Remote, ResultArgs, ServerArgs, ShowArgs,
    SubmitArgs, WatchArgs,
};
pub use new::{Kind, Language, NewArgs};
pub use plan::PlanArgs;
pub use replay::ReplayArgs;
pub use run_test::RunTestArgs;
pub use serve::{ServeArgs, ServeRole, TokenArgs, TokenRole};
pub use simulate::SimulateArgs;
pub use test::TestArgs;
pub use worker::{BrokerArgs, WorkerArgs, WorkersArgs};
pub use workers::{WorkerDrainArgs, WorkerNameArgs, WorkersVerb, WorkersVerbArgs};

const EXIT_CODES: &str = "\
Exit codes:
  0   the answer is whole
  3   the answer is partial, and above the floor
  4   no answer: too little arrived, or a required partition is missing
  5   no answer: nothing arrived before the deadline
  6   no answer: the merge or the split failed
  64  the command line, the app or its input is wrong
  65  a plugin, or the app's source, refused the query
  69  the broker of the workers cannot be reached
  70  a bug in Frond, or a machine that does not let Frond work
  130 interrupted twice";

/// Scatter-gather over WebAssembly leaves: cuts a query's work into partitions, runs a sandboxed
/// leaf on each, gathers until the deadline, merges, and answers with an exact account of what is
/// missing.
#[derive(Debug, Parser)]
#[command(
    name = "frond",
    version,
    after_help = "Example:\n  frond query examples/rail '{\"from\":\"London\",\"budget\":60}'"
)]
pub struct Cli {
    /// The verb.
    #[command(subcommand)]
    pub verb: Verb,
}

impl Cli {
    /// Reads a command line, whose first word is the program's name.
    ///
    /// # Errors
    /// The reason why it is invalid; or the help, or the version, that it asks for.
    pub fn read(line: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        let mut command = with_negatives(Self::command());
        let mut matches = command.try_get_matches_from_mut(line)?;
        Self::from_arg_matches_mut(&mut matches).map_err(|error| error.format(&mut command))
    }
}

/// Has options take a negative number as their value, so that the error says what is wrong with it:
/// clap takes it for an unknown option otherwise.
fn with_negatives(command: Command) -> Command {
    let takes_values = |arg: &Arg| arg.get_action().takes_values();
    let command = command.mut_args(|arg| if takes_values(&arg) { arg.allow_negative_numbers(true) } else { arg });
    command.mut_subcommands(with_negatives)
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Runs a query on an app, and prints the answer.
    Query(Box<QueryArgs>),
    /// Serves every app of a folder over HTTP, with a web page about them.
    Serve(Box<ServeArgs>),
    /// Runs queries as jobs, which outlive their request: submits, watches and cancels jobs, and
    /// gets their answers.
    Jobs(JobsArgs),
    /// Runs leaves for queries on any hosts that use the same broker.
    Worker(Box<WorkerArgs>),
    /// Lists and drains the workers of a server.
    Workers(WorkersVerbArgs),
    /// Makes a token for a server, and the lines for the server's settings.
    Token(TokenArgs),
    /// Makes a folder with an app or a plugin in one of four languages, which builds and passes its
    /// cases as it is.
    New(NewArgs),
    /// Runs an app's build commands, and checks the components they make.
    Build(BuildArgs),
    /// Tests a plugin or an app under exactly the limits of production: its cases, and the laws of
    /// its leaf and merge.
    Test(Box<TestArgs>),
    /// Measures a plugin's cases: fuel, time, memory, throughput.
    Bench(Box<BenchArgs>),
    /// Repeats a call that failed in production, from a capture of --capture-failures.
    Replay(ReplayArgs),
    /// Explains a recorded query: waterfall, critical path, stragglers, quantiles.
    Explain(ExplainArgs),
    /// Plans an app's queries: how many leaves they should have, how long they take, what they cost,
    /// and how often they are answered.
    Plan(Box<PlanArgs>),
    /// Simulates queries in virtual time: of a world in a file, or of a recorded query.
    Simulate(SimulateArgs),
    /// Describes a component: the roles it fits, what it imports and needs, and how it differs from
    /// the contract.
    Inspect(InspectArgs),
    /// Checks what this machine lacks to build plugins in each language, and to run plugins fast.
    Doctor(DoctorArgs),
    /// Compiles the component on stdin, as a child process of the other verbs.
    #[command(hide = true)]
    Compile(CompileArgs),
    /// Runs the test binary of a guest's crate in the sandbox: a runner for `cargo test` and
    /// nextest.
    RunTest(RunTestArgs),
}

/// `frond query`.
#[derive(Debug, Args)]
#[command(after_help = format!("{EXIT_CODES}\n\nExamples:\n  \
    frond query examples/rail '{{\"from\":\"London\",\"budget\":60}}' --deadline 500ms --floor 0.6\n  \
    frond query examples/grep '{{\"pattern\":\"unsafe\"}}' --input 'src/**/*.rs' --stats\n  \
    frond query examples/wordcount @query.json --input - < book.txt"))]
pub struct QueryArgs {
    /// The app: a folder with a frond.toml.
    #[arg(value_name = "APP")]
    pub app: PathBuf,

    /// The query's bytes; `@FILE` reads them from a file, `-` from stdin. Empty if left out.
    #[arg(value_name = "QUERY | @FILE | -")]
    pub query: Option<OsString>,

    /// Time from the start to the answer, such as 500ms or 2s [default: the app's].
    #[arg(long, value_parser = parse_deadline, value_name = "TIME")]
    pub deadline: Option<Duration>,

    /// Least coverage of an answer: `all`, `best-effort`, or a share of the weight such as 0.8 or
    /// 80% [default: the app's].
    #[arg(long, value_parser = parse_floor, value_name = "FLOOR")]
    pub floor: Option<Floor>,

    /// A partition that the answer must contain; may be given more than once. Adds to the app's.
    #[arg(long, value_name = "KEY")]
    pub require: Vec<String>,

    /// Number of leaves that run at once [default: the number of cores, at least 2].
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=i64::from(frond_run::MAX_SLOTS)), value_name = "N")]
    pub slots: Option<u16>,

    /// Number of leaves for each slot that may wait for something outside, such as an answer of an
    /// API, while the slot runs another one; 0 lets them wait in their slots [default: 256].
    #[arg(long, value_name = "N")]
    pub waiting: Option<u32>,

    /// Memory by which waiting leaves may let this process grow, such as 512MiB [default: 1GiB].
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub waiting_memory: Option<u64>,

    /// Workers that run the leaves.
    #[command(flatten)]
    pub workers: WorkersArgs,

    /// Size of the pieces of files, such as 1MiB, or `auto` [default: the app's].
    #[arg(long, value_name = "SIZE")]
    pub piece_size: Option<PieceSize>,

    /// A glob, file or folder that replaces the app's source; `-` is stdin. May be given more than
    /// once. Quote a glob, so that the shell does not expand it.
    #[arg(long, value_name = "GLOB")]
    pub input: Vec<String>,

    /// Runs the app's build commands first.
    #[arg(long)]
    pub build: bool,

    /// `answer` prints the answer's bytes, `json` an envelope with the answer, its coverage and
    /// timings.
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,

    /// Progress display on stderr while the query runs.
    #[arg(long, value_enum, default_value_t)]
    pub progress: Mode,

    /// Adds attempts, fuel, memory and stragglers to the summary on stderr.
    #[arg(long)]
    pub stats: bool,

    /// Writes all events of the query to a file, for `frond explain`.
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,

    /// Captures each failed partition in a folder below this one, for `frond replay`: at most 100.
    #[arg(long, value_name = "DIR")]
    pub capture_failures: Option<PathBuf>,
}

/// How the answer is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// The answer's bytes, as the app made them.
    #[default]
    Answer,
    /// One JSON object with the answer, the outcome and the coverage report.
    Json,
}

/// `frond build`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  frond build examples/rail")]
pub struct BuildArgs {
    /// The app: a folder with a frond.toml.
    pub app: PathBuf,
}

/// `frond explain`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  frond query examples/rail '{\"from\":\"London\",\"budget\":60}' --record run.ndjson\n  \
                        frond explain run.ndjson\n  \
                        frond explain --html run.ndjson --output run.html"
)]
pub struct ExplainArgs {
    /// A file that `frond query --record` wrote.
    pub file: PathBuf,

    /// Writes a page for a browser instead: one self-contained file, which needs no server and no
    /// network.
    #[arg(long)]
    pub html: bool,

    /// Path of the page; `-` is stdout [default: beside the recording, with the extension html].
    #[arg(long, value_name = "FILE", requires = "html")]
    pub output: Option<PathBuf>,
}

/// Remedy for a glob without quotes, which a shell expands to several arguments.
pub const QUOTE: &str = "quote a glob, so that the shell does not expand it: --input 'src/*.rs'; or repeat --input";

/// Returns the remedy for an invalid command line, if the error itself does not give it.
#[must_use]
pub fn remedy(error: &clap::Error, line: impl IntoIterator<Item = OsString>) -> Option<&'static str> {
    let is_stray = error.kind() == clap::error::ErrorKind::UnknownArgument;
    (is_stray && line.into_iter().any(|one| one == "--input")).then_some(QUOTE)
}

fn parse_deadline(text: &str) -> Result<Duration, String> {
    match parse_duration(text).map_err(|error| error.to_string())? {
        Duration::ZERO => Err("a deadline must be above 0".to_owned()),
        time => Ok(time),
    }
}

fn parse_floor(text: &str) -> Result<Floor, String> {
    text.parse()
}
