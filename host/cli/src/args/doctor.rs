//! Command line of `frond doctor`.

use clap::Args;

use super::{Language, OutputMode};

/// `frond doctor`.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit codes:
  0   plugins can be built in Rust, or in the language of --lang
  1   something is missing for that

Examples:
  frond doctor
  frond doctor --lang python
  frond doctor --format json")]
pub struct DoctorArgs {
    /// Checks only this language, which then decides the exit code.
    #[arg(long, value_enum, value_name = "LANGUAGE")]
    pub lang: Option<Language>,

    /// How the report is printed.
    #[arg(long, value_enum, default_value_t)]
    pub format: OutputMode,
}
