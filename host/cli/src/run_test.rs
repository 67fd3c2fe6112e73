//! `frond run-test`: runs the test binary of a guest's crate, for `cargo test` and nextest.

mod terminal_filter;

use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, anyhow};
use frond_app::size::{parse_duration, parse_size};
use frond_root::call::Limits;
use frond_root::{Failure, FailureKind};
use frond_run::cache::{self, cache_dir};
use frond_sandbox::component::{Origin, read};
use frond_sandbox::program::{Console, Program, Sink};
use frond_sandbox::{LoadError, Metering, Settings};

use crate::args::RunTestArgs;
use crate::exit::{Exit, MachineFault};
use crate::out;
use crate::query::runtime;
use crate::show::page::{Line, Page, Tone};
use crate::show::style::TermStyle;
use crate::show::trouble::of_interest;
use terminal_filter::TerminalFilter;

/// Default time limit of a test program.
const TIME: Duration = Duration::from_secs(60);
/// Number of compiled test binaries in the cache: each build makes a new one, of many megabytes.
const MAX_CACHED: usize = 16;
/// Limit on the frames of a backtrace that are shown.
const MAX_FRAMES: usize = 10;

/// Runs the verb.
///
/// # Errors
/// When the file cannot be read or is no program, or a variable is invalid.
pub(crate) fn run(args: &RunTestArgs) -> anyhow::Result<Exit> {
    let (limits, time) = limits_of_tests()?;
    let named = |error: LoadError| match error {
        LoadError::Engine(_) => {
            anyhow::Error::new(error).context(MachineFault::new("the program could not be compiled"))
        }
        other => anyhow!("`{}`: {other}", args.file.display()),
    };
    let bytes = read(&args.file).map_err(named)?;
    let cache = cache_dir().map(|dir| dir.join("tests"));
    let sandbox =
        cache::sandbox(Settings { slots: 1, waiting: 0, limits: vec![limits], cache, compiler: frond_run::compiler() })
            .context(MachineFault::new("the sandbox could not be started"))?;
    let program = Program::load(&sandbox, &bytes, Metering::of(&limits)).map_err(named)?;
    if program.origin() == Origin::Compiled {
        sandbox.prune_cache(MAX_CACHED);
    }
    out::warn(sandbox.take_warnings());
    let runtime = runtime()?;
    let guard = runtime.enter();
    let (ended, _) = program.run(&sandbox, &limits, console(args), time);
    drop(guard);
    runtime.shutdown_background();
    match ended {
        Ok(0) => Ok(Exit::Whole),
        Ok(_) => Ok(Exit::Failed),
        Err(failure) => {
            let is_one = args.args.iter().any(|arg| arg == "--exact");
            out::message(&stopped(&failure, hint(failure.kind, is_one)));
            Ok(Exit::Failed)
        }
    }
}

fn console(args: &RunTestArgs) -> Console {
    let sink =
        |is_terminal: bool, to: Sink| -> Sink { if is_terminal { Box::new(TerminalFilter::new(to)) } else { to } };
    let name = args.file.file_name().map_or_else(|| "test".to_owned(), |name| name.to_string_lossy().into_owned());
    let of_the_harness = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        Some((name.into_string().ok().filter(|name| name.starts_with("RUST_TEST_"))?, value.into_string().ok()?))
    };
    let mut env: Vec<(String, String)> = std::env::vars_os().filter_map(of_the_harness).collect();
    if !env.iter().any(|(name, _)| name == "RUST_TEST_NOCAPTURE") {
        env.push(("RUST_TEST_NOCAPTURE".to_owned(), "1".to_owned()));
    }
    Console {
        args: std::iter::once(name).chain(args.args.iter().cloned()).collect(),
        env,
        stdout: sink(out::stdout_is_terminal(), Box::new(out::stdout_for_guests())),
        stderr: sink(out::stderr_is_terminal(), Box::new(out::stderr_for_guests())),
    }
}

/// Returns the limits of a leaf, overridden by the environment.
fn limits_of_tests() -> anyhow::Result<(Limits, Duration)> {
    let number = |text: &str| {
        let digits = text.replace('_', "");
        u64::from_str(&digits)
            .map_err(|error| format!("{error}\n(write a number such as 1_000_000_000, or 0 for no limit)"))
    };
    let default = Limits::default();
    let fuel = variable("FROND_TEST_FUEL", number)?;
    let memory = variable("FROND_TEST_MEMORY", |text| parse_size(text).map_err(|error| error.to_string()))?;
    let time = variable("FROND_TEST_TIME", |text| parse_duration(text).map_err(|error| error.to_string()))?;
    let limits = Limits {
        fuel: fuel.unwrap_or(default.fuel),
        memory: memory.unwrap_or(default.memory).min(frond_app::limits::MAX_MEMORY),
        ..default
    };
    Ok((limits, time.unwrap_or(TIME)))
}

fn variable<T>(name: &str, parse: impl Fn(&str) -> Result<T, String>) -> anyhow::Result<Option<T>> {
    match std::env::var(name) {
        Err(std::env::VarError::NotPresent) => Ok(None),
        Ok(text) if text.trim().is_empty() => Ok(None),
        Ok(text) => {
            let parsed = parse(text.trim());
            parsed.map(Some).map_err(|error| anyhow!("the variable {name}: {error}"))
        }
        Err(error) => Err(anyhow!("the variable {name} cannot be read: {error}")),
    }
}

/// Reports why the program was stopped: the slug, the message, the backtrace and a hint.
fn stopped(failure: &Failure, hint: Option<&str>) -> String {
    let mut page = Page::new(TermStyle::stderr());
    page.blank();
    let head = Line::new().tone(Tone::Bad, "stopped: ").put(format!("{}: {}", failure.kind, failure.message));
    page.wrapped(4, head);
    let frames = of_interest(&failure.backtrace);
    for (number, frame) in frames.iter().take(MAX_FRAMES).enumerate() {
        page.wrapped(6, Line::new().put(format!("{number:>4}: {frame}")));
    }
    if let Some(hint) = hint {
        page.wrapped(0, Line::new().put(format!("({hint})")));
    }
    page.into_text()
}

/// Returns a hint that the failure's message does not give.
fn hint(kind: FailureKind, is_one: bool) -> Option<&'static str> {
    match kind {
        FailureKind::Trap if !is_one => Some(
            "a panic cannot be caught here, so no test after this one has run; `cargo nextest run` runs each by itself",
        ),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
