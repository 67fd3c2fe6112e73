//! The command line, as a library that needs no terminal: [`args`] is parsed, [`run`] runs a verb, [`exit`] says how it
//! went.

#[macro_use]
mod out;

pub mod args;
mod bench;
mod build;
mod doctor;
pub mod exit;
mod explain;
#[doc(hidden)]
pub mod fuzzing;
mod inspect;
mod jobs;
mod loading;
mod new;
mod query;
pub mod record;
mod replay;
mod run_test;
mod serve;
pub mod show;
mod signals;
mod test;
mod token;

use anyhow::Context;
use args::{Cli, Verb};
use exit::{Exit, MachineFault};
use frond_app::AppError;
use frond_jobs::StoreError;
use frond_run::RunError;
use frond_server::ServeError;
use jobs::Trouble;
use show::text::sanitise;

/// This very program, whatever has become of its file since it was started.
const SELF: &str = "/proc/self/exe";
/// Longer chains are not for people.
const MAX_TEXT: usize = 16 << 10;

/// Runs what the command line asks for.
///
/// # Errors
/// What stopped it before it could end by itself.
pub fn run(cli: &Cli) -> anyhow::Result<Exit> {
    MachineFault::check_address_space()?;
    // As much as leaf threads step back: health checks and queries of a server go first.
    let nice = if matches!(cli.verb, Verb::Serve(_)) { 5 } else { 0 };
    frond_run::compile_in_children(SELF.into(), nice).map_err(anyhow::Error::msg)?;
    match &cli.verb {
        Verb::Query(args) => query::run(args),
        Verb::Serve(args) => serve::run(args),
        Verb::Jobs(args) => jobs::run(args),
        Verb::Token(args) => token::run(args),
        Verb::New(args) => new::run(args),
        Verb::Build(args) => build::run(args),
        Verb::Test(args) => test::run(args),
        Verb::Bench(args) => bench::run(args),
        Verb::Replay(args) => replay::run(args),
        Verb::Explain(args) => explain::run(args),
        Verb::Inspect(args) => inspect::run(args),
        Verb::Doctor(args) => doctor::run(args),
        Verb::RunTest(args) => run_test::run(args),
        Verb::Compile(args) => {
            let answer = frond_run::compile_as_child(args.orders(), std::io::stdin())
                .context(MachineFault::new("the component could not be compiled"))?;
            out::print(&answer)?;
            Ok(Exit::Whole)
        }
    }
}

/// Adds the remedy for a command line that cannot be read to what clap has told of it.
pub fn advise(error: &clap::Error) {
    if let Some(remedy) = args::remedy(error, std::env::args_os()) {
        errln!("({remedy})");
    }
}

/// Prints the error and its causes to stderr, and gives the exit code that it stands for.
#[must_use]
pub fn report(error: &anyhow::Error) -> Exit {
    errln!("error: {}", shown(&error.to_string()));
    for cause in error.chain().skip(1) {
        errln!("  because: {}", shown(&cause.to_string()));
    }
    if let Some(trouble) = error.downcast_ref::<Trouble>() {
        return trouble.exit();
    }
    if let Some(ServeError::Jobs { source: StoreError::Unavailable(_), .. }) = error.downcast_ref::<ServeError>() {
        return Exit::Unavailable;
    }
    let app = match error.downcast_ref::<RunError>() {
        Some(RunError::Machine { .. }) => return Exit::Bug,
        Some(RunError::App(wrong)) => Some(wrong),
        _ => error.downcast_ref::<AppError>(),
    };
    match app {
        Some(wrong) if wrong.is_query() => Exit::InvalidQuery,
        _ if error.is::<MachineFault>() => Exit::Bug,
        _ => Exit::Usage,
    }
}

/// Line by line, without what could drive the terminal: names of files and guests are not ours.
fn shown(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(|line| sanitise(line, MAX_TEXT)).collect();
    lines.join("\n")
}
