//! `frond jobs watch`: follows a job until it has ended, across outages of the server.

use std::time::{Duration, Instant};

use frond_jobs::{JobId, JobState};
use reqwest::Method;

use super::Trouble;
use super::client::{Client, ParsedReply};
use super::job::Job;
use crate::args::{OutputMode, WatchArgs};
use crate::exit::Exit;
use crate::out::message;
use crate::show::jobs::ending;
use crate::show::jobs::watch::Display;
use crate::show::style::TermStyle;
use crate::signals::Endings;

/// Limit on the long poll: the server replies at the end of the job or after this time.
const LONGEST: Duration = Duration::from_secs(1);
/// Shortest interval between two requests, whatever the server suggests.
const SHORTEST: Duration = Duration::from_millis(200);
/// First and longest pause between two attempts to reach a server that is down.
const PAUSES: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));
/// Limit on an outage, after which the watcher gives up.
const MAX_OUTAGE: Duration = Duration::from_secs(15 * 60);
/// Request timeout, after which the server counts as down.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Reason why following a job ended.
pub(super) enum End {
    /// The job has ended.
    Ended(Job),
    /// The given time is over.
    NotYet(Job),
}

/// Runs the verb.
pub(super) async fn watch(client: &Client, args: &WatchArgs) -> anyhow::Result<Exit> {
    // Fails at once if the server or the job does not exist, instead of waiting for it.
    client.job(args.id).await?;
    let watched = until_interrupted(client, args.id, async {
        let mut display = match args.format {
            OutputMode::Text => Display::stderr(),
            OutputMode::Json => Display::json(),
        };
        let (End::Ended(job) | End::NotYet(job)) = follow(client, args.id, None, &mut display).await?;
        verdict(client, &job, &mut display);
        if args.format == OutputMode::Text && matches!(job.state, JobState::Succeeded | JobState::Partial) {
            errln!("({} prints the answer)", client.command("result", job.id));
        }
        Ok(job.exit())
    });
    watched.await
}

/// Runs `work` until it ends or an interrupt arrives. An interrupt leaves the job alone.
pub(super) async fn until_interrupted(
    client: &Client,
    id: JobId,
    work: impl Future<Output = anyhow::Result<Exit>>,
) -> anyhow::Result<Exit> {
    let mut endings = Endings::new()?;
    tokio::select! {
        ended = work => return ended,
        () = endings.next() => {}
    }
    // Dropping `work` has removed its display.
    let watch = client.command("watch", id);
    let cancel = client.command("cancel", id);
    if client.is_local() {
        errln!("the job waits: the accepted partials are kept\n({watch} resumes the job, {cancel} ends it)");
    } else {
        errln!("no longer watched: the job continues\n({watch} watches it again, {cancel} stops it)");
    }
    Ok(Exit::Interrupted)
}

/// Shows the job until it has ended, or until the time `until`.
pub(super) async fn follow(
    client: &Client,
    id: JobId,
    until: Option<Instant>,
    display: &mut Display,
) -> Result<End, Trouble> {
    let mut wait = Duration::ZERO;
    let mut outage = None::<Outage>;
    loop {
        let start = Instant::now();
        match ask(client, id, wait).await {
            Ok(reply) => {
                outage = None;
                display.show(&reply.value, &reply.text);
                let job = reply.value;
                if job.state.is_ended() {
                    return Ok(End::Ended(job));
                }
                if until.is_some_and(|until| Instant::now() >= until) {
                    return Ok(End::NotYet(job));
                }
                let left = until.map(|until| until.saturating_duration_since(Instant::now()));
                let poll = job.poll_after_ms.map_or(LONGEST, Duration::from_millis);
                wait = poll.clamp(SHORTEST, LONGEST).min(left.unwrap_or(LONGEST));
                if start.elapsed() < wait.min(SHORTEST) {
                    pause(SHORTEST).await;
                }
            }
            Err(trouble) if trouble.is_passing() => {
                let since = outage.get_or_insert_with(Outage::new);
                let over = until.is_some_and(|until| Instant::now() >= until);
                if over || since.start.elapsed() > MAX_OUTAGE {
                    return Err(trouble);
                }
                display.away(client.peer(), &trouble.brief());
                pause(since.pause()).await;
                wait = Duration::ZERO;
            }
            Err(trouble) => return Err(trouble),
        }
    }
}

async fn ask(client: &Client, id: JobId, wait: Duration) -> Result<ParsedReply<Job>, Trouble> {
    let query: &[_] = &[("wait", format!("{}ms", wait.as_millis()))];
    let query = if wait.is_zero() { &[] } else { query };
    let mut request = client.request(Method::GET, &["v1", "jobs", &id.to_string()], query);
    *request.timeout_mut() = Some(TIMEOUT);
    client.told(request).await
}

/// An outage of the server: its start, and the next pause of the exponential back-off.
struct Outage {
    start: Instant,
    next: Duration,
}

impl Outage {
    fn new() -> Self {
        Self { start: Instant::now(), next: PAUSES.0 }
    }

    /// Returns the pause before the next attempt, and doubles the next one up to the longest.
    fn pause(&mut self) -> Duration {
        let now = self.next;
        self.next = (now * 2).min(PAUSES.1);
        now
    }
}

/// Sleeps on a blocking thread, which also ends if the waiting future is dropped.
async fn pause(time: Duration) {
    // The closure only sleeps and cannot panic.
    let _ = tokio::task::spawn_blocking(move || std::thread::sleep(time)).await;
}

/// Removes the display, and reports on stderr how the job ended.
pub(super) fn verdict(client: &Client, job: &Job, display: &mut Display) {
    if !display.finish() {
        return;
    }
    message(&ending(job, TermStyle::stderr()));
    if is_redrivable(job) {
        errln!("({} runs the missing partitions again)", client.command("redrive", job.id));
    }
}

/// Returns true if another run could change the outcome.
fn is_redrivable(job: &Job) -> bool {
    let ended = matches!(job.state, JobState::Partial | JobState::Failed | JobState::Cancelled);
    ended && !matches!(job.exit(), Exit::InvalidQuery | Exit::Usage)
}
