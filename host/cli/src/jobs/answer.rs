//! `frond jobs result`: an answer's bytes, from the server to stdout or a file as they come.

use std::fs::File;
use std::io::{ErrorKind, IsTerminal, Write};
use std::path::Path;

use anyhow::Context;
use frond_jobs::JobId;
use reqwest::header::HeaderMap;
use reqwest::{Method, Response};

use super::client::Client;
use crate::args::ResultArgs;
use crate::exit::{Exit, Machine};
use crate::show::text::sanitise;

/// Longer headers are not ours.
const MAX_HEADER: usize = 100;

/// Runs the verb.
pub(super) async fn result(client: &Client, args: &ResultArgs) -> anyhow::Result<Exit> {
    let what = if args.partial { "partial" } else { "result" };
    let exit = fetch(client, args.id, what, args.output.as_deref()).await?;
    if exit == Exit::Partial && !args.partial {
        eprintln!("({} says what is missing)", client.command("show", args.id));
    }
    Ok(exit)
}

/// Writes what there is, and says how much of an answer it is.
pub(super) async fn fetch(client: &Client, id: JobId, what: &str, output: Option<&Path>) -> anyhow::Result<Exit> {
    let request = client.request(Method::GET, &["v1", "jobs", &id.to_string(), what], &[]);
    let mut reply = client.send(request).await?;
    match output {
        None => pour(client, &mut reply, &mut std::io::stdout().lock(), std::io::stdout().is_terminal()).await?,
        Some(path) => {
            let mut file = File::create(path).with_context(|| format!("cannot write to `{}`", path.display()))?;
            let poured = pour(client, &mut reply, &mut file, false).await;
            if poured.is_err() {
                eprintln!("`{}` holds only the answer's beginning", path.display());
            }
            poured?;
        }
    }
    Ok(told(reply.headers()))
}

/// How much of an answer the reply's head says it is.
fn told(headers: &HeaderMap) -> Exit {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    match text("frond-complete") {
        Some("false") => {
            // A share and how many of how many, as for a query.
            let coverage = text("frond-coverage").and_then(|text| text.split_once("; "));
            let of = coverage.map(|(_, of)| format!(": {} partitions", sanitise(&of.replace('/', " of "), MAX_HEADER)));
            eprintln!("the answer is partial{}", of.unwrap_or_default());
            Exit::Partial
        }
        _ => Exit::Whole,
    }
}

/// A reader that has gone away, such as `head`, has had enough: that is no error.
async fn pour(client: &Client, reply: &mut Response, out: &mut impl Write, terminal: bool) -> anyhow::Result<()> {
    let mut last = b'\n';
    while let Some(piece) = client.piece(reply).await? {
        if is_gone(out.write_all(&piece))? {
            return Ok(());
        }
        last = piece.last().copied().unwrap_or(last);
    }
    if terminal && last != b'\n' {
        is_gone(out.write_all(b"\n"))?;
    }
    is_gone(out.flush())?;
    Ok(())
}

fn is_gone(written: std::io::Result<()>) -> anyhow::Result<bool> {
    match written {
        Ok(()) => Ok(false),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(true),
        Err(error) => Err(error).context(Machine::new("the answer could not be written")),
    }
}
