//! `frond jobs watch`: a job is followed until it has ended, also when the server goes away and comes back.

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

/// The server is asked to answer at the end of a job or after this, whichever comes first.
const LONGEST: Duration = Duration::from_secs(1);
/// No two requests follow each other faster, whatever the server says.
const SHORTEST: Duration = Duration::from_millis(200);
/// From one attempt to reach a server that is away to the next, at first and at most.
const PAUSES: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));
/// A server that is away for longer is not waited for.
const PATIENCE: Duration = Duration::from_secs(15 * 60);
/// A server that takes longer than this for what it does at once is away.
const AWAY: Duration = Duration::from_secs(20);

/// How following a job ended.
pub(super) enum End {
    /// With the job.
    Ended(Job),
    /// With the time that was given.
    NotYet(Job),
}

/// Runs the verb.
pub(super) async fn watch(client: &Client, args: &WatchArgs) -> anyhow::Result<Exit> {
    // Whether the server and the job are there at all is told at once, without waiting for them.
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

/// Does `work` until it ends, or an interrupt comes: that leaves the job alone.
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
    // What `work` showed went with it.
    let (watch, cancel) = (client.command("watch", id), client.command("cancel", id));
    match client.is_local {
        true => errln!("the job waits: what has arrived is kept\n({watch} goes on with it, {cancel} ends it)"),
        false => errln!("no longer watched: the job goes on\n({watch} watches it again, {cancel} stops it)"),
    }
    Ok(Exit::Interrupted)
}

/// Shows the job until it has ended, or `until` has come.
pub(super) async fn follow(
    client: &Client,
    id: JobId,
    until: Option<Instant>,
    display: &mut Display,
) -> Result<End, Trouble> {
    let mut wait = Duration::ZERO;
    let mut away = None::<Outage>;
    loop {
        let asked = Instant::now();
        match ask(client, id, wait).await {
            Ok(told) => {
                away = None;
                display.show(&told.value, &told.text);
                let job = told.value;
                if job.state.is_ended() {
                    return Ok(End::Ended(job));
                }
                if until.is_some_and(|until| Instant::now() >= until) {
                    return Ok(End::NotYet(job));
                }
                let left = until.map(|until| until.saturating_duration_since(Instant::now()));
                let poll = job.poll_after_ms.map_or(LONGEST, Duration::from_millis);
                wait = poll.clamp(SHORTEST, LONGEST).min(left.unwrap_or(LONGEST));
                if asked.elapsed() < wait.min(SHORTEST) {
                    pause(SHORTEST).await;
                }
            }
            Err(trouble) if trouble.is_passing() => {
                let since = away.get_or_insert_with(Outage::new);
                let over = until.is_some_and(|until| Instant::now() >= until);
                if over || since.start.elapsed() > PATIENCE {
                    return Err(trouble);
                }
                display.away(&trouble.brief());
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
    let request = client.request(Method::GET, &["v1", "jobs", &id.to_string()], query);
    client.told(request.timeout(AWAY)).await
}

/// Since when a server is away, and how often it was looked for.
struct Outage {
    start: Instant,
    next: Duration,
}

impl Outage {
    fn new() -> Self {
        Self { start: Instant::now(), next: PAUSES.0 }
    }

    /// The time until the next attempt, each longer than the one before.
    fn pause(&mut self) -> Duration {
        let now = self.next;
        self.next = (now * 2).min(PAUSES.1);
        now
    }
}

/// Time is kept by a thread: whoever waits may be dropped, the thread then ends by itself.
async fn pause(time: Duration) {
    // It only sleeps: there is nothing that could have gone wrong.
    let _ = tokio::task::spawn_blocking(move || std::thread::sleep(time)).await;
}

/// Takes the display away, and says on stderr how the job ended.
pub(super) fn verdict(client: &Client, job: &Job, display: &mut Display) {
    if !display.finish() {
        return;
    }
    message(&ending(job, TermStyle::stderr()));
    if is_redrivable(job) {
        errln!("({} runs again what is missing)", client.command("redrive", job.id));
    }
}

/// What would come out as it did is not worth another try.
fn is_redrivable(job: &Job) -> bool {
    let ended = matches!(job.state, JobState::Partial | JobState::Failed | JobState::Cancelled);
    ended && !matches!(job.exit(), Exit::InvalidQuery | Exit::Usage)
}
