//! Command line of `frond test`.

use std::path::PathBuf;

use clap::Args;
use frond_test::Fault;

use super::OutputMode;

/// `frond test`.
#[derive(Debug, Args)]
#[command(after_help = "\
Cases are files `cases/*.toml`: the keys of a case decide what it calls.
  partition = \"…\"   the leaf           partials = [\"…\", …]   the merge
  merged = \"…\"      the finish         wanted = 8            the split
  none of these     the whole app, as `frond query` would run it
All take `query`, `limits` (lower ones only) and `inject`; [expect] takes text, json, file, text-file, json-file,
snapshot, failure, reason, message, log, max-fuel, max-memory, outcome, coverage, keys, emitted.

Exit codes:
  0   all passed
  1   something failed, or a law does not hold
  64  the package or a case is wrong
  130 --watch was interrupted during a run; between two runs, it ends with the code of the last one

Examples:
  frond test examples/rail
  frond test my-plugin --build --watch
  frond test my-plugin.wasm --filter empty --bless
  frond test examples/wordcount --inject out-of-fuel-at=100_000 --inject truncate-partition")]
pub struct TestArgs {
    /// A folder with a frond.toml (an app, or a plugin with only its leaf or its merge), or a
    /// component's file.
    #[arg(value_name = "PATH")]
    pub path: PathBuf,

    /// Only the cases whose name contains this.
    #[arg(long, value_name = "TEXT")]
    pub filter: Option<String>,

    /// Runs the build commands first.
    #[arg(long)]
    pub build: bool,

    /// Rewrites the expectations of failing cases from their actual results.
    #[arg(long, conflicts_with = "inject")]
    pub bless: bool,

    /// Tests again whenever a file of the package changes (with --build: builds again too).
    #[arg(long, conflicts_with_all = ["bless", "junit"])]
    pub watch: bool,

    /// Shows the result of each case under a fault: oom-at=SIZE, out-of-fuel-at=N,
    /// truncate-partition[=SIZE], unavailable, deny-http, slow-host=HOST:TIME. Nothing is compared.
    /// May be given more than once.
    #[arg(long, value_name = "FAULT")]
    pub inject: Vec<Fault>,

    /// Shows what each passing case wrote to stdout and stderr, too.
    #[arg(short, long)]
    pub verbose: bool,

    /// Skips the laws of merge and leaf.
    #[arg(long)]
    pub no_laws: bool,

    /// Seed of the sequences, shuffles and trees that laws are checked with.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,

    /// How the outcome is printed.
    #[arg(long, value_enum, default_value_t)]
    pub format: OutputMode,

    /// Writes the outcome as JUnit XML too.
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
}
