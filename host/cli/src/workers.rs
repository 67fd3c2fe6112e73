//! `frond workers`: the workers of a server.

use anyhow::bail;
use reqwest::Method;
use serde::Deserialize;
use serde_json::Value;

use crate::args::{OutputMode, WorkerDrainArgs, WorkerNameArgs, WorkersVerb, WorkersVerbArgs};
use crate::exit::Exit;
use crate::jobs::client::Client;
use crate::out::{answer_line, print, stdout_is_terminal};
use crate::query::runtime;
use crate::show::style::{MAX_WIDTH, TermStyle};
use crate::show::workers::{self, Worker};

/// The workers of a server.
#[derive(Debug, Deserialize)]
struct List {
    workers: Vec<Worker>,
    #[serde(default)]
    isolated: Vec<Worker>,
    #[serde(default)]
    may_join: bool,
}

/// The result of a drain.
#[derive(Debug, Deserialize)]
struct Drained {
    draining: u64,
}

/// Runs the verb.
///
/// # Errors
/// When the command line is wrong, and [`crate::jobs::Trouble`] with the server.
pub(crate) fn run(args: &WorkersVerbArgs) -> anyhow::Result<Exit> {
    let runtime = runtime()?;
    let client = Client::open(&args.at)?;
    let ended = runtime.block_on(async {
        match &args.verb {
            WorkersVerb::List(list_args) => list(&client, list_args.format).await,
            WorkersVerb::Show(of) => show(&client, of).await,
            WorkersVerb::Drain(of) => drain(&client, of).await,
        }
    });
    runtime.shutdown_background();
    ended
}

async fn list(client: &Client, format: OutputMode) -> anyhow::Result<Exit> {
    let reply = client.json::<List>(Method::GET, &["v1", "workers"], &[]).await?;
    if format == OutputMode::Json {
        answer_line(&reply.text)?;
        return Ok(Exit::Whole);
    }
    let List { workers, isolated, may_join } = reply.value;
    // Piped output is for other programs and has no width.
    let style = TermStyle::stdout();
    let width = if stdout_is_terminal() { style.width } else { MAX_WIDTH };
    let style = TermStyle { width, ..style };
    print(workers::table(&workers, style).as_bytes())?;
    print(workers::isolated(&isolated, style).as_bytes())?;
    match (!workers.iter().any(Worker::is_here), may_join) {
        (true, true) => {
            errln!(
                "no worker is here: none has joined, or all have left\n(frond worker --nats URL starts one; one that was drained joins again once it is restarted)"
            )
        }
        (true, false) => errln!("this server has no workers: its leaves run in its own process\n(frond serve --help)"),
        _ => {}
    }
    Ok(Exit::Whole)
}

async fn show(client: &Client, args: &WorkerNameArgs) -> anyhow::Result<Exit> {
    let reply = client.json::<Value>(Method::GET, &["v1", "workers"], &[]).await?.value;
    let all = ["workers", "isolated"].iter().filter_map(|list| reply.get(list).and_then(Value::as_array)).flatten();
    let named: Vec<_> = all.filter(|one| one.get("name").and_then(Value::as_str) == Some(&args.name)).collect();
    if named.is_empty() {
        bail!("the server has no worker of this name\n(frond workers list shows all)");
    }
    for one in named {
        match args.format {
            OutputMode::Json => answer_line(&one.to_string())?,
            OutputMode::Text => {
                let worker = Worker::deserialize(one)?;
                print(workers::whole(&worker, TermStyle::stdout()).as_bytes())?;
            }
        }
    }
    Ok(Exit::Whole)
}

async fn drain(client: &Client, args: &WorkerDrainArgs) -> anyhow::Result<Exit> {
    let reply = client.json::<Drained>(Method::POST, &["v1", "workers", &args.name, "drain"], &[]).await?;
    match args.format {
        OutputMode::Json => answer_line(&reply.text)?,
        OutputMode::Text if reply.value.draining == 1 => {
            errln!("the worker gets nothing more from this server, and leaves it once its attempts have ended");
        }
        OutputMode::Text => errln!(
            "{} workers of this name get nothing more from this server, and leave it once their attempts have ended",
            reply.value.draining
        ),
    }
    Ok(Exit::Whole)
}
