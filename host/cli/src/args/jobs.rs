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
  4   no answer: too little arrived, a required partition is missing, or the job was cancelled
  5   no answer: nothing arrived in time
  6   no answer: the merge or the split failed
  65  a plugin, or the app's source, refused the query
  130 interrupted: the job continues
Exit codes of all verbs:
  0   done
  64  the command line is wrong, or the server refuses it
  69  the server cannot be reached or accepts nothing now, or the job has not ended in the given time: try again later
  70  a bug in Frond, or a machine that does not let Frond work";

/// `frond jobs`.
#[derive(Debug, Args)]
#[command(after_help = format!("{EXIT_CODES}\n\nExamples:\n  \
    frond jobs submit rail '{{\"from\":\"London\",\"budget\":60}}' --watch\n  \
    ID=$(frond jobs submit rail @query.json --timeout 2h)\n  \
    frond jobs watch $ID && frond jobs result $ID --output answer.json\n  \
    frond jobs submit rail @query.json --watch --local examples > answer.json      # no server"))]
pub struct JobsArgs {
    /// The server and its token.
    #[command(flatten)]
    pub remote: Remote,

    /// The verb.
    #[command(subcommand)]
    pub verb: JobsVerb,
}

/// The server and its token.
#[derive(Clone, Debug, Default, Args)]
pub struct ServerArgs {
    /// The server [default: FROND_SERVER, else http://127.0.0.1:7300].
    #[arg(long, global = true, value_name = "URL", help_heading = "Server")]
    pub server: Option<String>,

    /// A file that holds only the token [default: the token in FROND_TOKEN, if it is set].
    #[arg(long, global = true, value_name = "FILE", help_heading = "Server")]
    pub token_file: Option<PathBuf>,

    /// Root certificates in PEM form, which verify an https server [default: those in SSL_CERT_FILE
    /// or SSL_CERT_DIR, else the system's].
    #[arg(long, global = true, value_name = "FILE", help_heading = "Server")]
    pub ca: Option<PathBuf>,
}

/// The server and its token, or a folder of apps.
#[derive(Clone, Debug, Default, Args)]
pub struct Remote {
    /// The server.
    #[command(flatten)]
    pub at: ServerArgs,

    /// Works without a server, on the jobs that `frond serve DIR` would keep. `watch`, and `submit`
    /// with --watch or --wait, then run the waiting jobs in this process, until their own job has
    /// ended. A job that is stopped or killed resumes where it was.
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
    /// Shows a job in full, and what is missing from its answer.
    Show(ShowArgs),
    /// Shows the progress of a job until the job has ended.
    Watch(WatchArgs),
    /// Prints a job's answer.
    Result(ResultArgs),
    /// Stops a job.
    Cancel(CancelArgs),
    /// Deletes the answers, partials and events of jobs that have ended.
    Delete(DeleteArgs),
    /// Runs the missing partitions of an ended job again.
    Redrive(RedriveArgs),
}

/// `frond jobs submit`.
#[derive(Debug, Args)]
#[command(
    after_help = "Stdout gets the job's id, as soon as the server has stored the job; with --watch, the answer instead.\n\n\
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

    /// Least coverage of an answer: `all`, `best-effort`, or a share of the weight such as 0.8 or
    /// 80% [default: the app's].
    #[arg(long, value_parser = parse_floor, value_name = "FLOOR")]
    pub floor: Option<String>,

    /// A partition that the answer must contain; may be given more than once. Adds to the app's.
    #[arg(long, value_name = "KEY")]
    pub require: Vec<String>,

    /// Longest run time of the job, such as 90m or 12h [default: the server's].
    #[arg(long, value_parser = parse_time, value_name = "TIME")]
    pub timeout: Option<String>,

    /// Time for which the answer is kept, such as 48h or 7d [default: the server's].
    #[arg(long, value_parser = parse_time, value_name = "TIME")]
    pub retention: Option<String>,

    /// Weight of the job: twice the weight gets twice the share of the slot threads [default: 1].
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1000), value_name = "N")]
    pub weight: Option<u32>,

    /// Idempotency key: submitting the same request again with the same key returns the same job.
    #[arg(long, value_parser = parse_key, value_name = "KEY")]
    pub key: Option<String>,

    /// Waits until the job has ended, or at most this long.
    #[arg(long, num_args = 0..=1, value_parser = parse_wait, value_name = "TIME", conflicts_with = "watch")]
    pub wait: Option<Option<Duration>>,

    /// Continues as `frond jobs watch`, and then prints the answer.
    #[arg(long)]
    pub watch: bool,
}

/// `frond jobs list`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  frond jobs list --app rail --state queued,running")]
pub struct ListArgs {
    /// Only jobs of this app.
    #[arg(long, value_name = "APP")]
    pub app: Option<String>,

    /// Only jobs in one of these states, separated by commas.
    #[arg(long, value_delimiter = ',', value_parser = parse_state, value_name = "STATE")]
    pub state: Vec<JobState>,

    /// Only jobs that were submitted before this one.
    #[arg(long, value_parser = parse_id, value_name = "ID")]
    pub after: Option<JobId>,

    /// Largest number of jobs to list.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1000), value_name = "N", default_value_t = 50)]
    pub limit: u32,

    /// `text` is for people, `json` is the server's reply.
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

    /// `text` is for people, `json` is the server's reply.
    #[arg(long, value_enum, default_value_t)]
    pub format: OutputMode,
}

/// `frond jobs watch`.
#[derive(Debug, Args)]
#[command(
    after_help = "Ctrl-C stops watching; the job continues. While the server is unreachable, `watch` tries again.\n\
    With --local, `watch` runs the waiting jobs until this one has ended; Ctrl-C stops the job, and a later `watch`\n\
    resumes it where it was.\n\n\
    Examples:\n  \
    frond jobs watch 0199f2c41d0a7b3c8e5f60718293a4b5\n  \
    frond jobs watch 0199f2c41d0a7b3c8e5f60718293a4b5 --local examples"
)]
pub struct WatchArgs {
    /// The job.
    #[arg(value_parser = parse_id)]
    pub id: JobId,

    /// `text` shows the progress on stderr, `json` writes each new state of the job to stdout, as a
    /// line.
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

    /// Prints the answer from the partials so far, also while the job runs.
    #[arg(long)]
    pub partial: bool,

    /// Writes the answer to a file instead of stdout.
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

    /// Makes an answer of the partials that have arrived.
    #[arg(long)]
    pub keep_partial: bool,
}

/// `frond jobs delete`.
#[derive(Debug, Args)]
#[command(after_help = "Deleting a job ends its retention: the server knows its id for another 30 days.\n\n\
    Example:\n  frond jobs delete 0199f2c41d0a7b3c8e5f60718293a4b5")]
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
        Duration::ZERO => Err("the time must be above 0".to_owned()),
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
        _ => Err("a key has 1 to 255 printable ASCII characters, and no space at either end".to_owned()),
    }
}
