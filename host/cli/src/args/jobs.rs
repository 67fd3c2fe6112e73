//! Command lines of `frond jobs`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use frond_app::size::parse_duration;
use frond_jobs::{JobId, JobState};

use super::OutputMode;

const EXIT_CODES: &str = "\
Exit codes of `watch` and `result`, and of `submit` with --wait or --watch:
  0   the answer is whole
  3   the answer is partial
  4   no answer: too little, or not what is required, arrived, or the job was cancelled
  5   no answer: nothing arrived in time
  6   no answer: the merge or the split failed
  65  a plugin, or the app's source, refused the query
  130 interrupted: the job goes on
Of all of them:
  0   done
  64  the command line is wrong, or the server refuses it
  69  the server cannot be reached or takes nothing on now, or the job has not ended in the time given: try again later
  70  a bug in Frond, or a machine that does not let it work";

/// `frond jobs`.
#[derive(Debug, Args)]
#[command(after_help = format!("{EXIT_CODES}\n\nExamples:\n  \
    frond jobs submit rail '{{\"from\":\"London\",\"budget\":60}}' --watch\n  \
    ID=$(frond jobs submit rail @query.json --timeout 2h)\n  \
    frond jobs watch $ID && frond jobs result $ID --output answer.json\n  \
    frond jobs submit rail @query.json --watch --local examples > answer.json      # no server"))]
pub struct JobsArgs {
    /// Whom to ask.
    #[command(flatten)]
    pub remote: Remote,

    /// What to do.
    #[command(subcommand)]
    pub verb: JobsVerb,
}

/// The server, and who asks it.
#[derive(Clone, Debug, Args)]
pub struct Remote {
    /// The server [default: FROND_SERVER, else http://127.0.0.1:7300].
    #[arg(long, global = true, value_name = "URL", help_heading = "Server")]
    pub server: Option<String>,

    /// A file with nothing but the token in it [default: the token in FROND_TOKEN, if there is one].
    #[arg(long, global = true, value_name = "FILE", help_heading = "Server")]
    pub token_file: Option<PathBuf>,

    /// Root certificates in PEM form that prove an https server [default: those in SSL_CERT_FILE or SSL_CERT_DIR, else the
    /// system's].
    #[arg(long, global = true, value_name = "FILE", help_heading = "Server")]
    pub ca: Option<PathBuf>,

    /// Without a server: the jobs that `frond serve DIR` would keep. `watch`, and `submit` with --watch or --wait, then run
    /// what waits in this process, until their job has ended; stopped or killed, they go on where they were.
    #[arg(long, global = true, value_name = "DIR", help_heading = "Server")]
    pub local: Option<PathBuf>,
}

/// The verbs of `frond jobs`.
#[derive(Debug, Subcommand)]
pub enum JobsVerb {
    /// Submits a query as a job, and prints the job's id.
    Submit(Box<SubmitArgs>),
    /// Lists jobs, the newest first.
    List(ListArgs),
    /// Shows all there is to know of a job, and what is missing from its answer.
    Show(ShowArgs),
    /// Shows how a job goes on until it has ended.
    Watch(WatchArgs),
    /// Prints a job's answer.
    Result(ResultArgs),
    /// Stops a job.
    Cancel(CancelArgs),
    /// Deletes the answers, partials and events of jobs that have ended.
    Delete(DeleteArgs),
    /// Runs again what is missing from a job that has ended.
    Redrive(RedriveArgs),
}

/// `frond jobs submit`.
#[derive(Debug, Args)]
#[command(
    after_help = "Stdout has the job's id, as soon as the server has it safe; with --watch, the answer instead.\n\n\
    Examples:\n  \
    frond jobs submit rail '{\"from\":\"London\",\"budget\":60}'\n  \
    frond jobs submit rail @query.json --floor 0.9 --timeout 2h --key nightly-2026-10-01\n  \
    frond jobs submit wordcount - --watch < query.json > answer.json"
)]
pub struct SubmitArgs {
    /// The app, by its name on the server.
    #[arg(value_name = "APP", value_parser = parse_app)]
    pub app: String,

    /// The query's bytes; `@FILE` reads them from a file, `-` from stdin. Empty if left out.
    #[arg(value_name = "QUERY | @FILE | -")]
    pub query: Option<OsString>,

    /// What an answer must stand on: `all`, `best-effort`, or a share of the weight such as 0.8 or 80% [default: the app's].
    #[arg(long, value_parser = parse_floor, value_name = "FLOOR")]
    pub floor: Option<String>,

    /// A partition without which there is no answer; may be given more than once. Adds to the app's.
    #[arg(long, value_name = "KEY")]
    pub require: Vec<String>,

    /// The longest it may run, such as 90m or 12h [default: the server's].
    #[arg(long, value_parser = parse_time, value_name = "TIME")]
    pub timeout: Option<String>,

    /// How long its answer is kept, such as 48h or 7d [default: the server's].
    #[arg(long, value_parser = parse_time, value_name = "TIME")]
    pub retention: Option<String>,

    /// Its share of the leaf threads beside other jobs, twice for twice the weight [default: 1].
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1000), value_name = "N")]
    pub weight: Option<u32>,

    /// A name for this request: whoever submits the same again with the same key gets the same job.
    #[arg(long, value_parser = parse_key, value_name = "KEY")]
    pub key: Option<String>,

    /// Waits until the job has ended, or at most this long.
    #[arg(long, num_args = 0..=1, value_parser = parse_wait, value_name = "TIME", conflicts_with = "watch")]
    pub wait: Option<Option<Duration>>,

    /// Goes on as `frond jobs watch`, and then prints the answer.
    #[arg(long)]
    pub watch: bool,
}

