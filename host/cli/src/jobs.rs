//! `frond jobs`: jobs of a server or of a folder. In the order of reading: [`client`] sends
//! requests to a server, or to its handlers inside this process ([`local`]). [`trouble`] has the
//! errors of that. [`job`] is the server's view of a job, and [`watching`] follows one. The verbs
//! come last.

mod answer;
pub(crate) mod client;
pub(crate) mod job;
mod local;
mod submit;
mod trouble;
mod watching;

use anyhow::bail;
use reqwest::Method;

use self::client::Client;
use self::job::{Job, List};
pub(crate) use self::trouble::Trouble;
use crate::args::{CancelArgs, DeleteArgs, JobsArgs, JobsVerb, ListArgs, OutputMode, RedriveArgs, ShowArgs};
use crate::exit::Exit;
use crate::out::{answer_line, print, stdout_is_terminal};
use crate::query::runtime;
use crate::show::jobs;
use crate::show::style::{MAX_WIDTH, TermStyle};

/// Runs the verb.
///
/// # Errors
/// When the command line is wrong, and [`Trouble`] with the server.
pub(crate) fn run(args: &JobsArgs) -> anyhow::Result<Exit> {
    let remote = &args.remote;
    let runtime = runtime()?;
    let ended = runtime.block_on(async {
        let Some(dir) = &remote.local else {
            return ask(&Client::open(&remote.at)?, &args.verb).await;
        };
        if remote.at.server.is_some() || remote.at.token_file.is_some() || remote.at.ca.is_some() {
            bail!(
                "--local works without a server, and takes no --server, --token-file or --ca\n(give --local, or --server)"
            );
        }
        let client = Client::local(dir, &args.verb).await?;
        let ended = ask(&client, &args.verb).await;
        client.end().await;
        ended
    });
    runtime.shutdown_background();
    ended
}

async fn ask(client: &Client, verb: &JobsVerb) -> anyhow::Result<Exit> {
    match verb {
        JobsVerb::Submit(args) => submit::submit(client, args).await,
        JobsVerb::List(args) => list(client, args).await,
        JobsVerb::Show(args) => show(client, args).await,
        JobsVerb::Watch(args) => watching::watch(client, args).await,
        JobsVerb::Result(args) => answer::result(client, args).await,
        JobsVerb::Cancel(args) => cancel(client, args).await,
        JobsVerb::Delete(args) => delete(client, args).await,
        JobsVerb::Redrive(args) => redrive(client, args).await,
    }
}

async fn list(client: &Client, args: &ListArgs) -> anyhow::Result<Exit> {
    let mut query = vec![("limit", args.limit.to_string())];
    query.extend(args.app.iter().map(|app| ("app", app.clone())));
    if !args.state.is_empty() {
        let states: Vec<_> = args.state.iter().map(|state| state.slug()).collect();
        query.push(("state", states.join(",")));
    }
    query.extend(args.after.iter().map(|id| ("after", id.to_string())));
    let reply = client.json::<List>(Method::GET, &["v1", "jobs"], &query).await?;
    if args.format == OutputMode::Json {
        answer_line(&reply.text)?;
        return Ok(Exit::Whole);
    }
    // Piped output is for other programs and has no width.
    let style = TermStyle::stdout();
    let width = if stdout_is_terminal() { style.width } else { MAX_WIDTH };
    print(jobs::table(&reply.value.jobs, unix_ms(), TermStyle { width, ..style }).as_bytes())?;
    match reply.value.next {
        Some(next) => errln!("there may be more (--after {next}, or a higher --limit)"),
        None if reply.value.jobs.is_empty() => errln!("no job matches"),
        None => {}
    }
    Ok(Exit::Whole)
}

async fn show(client: &Client, args: &ShowArgs) -> anyhow::Result<Exit> {
    let reply = client.job(args.id).await?;
    match args.format {
        OutputMode::Json => answer_line(&reply.text)?,
        OutputMode::Text => print(jobs::whole(&reply.value, unix_ms(), TermStyle::stdout()).as_bytes())?,
    }
    Ok(Exit::Whole)
}

async fn cancel(client: &Client, args: &CancelArgs) -> anyhow::Result<Exit> {
    let id = args.id.to_string();
    let query: &[_] = if args.keep_partial { &[("keep-partial", "true".to_owned())] } else { &[] };
    let job = client.json::<Job>(Method::DELETE, &["v1", "jobs", &id], query).await?.value;
    if job.state.is_ended() {
        errln!("the job is {}", job.state);
    } else {
        errln!("the job will end soon\n({} waits for that)", client.command("watch", args.id));
    }
    Ok(Exit::Whole)
}

async fn delete(client: &Client, args: &DeleteArgs) -> anyhow::Result<Exit> {
    for id in &args.ids {
        let query = [("purge", "true".to_owned())];
        client.json::<Job>(Method::DELETE, &["v1", "jobs", &id.to_string()], &query).await?;
    }
    let jobs = args.ids.len();
    errln!("{jobs} {} deleted", if jobs == 1 { "job is" } else { "jobs are" });
    Ok(Exit::Whole)
}

async fn redrive(client: &Client, args: &RedriveArgs) -> anyhow::Result<Exit> {
    let id = args.id.to_string();
    let job = client.json::<Job>(Method::POST, &["v1", "jobs", &id, "redrive"], &[]).await?.value;
    errln!("the job is {}\n({} shows its progress)", job.state, client.command("watch", args.id));
    Ok(Exit::Whole)
}

/// Returns the Unix time in milliseconds, for ages. With a clock before 1970 it is 0, and every job
/// looks new.
fn unix_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
