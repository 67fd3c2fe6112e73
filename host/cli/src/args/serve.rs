//! Command lines of `frond serve` and `frond token`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::WorkersArgs;

/// `frond serve`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    frond serve examples\n  \
    curl --data '{\"from\":\"London\",\"budget\":60}' 'http://127.0.0.1:7300/v1/apps/rail/query?deadline=1s'\n  \
    frond serve apps --config frond-server.toml --listen 0.0.0.0:7300\n  \
    frond serve apps --nats nats://127.0.0.1:4222 --local false      # leaves run on `frond worker`s only\n  \
    frond serve apps --config shared.toml --role processor      # jobs.store there is a PostgreSQL database\n\n\
    Ctrl-C or SIGTERM: graceful shutdown. The server accepts nothing new, and lets queries end for up to limits.drain.\n\
    A second Ctrl-C or SIGTERM: the server quits at once.\n\
    SIGHUP: the server reloads the settings, and checks the apps again.")]
pub struct ServeArgs {
    /// A folder of apps; each app is a folder with a frond.toml.
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,

    /// The server's settings; `--print-config` writes those that have a value.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Address to listen on [default: 127.0.0.1:7300]; port 0 takes a free port.
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<SocketAddr>,

    /// Number of leaves that run at once [default: the number of cores, at least 2].
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=i64::from(frond_run::MAX_SLOTS)), value_name = "N")]
    pub slots: Option<u16>,

    /// Number of leaves for each slot that may wait for something outside, such as an answer of an
    /// API, while the slot runs another one; 0 lets them wait in their slots [default: 256].
    #[arg(long, value_name = "N")]
    pub waiting: Option<u32>,

    /// Role of the server for jobs; overrides the settings [default: all].
    #[arg(long, value_enum)]
    pub role: Option<ServeRole>,

    /// Workers that run the leaves; they override `[workers]` in the settings.
    #[command(flatten)]
    pub workers: WorkersArgs,

    /// Serves everybody who can reach the server, without tokens: anybody may query any app,
    /// replace its plugins, and read the queries of others.
    #[arg(long)]
    pub insecure: bool,

    /// Prints the settings in force, as a file for --config, and ends. Settings without a value are
    /// left out: `[[token]]`, `[tls]`, `state`, `roots`, `traces`, of `[jobs]` `store` and
    /// `password-file`, and of `[workers]` all but `processes`, `spare-processes` and `pool`.
    #[arg(long)]
    pub print_config: bool,
}

/// Role of a server for jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ServeRole {
    /// Accepts jobs and returns their answers; other servers run the jobs.
    Dispatcher,
    /// Runs jobs, and accepts none.
    Processor,
    /// Accepts and runs jobs.
    All,
}

/// `frond token`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  frond token dashboard >> frond-server.toml      # the token itself goes to stderr")]
pub struct TokenArgs {
    /// Name of the token's holder, for logs and metrics.
    pub name: String,

    /// Role of the token.
    #[arg(long, value_enum, default_value_t)]
    pub role: TokenRole,
}

/// Role of a token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum TokenRole {
    /// Runs queries and jobs, manages its own queries and jobs, and reads apps.
    #[default]
    Query,
    /// Only reads: apps, and the queries and jobs of all callers.
    Observer,
    /// Everything: also changes apps, and the queries and jobs of others.
    Admin,
}
