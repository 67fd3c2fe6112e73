//! `frond replay` as written.

use std::path::PathBuf;

use clap::Args;

/// `frond replay`.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit codes:
  0   it failed again in the same way
  1   it did not

Examples:
  frond query examples/faulty '{\"fault\":\"trap\"}' --capture-failures failures
  frond replay failures/0-a-trap
  frond replay failures/0-a-trap --component mended.wasm
  frond replay failures/0-a-trap --as-case my-plugin")]
pub struct ReplayArgs {
    /// A folder that `frond query --capture-failures` wrote.
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,

    /// Calls this component instead of the captured one.
    #[arg(long, value_name = "FILE")]
    pub component: Option<PathBuf>,

    /// Writes the call as a case of the package in this folder, which expects the same failure.
    #[arg(long, value_name = "PACKAGE")]
    pub as_case: Option<PathBuf>,
}
