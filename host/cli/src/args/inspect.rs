//! Command line of `frond inspect`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// `frond inspect`.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit codes:
  0   every component fits: a file fits at least one role, a component of an app fits the role in its frond.toml
  1   a component does not fit: the report has the first difference, with both sides
  64  the file is missing, or cannot be read

Examples:
  frond inspect target/wasm32-wasip2/release/lines.wasm
  frond inspect examples/rail --format json")]
pub struct InspectArgs {
    /// A component's .wasm file, or the folder of an app or a plugin, for each of its components.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    /// `text` is for people, `json` one object with a version for programs.
    #[arg(long, value_enum, default_value_t)]
    pub format: OutputMode,

    /// Only reads the file: does not compile a component that fits.
    #[arg(long)]
    pub no_compile: bool,
}

/// How something is shown on stdout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum OutputMode {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
}
