//! Command line of `frond bench`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::OutputMode;

/// `frond bench`.
#[derive(Debug, Args)]
#[command(after_help = "\
Fuel is the same on every machine: compare two builds by their fuel. Times depend on this machine and its load.

Examples:
  frond bench examples/wordcount
  frond bench my-leaf --input book.txt --query '{\"top\": 5}'
  frond bench old.wasm --input book.txt --compare new.wasm
  frond bench examples/wordcount --filter top-60 --profile profile.json")]
pub struct BenchArgs {
    /// A folder with a frond.toml, or a component's file.
    #[arg(value_name = "PATH")]
    pub path: PathBuf,

    /// Measures the leaf on this file as one partition, instead of the cases.
    #[arg(long, value_name = "FILE")]
    pub input: Option<PathBuf>,

    /// The query for --input.
    #[arg(long, value_name = "QUERY", requires = "input", default_value = "")]
    pub query: String,

    /// Only the cases whose name contains this.
    #[arg(long, value_name = "TEXT", conflicts_with = "input")]
    pub filter: Option<String>,

    /// Number of runs of each case.
    #[arg(long, value_name = "N", default_value_t = 11, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub runs: u64,

    /// Measures another package or component on the same cases, and shows the difference.
    #[arg(long, value_name = "OTHER")]
    pub compare: Option<PathBuf>,

    /// Writes a profile of the first case's calls, with the guest's function names: for
    /// profiler.firefox.com, or for speedscope.app if the name ends in .speedscope.json. The
    /// hottest functions are printed.
    #[arg(long, value_name = "FILE")]
    pub profile: Option<PathBuf>,

    /// Unit of a profile's samples; fuel is the same in every run.
    #[arg(long, value_enum, default_value_t, requires = "profile")]
    pub profile_by: ProfileBy,

    /// How the figures are printed.
    #[arg(long, value_enum, default_value_t)]
    pub format: OutputMode,
}

/// Unit of a profile's samples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ProfileBy {
    /// Units of fuel.
    #[default]
    Fuel,
    /// Time on this machine.
    Time,
}
