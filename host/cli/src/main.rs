//! The binary `frond`: parse, run, say what went wrong, exit.

use std::process::ExitCode;

use clap::Parser;
use frond_cli::args::Cli;
use frond_cli::{advise, exit::Exit, report, run};
use mimalloc::MiMalloc;

/// A query's memory is taken on one thread and given back on another, which costs glibc's allocator two of three system calls.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    let exit = match Cli::try_parse() {
        // The panic has been told on stderr already.
        Ok(cli) => std::panic::catch_unwind(|| run(&cli).unwrap_or_else(|error| report(&error))).unwrap_or(Exit::Bug),
        Err(error) => {
            // Help and version go to stdout and are no error; what cannot be printed cannot be reported either.
            let _ = error.print();
            advise(&error);
            if error.use_stderr() { Exit::Usage } else { Exit::Whole }
        }
    };
    exit.into()
}
