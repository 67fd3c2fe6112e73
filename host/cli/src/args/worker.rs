//! Command line of `frond worker`, and of the workers of other verbs.

use std::path::PathBuf;

use clap::Args;
use frond_app::size::parse_size;
use frond_app::source::DataFolder;

/// `frond worker`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    frond worker --nats nats://127.0.0.1:4222\n  \
    frond worker --nats tls://broker.example:4222 --pool big --slots 16 --nats-user worker-a   # FROND_NATS_PASSWORD\n  \
    frond worker --nats nats://127.0.0.1:4222 --data /mnt/logs --data /srv/data=/mnt/data\n\n\
    Ctrl-C or SIGTERM: the worker takes no more attempts, ends those that run, and leaves.\n\
    A second one: it quits at once; roots have what it had run elsewhere.\n\n\
    Exit codes:\n  \
    0   it has left, and what it ran has ended\n  \
    64  the command line is wrong, or the broker refuses the worker\n  \
    69  the broker cannot be reached\n  \
    70  a bug in Frond, or a machine that does not let Frond work\n  \
    130 it quit with leaves that ran")]
pub struct WorkerArgs {
    /// The broker to join.
    #[command(flatten)]
    pub broker: BrokerArgs,

    /// Name of the worker, for people [default: the host's name and the process number].
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,

    /// Number of leaves that run at once [default: the number of cores, at least 2].
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=i64::from(frond_run::MAX_SLOTS)), value_name = "N")]
    pub slots: Option<u16>,

    /// Number of leaves for each slot that may wait for something outside [default: 256].
    #[arg(long, value_name = "N")]
    pub waiting: Option<u32>,

    /// A frond.toml whose `[grants]` are what apps may use on this worker: folders, variables, HTTP.
    /// Apps whose grants go beyond them are refused [default: none].
    #[arg(long, value_name = "FILE")]
    pub allow: Option<PathBuf>,

    /// A folder whose files the worker reads itself, if a root has the same files; may be repeated.
    /// Give the root's path of the folder, too, if it is another one: ROOTPATH=DIR.
    #[arg(long, value_name = "[ROOTPATH=]DIR")]
    pub data: Vec<DataFolder>,

    /// Runs code that roots have compiled, which saves seconds at the first leaf. Whoever may
    /// publish as a root can then run anything as this worker.
    #[arg(long)]
    pub trust_roots: bool,

    /// Runs as a worker process of this process, over stdin.
    #[arg(long, hide = true, value_name = "PID", conflicts_with = "nats")]
    pub child: Option<u32>,

    /// The most private memory of a worker process.
    #[arg(long, hide = true, value_parser = parse_size, requires = "child")]
    pub memory: Option<u64>,

    /// Ends unless the whole second wall is there.
    #[arg(long, hide = true, requires = "child")]
    pub needs_wall: bool,
}

/// A broker.
#[derive(Clone, Debug, Default, Args)]
pub struct BrokerArgs {
    /// URL of a NATS server, such as nats://127.0.0.1:4222 or tls://host:4222; several of one
    /// cluster are separated by commas.
    #[arg(long, value_name = "URL")]
    pub nats: Option<String>,

    /// Pool of workers: roots have leaves run by the workers of their own pool [default: default].
    #[arg(long, value_name = "NAME", requires = "nats")]
    pub pool: Option<String>,

    /// NATS user; the environment variable FROND_NATS_PASSWORD has the password.
    #[arg(long, value_name = "USER", requires = "nats")]
    pub nats_user: Option<String>,

    /// File with the credentials of a NATS user, as `nsc` writes it.
    #[arg(long, value_name = "FILE", requires = "nats")]
    pub nats_credentials: Option<PathBuf>,

    /// File with the root certificates of the NATS server; makes TLS mandatory.
    #[arg(long, value_name = "FILE", requires = "nats")]
    pub nats_ca: Option<PathBuf>,
}

/// Workers of a query or a server.
#[derive(Clone, Debug, Default, Args)]
pub struct WorkersArgs {
    /// Number of worker processes on this machine that run the leaves, each behind a second wall, in
    /// place of this process.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub workers: Option<u16>,

    /// The broker whose workers run leaves, too.
    #[command(flatten)]
    pub broker: BrokerArgs,

    /// False to have all leaves run by workers [default: true with a broker, false with --workers].
    #[arg(long, value_name = "BOOL")]
    pub local: Option<bool>,

    /// The most leaves that also run in this process, beside the workers; 0 is the same as --local
    /// false [default: --slots with a broker, 0 with --workers].
    #[arg(long, value_name = "N", conflicts_with = "local")]
    pub local_slots: Option<u16>,
}