/// `frond jobs list`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  frond jobs list --app rail --state queued,running")]
pub struct ListArgs {
    /// Only those of this app.
    #[arg(long, value_name = "APP")]
    pub app: Option<String>,

    /// Only those in one of these states, separated by commas.
    #[arg(long, value_delimiter = ',', value_parser = parse_state, value_name = "STATE")]
    pub state: Vec<JobState>,

    /// Only those that were submitted before this one.
    #[arg(long, value_parser = parse_id, value_name = "ID")]
    pub after: Option<JobId>,

    /// The most to list.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1000), value_name = "N", default_value_t = 50)]
    pub limit: u32,

    /// `text` is for people, `json` what the server says.
    #[arg(long, value_enum, default_value_t)]
    pub format: OutputMode,
}

/// `frond jobs show`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  frond jobs show 0199f2c41d0a7b3c8e5f60718293a4b5 --format json | jq .coverage.missing"
)]
pub struct ShowArgs {
    /// The job.
    #[arg(value_parser = parse_id)]
    pub id: JobId,

    /// `text` is for people, `json` what the server says.
    #[arg(long, value_enum, default_value_t)]
    pub format: OutputMode,
}

/// `frond jobs watch`.
#[derive(Debug, Args)]
#[command(
    after_help = "Ctrl-C stops watching, and leaves the job alone. A server that goes away for a while is waited for.\n\
    With --local, the jobs that wait are run until this one has ended; Ctrl-C then leaves it as far as it is.\n\n\
    Examples:\n  \
    frond jobs watch 0199f2c41d0a7b3c8e5f60718293a4b5\n  \
    frond jobs watch 0199f2c41d0a7b3c8e5f60718293a4b5 --local examples"
)]
pub struct WatchArgs {
    /// The job.
    #[arg(value_parser = parse_id)]
    pub id: JobId,

    /// `text` shows it on stderr, `json` writes each new state of the job to stdout, as a line.
    #[arg(long, value_enum, default_value_t)]
    pub format: OutputMode,
}

/// `frond jobs result`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    frond jobs result 0199f2c41d0a7b3c8e5f60718293a4b5 > answer.json\n  \
    frond jobs result 0199f2c41d0a7b3c8e5f60718293a4b5 --partial")]
pub struct ResultArgs {
    /// The job.
    #[arg(value_parser = parse_id)]
    pub id: JobId,

    /// What the answer would be by now, from what has arrived: also while the job runs.
    #[arg(long)]
    pub partial: bool,

    /// Writes it to a file instead of stdout.
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// `frond jobs cancel`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  frond jobs cancel 0199f2c41d0a7b3c8e5f60718293a4b5 --keep-partial")]
pub struct CancelArgs {
    /// The job.
    #[arg(value_parser = parse_id)]
    pub id: JobId,

    /// Makes an answer of what has arrived.
    #[arg(long)]
    pub keep_partial: bool,
}

/// `frond jobs delete`.
#[derive(Debug, Args)]
#[command(
    after_help = "A job that is deleted is as one whose retention is over: its id is known for another 30 days.\n\n\
    Example:\n  frond jobs delete 0199f2c41d0a7b3c8e5f60718293a4b5"
)]
pub struct DeleteArgs {
    /// The jobs.
    #[arg(value_parser = parse_id, value_name = "ID", required = true)]
    pub ids: Vec<JobId>,
}

/// `frond jobs redrive`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  frond jobs redrive 0199f2c41d0a7b3c8e5f60718293a4b5\n  \
    frond jobs watch 0199f2c41d0a7b3c8e5f60718293a4b5")]
pub struct RedriveArgs {
    /// The job.
    #[arg(value_parser = parse_id)]
    pub id: JobId,
}

/// Parses an app's name. It becomes a segment of a URL's path, where `.` and `..` would be
/// directions.
fn parse_app(text: &str) -> Result<String, String> {
    match text {
        "" | "." | ".." => Err("an app is named as the server lists it, such as rail".to_owned()),
        _ if text.contains('/') => {
            Err("this is a path, and the server knows apps by their names\n(give the name alone, such as rail)"
                .to_owned())
        }
        _ => Ok(text.to_owned()),
    }
}

fn parse_id(text: &str) -> Result<JobId, String> {
    text.parse()
}

fn parse_state(text: &str) -> Result<JobState, String> {
    text.trim().parse()
}

/// Validates a floor and returns it as written: the server parses it again.
fn parse_floor(text: &str) -> Result<String, String> {
    super::parse_floor(text).map(|_| text.to_owned())
}

fn parse_time(text: &str) -> Result<String, String> {
    match parse_duration(text).map_err(|error| error.to_string())? {
        Duration::ZERO => Err("this is no time at all".to_owned()),
        _ => Ok(text.to_owned()),
    }
}

fn parse_wait(text: &str) -> Result<Duration, String> {
    parse_duration(text).map_err(|error| error.to_string())
}

/// Parses an idempotency key, which must be valid as the value of an HTTP header.
fn parse_key(text: &str) -> Result<String, String> {
    let is_plain = text.bytes().all(|byte| matches!(byte, b' '..=b'~')) && text.trim() == text;
    match text.len() {
        1..=255 if is_plain => Ok(text.to_owned()),
        _ => Err("a key is 1 to 255 letters, digits and signs of ASCII".to_owned()),
    }
}
