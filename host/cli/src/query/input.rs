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

use crate::args::QueryArgs;

/// The largest query, in bytes. Partitions that come with it count.
const MAX_QUERY: u64 = 64 << 20;

/// The query, as the arguments name it.
///
/// # Errors
/// A file that cannot be read, a query that is too large, or stdin that is wanted twice.
pub(super) fn query(args: &QueryArgs, app: &App) -> anyhow::Result<Bytes> {
    if args.query.as_deref().is_some_and(|query| query == "-") && reads_stdin(args.input.as_deref(), app) {
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
pub(super) fn reads_stdin(input: Option<&str>, app: &App) -> bool {
    match input {
        Some(input) => input == "-",
        None => matches!(app.source, Source::Stdin { .. }),
    }
}

fn read(from: impl Read, name: &str, instead: &str) -> anyhow::Result<Bytes> {
    if name == "stdin" && std::io::stdin().is_terminal() {
        errln!("reading the query from the terminal; end it with Ctrl-D");
    }
    let mut bytes = Vec::new();
    let read = from.take(MAX_QUERY + 1).read_to_end(&mut bytes);
    read.with_context(|| format!("cannot read the query from {name}"))?;
    if bytes.len() as u64 > MAX_QUERY {
        bail!("the query in {name} is larger than {}\n({instead})", show_size(MAX_QUERY));
    }
    Ok(bytes.into())
}
