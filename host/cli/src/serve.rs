//! `frond serve`: serves every app of a folder over HTTP.

pub(crate) mod log;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use frond_deploy::Registry;
use frond_server::config::JobRole;
use frond_server::{Config, CutOff, Order, Starting};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use self::log::Log;
use crate::args::{ServeArgs, ServeRole, WorkersArgs};
use crate::exit::{Exit, MachineFault};
use crate::out::print;
use crate::report::{MAX_TEXT, shown};
use crate::show::text::{plural, sanitise};
use crate::signals::Endings;
use crate::worker;

/// Capacity of the queue of orders to the server.
const ORDERS: usize = 8;

/// Runs the verb.
///
/// # Errors
/// When the settings are invalid, the address is in use, or the machine does not allow the server
/// to run.
pub(crate) fn run(args: &ServeArgs) -> anyhow::Result<Exit> {
    let config = Overrides::of(args).read(args.config.as_deref())?;
    config.check()?;
    if args.print_config {
        let text = toml::to_string(&config).context(MachineFault::new("the settings could not be written"))?;
        print(text.as_bytes())?;
        return Ok(Exit::Whole);
    }
    config.jobs.check_shared()?;
    let log = Arc::new(Log::start(&config.log)?);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context(MachineFault::new("the runtime could not be started"))?;
    let cut_off = runtime.block_on(serve(args, config, &log))?;
    // Otherwise a guest stuck in host work would keep the process from ending.
    runtime.shutdown_background();
    Ok(if cut_off == CutOff::default() { Exit::Whole } else { Exit::Interrupted })
}

async fn serve(args: &ServeArgs, config: Config, log: &Arc<Log>) -> anyhow::Result<CutOff> {
    let dir = args.dir.as_path();
    // A parent process that reads the address from stdout may send a signal at once.
    let mut signals = Signals::new()?;
    let starting = tokio::select! {
        starting = Starting::start(dir, config) => starting?,
        // The start may wait for the jobs database. The server has no work yet.
        () = signals.endings.next() => return Ok(CutOff::default()),
    };
    let lost = starting.lost_log_lines();
    log.tell_losses(move |lines| lost.add(lines));
    if let Err(error) = print(format!("listening on {}\n", starting.url()).as_bytes()) {
        tracing::warn!("cannot write to stdout that the server listens on {}: {error:#}", starting.url());
    }
    let report = tokio::spawn(report_apps(starting.apps(), dir.to_path_buf(), log.clone()));
    let (send, orders) = mpsc::channel(ORDERS);
    let signals = tokio::spawn(signals.pass_on(send, args.config.clone(), Overrides::of(args)));
    let cut_off = starting.serve(orders).await;
    signals.abort();
    report.abort();
    for query in &cut_off.queries {
        log.say(&format!("cut off: query {query}"));
    }
    if cut_off.connections > 0 {
        log.say(&format!("cut off: {} connections", cut_off.connections));
    }
    Ok(cut_off)
}

/// Logs the served apps, once the folder has been read.
async fn report_apps(apps: Arc<Registry>, dir: PathBuf, log: Arc<Log>) {
    apps.ready().await;
    let all = apps.apps();
    log.say(&format!("{} in {}", plural(all.len() as u64, "app", "apps"), dir.display()));
    for app in all {
        let name = sanitise(&app.name, MAX_TEXT);
        match app.wrong() {
            None => log.say(&format!("  {name}")),
            Some(wrong) => log.say(&format!("  {name}: not served: {}", shown(&wrong).replace('\n', "\n    "))),
        }
    }
}

/// Settings from the command line, which override the file also when it is reloaded.
struct Overrides {
    listen: Option<std::net::SocketAddr>,
    slots: Option<usize>,
    waiting: Option<usize>,
    insecure: bool,
    role: Option<JobRole>,
    workers: WorkersArgs,
}

impl Overrides {
    fn of(args: &ServeArgs) -> Self {
        let role = args.role.map(|role| match role {
            ServeRole::Dispatcher => JobRole::Dispatcher,
            ServeRole::Processor => JobRole::Processor,
            ServeRole::All => JobRole::All,
        });
        let waiting = args.waiting.map(|waiting| waiting as usize);
        let slots = args.slots.map(usize::from);
        Self { listen: args.listen, slots, waiting, insecure: args.insecure, role, workers: args.workers.clone() }
    }

    fn read(&self, path: Option<&Path>) -> anyhow::Result<Config> {
        let mut config = path.map_or_else(|| Ok(Config::default()), Config::read)?;
        config.listen = self.listen.unwrap_or(config.listen);
        config.slots = self.slots.unwrap_or(config.slots);
        config.waiting = self.waiting.unwrap_or(config.waiting);
        config.insecure |= self.insecure;
        config.jobs.role = self.role.unwrap_or(config.jobs.role);
        config.workers = worker::settings(&self.workers, config.workers);
        Ok(config)
    }
}

/// Signals that control a server.
struct Signals {
    endings: Endings,
    /// Handled even under `nohup`, because it only reloads the settings.
    hangup: Signal,
}

impl Signals {
    fn new() -> anyhow::Result<Self> {
        let hangup = signal(SignalKind::hangup()).context(MachineFault::new("signal handlers cannot be installed"))?;
        Ok(Self { endings: Endings::new()?, hangup })
    }

    /// Turns signals into orders: the first one to end stops the server, the second quits.
    async fn pass_on(mut self, orders: mpsc::Sender<Order>, config: Option<PathBuf>, overrides: Overrides) {
        let mut stopping = false;
        loop {
            let order = tokio::select! {
                () = self.endings.next() => if stopping { Order::Quit } else { Order::Stop },
                _ = self.hangup.recv() => match overrides.read(config.as_deref()) {
                    Ok(config) => Order::Reload(Box::new(config)),
                    Err(error) => {
                        tracing::error!("the settings cannot be reloaded, the old ones stay: {error:#}");
                        continue;
                    }
                },
            };
            stopping |= matches!(order, Order::Stop);
            if orders.send(order).await.is_err() {
                return;
            }
        }
    }
}
