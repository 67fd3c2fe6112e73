//! The query's bytes: from the command line, a file, or stdin.

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

/// The largest query, in bytes. Partitions that come with it count.
const MAX_QUERY: u64 = 64 << 20;

/// The query, as the arguments name it.
///
/// # Errors
/// A file that cannot be read, a query that is too large, or stdin that is wanted twice.
pub(super) fn query(args: &QueryArgs, app: &App) -> anyhow::Result<Bytes> {
    if args.query.as_deref().is_some_and(|query| query == "-") && reads_stdin(&args.input, app) {
        bail!(
            "both the query and the partitions would be read from stdin\n(give the query as an argument or as @FILE)"
        );
    }
    bytes(args.query.as_deref(), "let the app's source bring the content: --input")
}

/// A query's bytes, as an argument names them; `instead` is what to do with more than can be taken.
///
/// # Errors
/// A file that cannot be read, or a query that is too large.
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

/// True when the partitions come from stdin.
pub(super) fn reads_stdin(input: &[String], app: &App) -> bool {
    match input {
        [] => matches!(app.source, Source::Stdin { .. }),
        inputs => inputs.iter().any(|input| input == "-"),
    }
}

/// Tells of a query that may be what a shell made of a glob without quotes.
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

/// Takes the byte order mark off text in UTF-8: some editors put one, and no parser expects it. Names text in UTF-16.
fn without_mark(bytes: &mut Vec<u8>, name: &str) {
    if bytes.starts_with(b"\xef\xbb\xbf") {
        bytes.drain(..3);
    } else if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        errln!("note: the query in {name} is text in UTF-16\n(save it as UTF-8 if the app does not take it)");
    }
}
