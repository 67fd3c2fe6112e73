//! Command lines of `frond workers`.

use clap::{Args, Subcommand};

use super::{OutputMode, ServerArgs};

/// `frond workers`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    frond workers list\n  \
    frond workers show host-a-4711\n  \
    frond workers drain host-a-4711        # it ends what it runs, and gets nothing more from this server\n\n\
    Exit codes:\n  \
    0   done\n  \
    64  the command line is wrong, there is no such worker, or the server refuses the request\n  \
    69  the server cannot be reached\n  \
    70  a bug in Frond, or a machine that does not let Frond work")]
pub struct WorkersVerbArgs {
    /// The server and its token.
    #[command(flatten)]
    pub at: ServerArgs,

    /// The verb.
    #[command(subcommand)]
    pub verb: WorkersVerb,
}

/// The verbs of `frond workers`.
#[derive(Debug, Subcommand)]
pub enum WorkersVerb {
    /// Lists the workers of the server, with their slots, load and rate.
    List(WorkersListArgs),
    /// Shows one worker in full, and why it gets nothing if it gets nothing.
    Show(WorkerNameArgs),
    /// Has a worker take no more attempts from the server, and leave it once those that run have
    /// ended. Needs a token with the role `admin`, if there are tokens.
    Drain(WorkerDrainArgs),
}

/// `frond workers list`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  frond workers list --format json | jq '.workers[].name'")]
pub struct WorkersListArgs {
    /// How the workers are shown.
    #[arg(long, value_enum, default_value_t)]
    pub format: OutputMode,
}

/// `frond workers show`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  frond workers show host-a-4711")]
pub struct WorkerNameArgs {
    /// Name of the worker, as `frond workers list` shows it.
    #[arg(value_name = "NAME")]
    pub name: String,

    /// How the result is shown.
    #[arg(long, value_enum, default_value_t)]
    pub format: OutputMode,
}

/// `frond workers drain`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  frond workers drain host-a-4711 --token-file admin.token")]
pub struct WorkerDrainArgs {
    /// Name of the worker, as `frond workers list` shows it.
    #[arg(value_name = "NAME")]
    pub name: String,

    /// How the result is shown.
    #[arg(long, value_enum, default_value_t)]
    pub format: OutputMode,
}
