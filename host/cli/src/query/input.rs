//! The query's bytes: from the command line, a file, or stdin.

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
    let Some(query) = &args.query else {
        return Ok(Bytes::new());
    };
    match query.as_bytes() {
        b"-" => {
            if reads_stdin(args.input.as_deref(), app) {
                bail!(
                    "both the query and the partitions would be read from stdin\n(give the query as an argument or as @FILE)"
                );
            }
            read(std::io::stdin(), "stdin")
        }
        b"@" => bail!("`@` is not followed by the name of a file\n(such as @query.json)"),
        [b'@', path @ ..] => {
            let path = Path::new(std::ffi::OsStr::from_bytes(path));
            let file = File::open(path).with_context(|| format!("cannot read the query from `{}`", path.display()))?;
            read(file, &format!("`{}`", path.display()))
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

fn read(from: impl Read, name: &str) -> anyhow::Result<Bytes> {
    if name == "stdin" && std::io::stdin().is_terminal() {
        eprintln!("reading the query from the terminal; end it with Ctrl-D");
    }
    let mut bytes = Vec::new();
    let read = from.take(MAX_QUERY + 1).read_to_end(&mut bytes);
    read.with_context(|| format!("cannot read the query from {name}"))?;
    if bytes.len() as u64 > MAX_QUERY {
        bail!(
            "the query in {name} is larger than {}\n(let the app's source bring the content: --input)",
            show_size(MAX_QUERY)
        );
    }
    Ok(bytes.into())
}
