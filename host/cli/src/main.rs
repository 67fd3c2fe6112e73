//! The binary `frond`: parses the command line, runs the verb, reports the error and exits.

use std::process::ExitCode;

use frond_cli::args::Cli;
use frond_cli::{advise, exit::Exit, report, run};
use mimalloc::MiMalloc;

/// A query's memory is allocated on one thread and freed on another. With glibc's allocator, that
/// accounts for two of three system calls.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    let exit = match Cli::read(std::env::args_os()) {
        // The panic hook has printed the panic to stderr.
        Ok(cli) => std::panic::catch_unwind(|| run(&cli).unwrap_or_else(|error| report(&error))).unwrap_or(Exit::Bug),
        Err(error) => {
            // Help and version go to stdout and are no error. A failure to print cannot be
            // reported.
            let _ = error.print();
            advise(&error);
            if error.use_stderr() { Exit::Usage } else { Exit::Whole }
        }
    };
    exit.into()
}
