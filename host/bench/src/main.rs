//! Benchmarks of Frond: against bare wasmtime (the floor), against native code, and against its
//! peers.
//!
//! `frond-bench all` runs every section, `frond-bench overhead data` runs these two. `--quick` runs
//! fewer rounds with less work: a smoke test, whose figures mean little. Times are in seconds
//! unless a column says otherwise. Every figure is a median over rounds in which all entrants take
//! turns.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "nobody runs it but to read what it prints")]

mod ablation;
mod bench;
mod compute;
mod data;
mod deadline;
mod executors;
mod floor;
mod guests;
mod http;
mod jobs;
mod machine;
mod measure;
mod overhead;
mod page;
mod peers;
mod pieces;
mod report;
mod rig;
mod scaling;
mod settings;
mod start;
mod waiting;
mod warm;
mod work;
mod workers;

use std::process::ExitCode;

use anyhow::{anyhow, bail};

use bench::Bench;
use guests::Guests;
use mimalloc::MiMalloc;
use report::Report;

/// The allocator that `frond` uses.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Section of the report: its name, and the function that measures it.
type Section = (&'static str, fn(&mut Bench) -> anyhow::Result<()>);

const SECTIONS: [Section; 17] = [
    ("overhead", overhead::run),
    ("warm", warm::run),
    ("waiting", waiting::run),
    ("pieces", pieces::run),
    ("compute", compute::run),
    ("scaling", scaling::run),
    ("ablation", ablation::run),
    ("data", data::run),
    ("deadline", deadline::run),
    ("executors", executors::run),
    ("start", start::run),
    ("peers", peers::run),
    ("http", http::run),
    ("jobs", jobs::run),
    ("workers", workers::run),
    ("page", page::run),
    // Not part of `all`: it compares engine settings, and that choice is made.
    ("settings", settings::run),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> anyhow::Result<()> {
    if let [first, rest @ ..] = arguments
        && first == scaling::CHILD
    {
        return scaling::child(rest);
    }
    if arguments.first().is_some_and(|first| first == workers::CHILD) {
        return workers::child(arguments);
    }
    if arguments.first().is_some_and(|first| first == http::AXUM) {
        return http::be_axum(&Guests::build()?.pi);
    }
    let quick = arguments.iter().any(|argument| argument == "--quick");
    let sections = sections(arguments.iter().filter(|argument| *argument != "--quick"))?;
    let mut bench = Bench { report: Report::default(), guests: Guests::build()?, quick };
    for fact in machine::facts() {
        println!("- {fact}");
    }
    for (_, section) in sections {
        section(&mut bench)?;
        eprintln!("load average: {}", machine::load());
    }
    bench.report.summary();
    Ok(())
}

fn sections<'a>(names: impl Iterator<Item = &'a String>) -> anyhow::Result<Vec<Section>> {
    let mut chosen = Vec::new();
    for name in names {
        if name == "all" {
            chosen.extend(SECTIONS.iter().filter(|(name, _)| *name != "settings"));
            continue;
        }
        let found = SECTIONS.iter().find(|(known, _)| known == name);
        chosen.push(*found.ok_or_else(|| anyhow!("there is no section `{name}`"))?);
    }
    if chosen.is_empty() {
        let known: Vec<&str> = SECTIONS.iter().map(|(name, _)| *name).collect();
        bail!("name the sections to run: all, or some of {}", known.join(", "));
    }
    Ok(chosen)
}
