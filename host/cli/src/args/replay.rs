//! Command line of `frond replay`.

use std::path::PathBuf;

use clap::Args;

/// `frond replay`.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit codes:
  0   every call failed again in the same way
  1   at least one call did not

Examples:
  frond query examples/faulty '{\"query\":{\"faults\":{\"a\":\"trap\"}},\"partitions\":[{\"key\":\"a\",\"data\":\"\"}]}' --capture-failures failures
  frond replay failures/0-a-trap
  frond replay failures/*
  frond replay failures/0-a-trap --component mended.wasm
  frond replay failures/0-a-trap --as-case my-plugin")]
pub struct ReplayArgs {
    /// Folders that `frond query --capture-failures` wrote: captures, or the folder that holds
    /// them.
    #[arg(value_name = "DIR", required = true)]
    pub dirs: Vec<PathBuf>,

    /// Calls this component instead of the captured one.
    #[arg(long, value_name = "FILE")]
    pub component: Option<PathBuf>,

    /// Writes the call as a case of the package in this folder, which expects the same failure.
    #[arg(long, value_name = "PACKAGE")]
    pub as_case: Option<PathBuf>,
}
