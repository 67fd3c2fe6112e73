//! Command line of Frond as a library without a terminal: [`args`] is the parsed command line,
//! [`run`] runs its verb, and [`exit`] is the resulting exit code.

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
mod plan;
mod query;
pub mod record;
mod replay;
mod report;
mod run_test;
mod serve;
pub mod show;
mod signals;
mod simulate;
mod test;
mod token;
mod worker;
mod workers;

use anyhow::Context;
use args::{Cli, Verb};
use exit::{Exit, MachineFault};
use frond_run::processes::THIS_PROGRAM;

pub use report::report;

/// Runs the verb of the command line.
///
/// # Errors
/// When the verb is stopped before it ends; [`report`] maps the error to an exit code.
pub fn run(cli: &Cli) -> anyhow::Result<Exit> {
    MachineFault::check_address_space()?;
    // The compiler yields as much as slot threads do: a server's health checks and queries go
    // first.
    let nice = if matches!(cli.verb, Verb::Serve(_)) { 5 } else { 0 };
    frond_run::compile_in_children(THIS_PROGRAM.into(), nice).map_err(anyhow::Error::msg)?;
    match &cli.verb {
        Verb::Query(args) => query::run(args),
        Verb::Serve(args) => serve::run(args),
        Verb::Jobs(args) => jobs::run(args),
        Verb::Worker(args) => worker::run(args),
        Verb::Workers(args) => workers::run(args),
        Verb::Token(args) => token::run(args),
        Verb::New(args) => new::run(args),
        Verb::Build(args) => build::run(args),
        Verb::Test(args) => test::run(args),
        Verb::Bench(args) => bench::run(args),
        Verb::Replay(args) => replay::run(args),
        Verb::Explain(args) => explain::run(args),
        Verb::Plan(args) => plan::run(args),
        Verb::Simulate(args) => simulate::run(args),
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

/// Prints the remedy for an invalid command line after clap's own message.
pub fn advise(error: &clap::Error) {
    if let Some(remedy) = args::remedy(error, std::env::args_os()) {
        errln!("({remedy})");
    }
}
