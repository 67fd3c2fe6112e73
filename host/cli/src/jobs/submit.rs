//! `frond jobs submit`: submits a job, and may wait for it or watch it.

use std::time::Instant;

use frond_jobs::JobId;
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderValue};

use super::answer;
use super::client::Client;
use super::job::Job;
use super::trouble::Trouble;
use super::watching::{self, End};
use crate::args::SubmitArgs;
use crate::exit::Exit;
use crate::out::answer_line;
use crate::query::input;
use crate::show::jobs::watch::Display;

/// Submits a job, then returns, waits or watches as the options say.
pub(super) async fn submit(client: &Client, args: &SubmitArgs) -> anyhow::Result<Exit> {
    let query = input::bytes(args.query.as_deref(), "pass the content through the app's source")?;
    let mut request = client.request(Method::POST, &["v1", "apps", &args.app, "jobs"], &terms(args));
    *request.body_mut() = Some(query.into());
    request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    if let Some(key) = &args.key {
        request.headers_mut().insert("idempotency-key", HeaderValue::from_str(key)?);
    }
    let job = client.told::<Job>(request).await.map_err(|trouble| unknown(trouble, args))?.value;
    if args.watch {
        errln!("job {}", job.id);
        return watched(client, job.id).await;
    }
    answer_line(&job.id.to_string())?;
    match args.wait {
        Some(longest) => {
            let until = longest.and_then(|longest| Instant::now().checked_add(longest));
            waited(client, job.id, until).await
        }
        None => {
            if client.is_local() {
                errln!("the job waits\n({} runs it)", client.command("watch", job.id));
            }
            Ok(Exit::Whole)
        }
    }
}

fn terms(args: &SubmitArgs) -> Vec<(&'static str, String)> {
    let weight = args.weight.map(|weight| weight.to_string());
    let one = [
        ("floor", args.floor.clone()),
        ("timeout", args.timeout.clone()),
        ("retention", args.retention.clone()),
        ("weight", weight),
    ];
    let mut terms: Vec<_> = one.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    terms.extend(args.require.iter().map(|key| ("require", key.clone())));
    terms
}

/// Adds a hint to an error in which the reply is lost: the server may have accepted the job.
fn unknown(trouble: Trouble, args: &SubmitArgs) -> Trouble {
    match trouble {
        Trouble::CutShort { at, why, .. } => {
            let hint = match args.key {
                Some(_) => "the server may have accepted the job: the same command line returns that job",
                None => {
                    "the server may have accepted the job: check `frond jobs list`; with --key, submitting again is safe"
                }
            };
            Trouble::CutShort { at, why, hint: hint.to_owned() }
        }
        other => other,
    }
}

async fn watched(client: &Client, id: JobId) -> anyhow::Result<Exit> {
    let ended = watching::until_interrupted(client, id, async {
        let mut display = Display::stderr();
        match watching::follow(client, id, None, &mut display).await? {
            End::Ended(job) => {
                watching::verdict(client, &job, &mut display);
                // A cancelled job may have an answer, from the partials that had arrived.
                match answer::fetch(client, id, "result", None).await {
                    Ok(exit) => Ok(exit),
                    Err(error) if has_none(&error) => Ok(job.exit()),
                    Err(error) => Err(error),
                }
            }
            End::NotYet(job) => Ok(job.exit()),
        }
    });
    ended.await
}

/// Returns true if the server has no answer of the job; the verdict has given the reason.
fn has_none(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref::<Trouble>(), Some(trouble @ Trouble::Refused(_)) if !trouble.is_passing())
}

async fn waited(client: &Client, id: JobId, until: Option<Instant>) -> anyhow::Result<Exit> {
    let ended = watching::until_interrupted(client, id, async {
        let mut display = Display::quiet();
        match watching::follow(client, id, until, &mut display).await? {
            End::Ended(job) => {
                watching::verdict(client, &job, &mut display);
                Ok(job.exit())
            }
            End::NotYet(job) => {
                errln!(
                    "the job is {}: it has not ended yet\n({} waits for its end)",
                    job.state,
                    client.command("watch", id)
                );
                Ok(Exit::Unavailable)
            }
        }
    });
    ended.await
}
