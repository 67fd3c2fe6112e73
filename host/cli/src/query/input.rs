//! Bytes of a query, from the command line, a file or stdin.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{IsTerminal, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use anyhow::{Context, bail};
use bytes::Bytes;
use frond_app::size::show_size;
use frond_app::{App, Source};

use crate::args::{QUOTE, QueryArgs};

/// Limit on the size of a query, in bytes, including partitions inside it.
const MAX_QUERY: u64 = 64 << 20;

/// Returns the query that the arguments name.
///
/// # Errors
/// When a file cannot be read, the query is too large, or stdin would be read twice.
pub(super) fn query(args: &QueryArgs, app: &App) -> anyhow::Result<Bytes> {
    if args.query.as_deref().is_some_and(|query| query == "-") && reads_stdin(&args.input, app) {
        bail!(
            "both the query and the partitions would be read from stdin\n(give the query as an argument or as @FILE)"
        );
    }
    bytes(args.query.as_deref(), "pass the content through the app's source: --input")
}

/// Returns the query's bytes. `query` is the text, `@FILE`, or `-` for stdin; `instead` is the
/// remedy for a query that is too large.
///
/// # Errors
/// When a file cannot be read, or the query is too large.
pub(crate) fn bytes(query: Option<&OsStr>, instead: &str) -> anyhow::Result<Bytes> {
    let Some(query) = query else {
        return Ok(Bytes::new());
    };
    match query.as_bytes() {
        b"-" => read(std::io::stdin(), "stdin", instead),
        b"@" => bail!("`@` is not followed by the name of a file\n(such as @query.json)"),
        [b'@', path @ ..] => {
            let path = Path::new(OsStr::from_bytes(path));
            let file = File::open(path).with_context(|| format!("cannot read the query from `{}`", path.display()))?;
            read(file, &format!("`{}`", path.display()), instead)
        }
        bytes => Ok(Bytes::copy_from_slice(bytes)),
    }
}

/// Returns true if the partitions are read from stdin.
pub(super) fn reads_stdin(input: &[String], app: &App) -> bool {
    match input {
        [] => matches!(app.source, Source::Stdin { .. }),
        inputs => inputs.iter().any(|input| input == "-"),
    }
}

/// Warns if the query is the name of a file: the shell may have expanded a glob without quotes.
pub(super) fn hint(args: &QueryArgs) {
    let query = args.query.as_deref().filter(|_| !args.input.is_empty());
    if query.is_some_and(|query| Path::new(query).is_file()) {
        errln!("note: the query is also the name of a file\n({QUOTE})");
    }
}

fn read(from: impl Read, name: &str, instead: &str) -> anyhow::Result<Bytes> {
    if name == "stdin" && std::io::stdin().is_terminal() {
        errln!("reading the query from the terminal; end it with Ctrl-D");
    }
    let mut bytes = Vec::new();
    let read = from.take(MAX_QUERY + 1).read_to_end(&mut bytes);
    read.with_context(|| format!("cannot read the query from {name}"))?;
    without_mark(&mut bytes, name);
    if bytes.len() as u64 > MAX_QUERY {
        bail!("the query in {name} is larger than {}\n({instead})", show_size(MAX_QUERY));
    }
    Ok(bytes.into())
}

/// Removes the byte order mark of UTF-8, which some editors write and no parser expects. Warns
/// about UTF-16.
fn without_mark(bytes: &mut Vec<u8>, name: &str) {
    if bytes.starts_with(b"\xef\xbb\xbf") {
        bytes.drain(..3);
    } else if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        errln!("note: the query in {name} is text in UTF-16\n(save it as UTF-8 if the app does not take it)");
    }
}
