//! Command line of `frond simulate`.

use std::path::PathBuf;

use clap::Args;

use super::OutputMode;

/// `frond simulate`.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit codes:
  0   the simulation ran, whatever its queries answered
  64  the file is missing, or has a wrong value: the message names line and key

Examples:
  frond simulate host/docs/simulate/one-slow-worker.toml
  frond simulate host/docs/simulate/burst.toml --slots 16 --format json
  frond simulate run.ndjson --slots 40 --record slowest.ndjson
  frond explain slowest.ndjson")]
pub struct SimulateArgs {
    /// A world: a `.toml` file, as host/docs/simulate.md describes it. Or a recording of `frond
    /// query --record`, whose leaves then take as long as they took.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    /// Seed of the random numbers; the same seed gives the same result.
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,

    /// Number of queries.
    #[arg(long, value_name = "N")]
    pub queries: Option<u64>,

    /// Slots of the process, or of each worker if there are workers.
    #[arg(long, value_name = "N")]
    pub slots: Option<u32>,

    /// Number of workers: those of the world, repeated in turn. Without any, they share the slots
    /// of the process.
    #[arg(long, value_name = "N")]
    pub workers: Option<u32>,

    /// How the report is printed.
    #[arg(long, value_enum, default_value_t)]
    pub format: OutputMode,

    /// Writes the events of the slowest query to this file, for `frond explain`.
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,
}
