//! Report of the error that ended a verb: its lines on stderr, and the exit code.

use frond_app::AppError;
use frond_jobs::StoreError;
use frond_run::RunError;
use frond_server::ServeError;

use crate::exit::{Exit, MachineFault};
use crate::jobs::Trouble;
use crate::show::text::sanitise;

/// Limit in bytes on each line of an error message.
pub(crate) const MAX_TEXT: usize = 16 << 10;

/// Prints the error and its causes to stderr, and returns its exit code.
#[must_use]
pub fn report(error: &anyhow::Error) -> Exit {
    errln!("error: {}", shown(&error.to_string()));
    for cause in error.chain().skip(1) {
        errln!("  because: {}", shown(&cause.to_string()));
    }
    if let Some(trouble) = error.downcast_ref::<Trouble>() {
        return trouble.exit();
    }
    let mut run = error.downcast_ref::<RunError>();
    match error.downcast_ref::<ServeError>() {
        Some(ServeError::Jobs { source: StoreError::Unavailable(_), .. }) => return Exit::Unavailable,
        Some(ServeError::Run(error)) => run = Some(error),
        _ => {}
    }
    let app = match run {
        Some(RunError::Machine { .. }) => return Exit::Bug,
        Some(RunError::Broker(error)) if error.is_passing() => return Exit::Unavailable,
        Some(RunError::App(wrong)) => Some(wrong),
        _ => error.downcast_ref::<AppError>(),
    };
    match app {
        Some(wrong) if wrong.is_query() => Exit::InvalidQuery,
        _ if error.is::<MachineFault>() => Exit::Bug,
        _ => Exit::Usage,
    }
}

/// Replaces control characters line by line: names of files and guests may contain escape
/// sequences.
pub(crate) fn shown(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(|line| sanitise(line, MAX_TEXT)).collect();
    lines.join("\n")
}
