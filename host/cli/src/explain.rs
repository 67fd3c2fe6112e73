//! `frond explain`: a recorded query in the terminal.

use std::io::Write;

use crate::args::ExplainArgs;
use crate::exit::Exit;
use crate::show::explain;
use crate::show::look::Look;

/// Runs the verb.
///
/// # Errors
/// A file that is missing or is no recording.
pub(crate) fn run(args: &ExplainArgs) -> anyhow::Result<Exit> {
    let text = explain::file(&args.file, Look::stdout())?;
    // A reader that has gone away, such as `head`, has had enough.
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
    Ok(Exit::Whole)
}
