//! `frond jobs result`: streams an answer's bytes from the server to stdout or a file.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use anyhow::Context;
use frond_jobs::JobId;
use reqwest::header::HeaderMap;
use reqwest::{Method, Response};

use super::client::Client;
use crate::args::ResultArgs;
use crate::exit::{Exit, MachineFault};
use crate::out::Answer;
use crate::show::text::sanitise;

/// Limit on the shown length of a header's value.
const MAX_HEADER: usize = 100;

/// Runs the verb.
pub(super) async fn result(client: &Client, args: &ResultArgs) -> anyhow::Result<Exit> {
    let what = if args.partial { "partial" } else { "result" };
    let exit = fetch(client, args.id, what, args.output.as_deref()).await?;
    if exit == Exit::Partial && !args.partial {
        errln!("({} says what is missing)", client.command("show", args.id));
    }
    Ok(exit)
}

/// Writes the answer, reports a partial one on stderr, and returns its exit code.
pub(super) async fn fetch(client: &Client, id: JobId, what: &str, output: Option<&Path>) -> anyhow::Result<Exit> {
    let request = client.request(Method::GET, &["v1", "jobs", &id.to_string(), what], &[]);
    let mut reply = client.send(request).await?;
    match output {
        None => {
            let mut answer = Answer::begin();
            pour(client, &mut reply, |piece| answer.write(piece)).await?;
            answer.end()?;
        }
        Some(path) => {
            let mut file = File::create(path).with_context(|| format!("cannot write to `{}`", path.display()))?;
            let write = |piece: &[u8]| {
                file.write_all(piece).context(MachineFault::new("the answer could not be written"))?;
                Ok(true)
            };
            let poured = pour(client, &mut reply, write).await;
            if poured.is_err() {
                errln!("`{}` holds only the answer's beginning", path.display());
            }
            poured?;
        }
    }
    Ok(report_coverage(reply.headers()))
}

/// Reports a partial answer on stderr, by the headers of the reply, and returns the exit code.
fn report_coverage(headers: &HeaderMap) -> Exit {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    match text("frond-complete") {
        Some("false") => {
            // The header has the share and the counts, as in `0.9; 9/10`.
            let coverage = text("frond-coverage").and_then(|text| text.split_once("; "));
            let of = coverage.map(|(_, of)| format!(": {} partitions", sanitise(&of.replace('/', " of "), MAX_HEADER)));
            errln!("the answer is partial{}", of.unwrap_or_default());
            Exit::Partial
        }
        _ => Exit::Whole,
    }
}

/// Passes the reply's body to `write` until it ends or `write` returns false.
async fn pour(
    client: &Client,
    reply: &mut Response,
    mut write: impl FnMut(&[u8]) -> anyhow::Result<bool>,
) -> anyhow::Result<()> {
    while let Some(piece) = client.piece(reply).await? {
        if !write(&piece)? {
            break;
        }
    }
    Ok(())
}
