//! Command lines of `frond serve` and `frond token`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// `frond serve`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    frond serve examples\n  \
    curl --data '{\"from\":\"London\",\"budget\":60}' 'http://127.0.0.1:7300/v1/apps/rail/query?deadline=1s'\n  \
    frond serve apps --config frond-server.toml --listen 0.0.0.0:7300\n  \
    frond serve apps --config shared.toml --role processor      # jobs.store there is a PostgreSQL database\n\n\
    Ctrl-C or SIGTERM: takes nothing new on, lets queries end for up to limits.drain; once more: quits.\n\
    SIGHUP: reads the settings and looks at the apps again.")]
pub struct ServeArgs {
    /// A folder with apps in it, each a folder with a frond.toml.
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,

    /// The server's settings; `--print-config` writes all of them with their defaults.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Where to listen [default: 127.0.0.1:7300]; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<SocketAddr>,

    /// Leaves at once [default: the number of cores, at least 2].
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=i64::from(frond_run::MAX_SLOTS)), value_name = "N")]
    pub slots: Option<u16>,

    /// What it does of jobs, whatever the settings say [default: all].
    #[arg(long, value_enum)]
    pub role: Option<ServeRole>,

    /// Serves anybody who can reach it: whoever can may ask any app, replace its plugins, and read what others asked.
    #[arg(long)]
    pub insecure: bool,

    /// Prints the settings that would be in force, as a file for --config, and ends.
    #[arg(long)]
    pub print_config: bool,
}

/// What a server does of jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ServeRole {
    /// Accepts them, gives their answers, and leaves it to others to run them.
    Dispatcher,
    /// Runs them, and accepts none.
    Processor,
    /// Both.
    All,
}

/// `frond token`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  frond token dashboard >> frond-server.toml      # the token itself goes to stderr")]
pub struct TokenArgs {
    /// Who it is for: in logs and metrics.
    pub name: String,

    /// What it allows.
    #[arg(long, value_enum, default_value_t)]
    pub role: TokenRole,
}

/// What a token allows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum TokenRole {
    /// Asking, looking at apps, and all that can be done with its own queries and jobs.
    #[default]
    Query,
    /// Looking at everything, at others' queries and jobs too, and nothing else.
    Observer,
    /// Everything: changing apps, and others' queries and jobs.
    Admin,
}
