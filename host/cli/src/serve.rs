//! `frond serve`: every app of a folder, over HTTP.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use frond_server::apps::Registry;
use frond_server::config::{JobRole, LogFormat, LogLevel};
use frond_server::{Config, CutOff, Order, Starting};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tracing::level_filters::LevelFilter;

use crate::args::{ServeArgs, ServeRole};
use crate::exit::{Exit, Machine};
use crate::query::print;
use crate::show::text::{plural, sanitise};
use crate::{MAX_TEXT, shown};

/// Orders that wait for the server.
const ORDERS: usize = 8;

/// Runs the verb.
///
/// # Errors
/// Settings that are wrong, an address that is taken, a machine that does not let it work.
pub(crate) fn run(args: &ServeArgs) -> anyhow::Result<Exit> {
    let config = Overrides::of(args).read(args.config.as_deref())?;
    config.check()?;
    if args.print_config {
        let text = toml::to_string(&config).context(Machine::new("the settings could not be written"))?;
        print(text.as_bytes())?;
        return Ok(Exit::Whole);
    }
    log(&config)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context(Machine::new("the runtime could not be started"))?;
    let cut_off = runtime.block_on(serve(args, config))?;
    // A guest that is stuck in host work would hold the process up at its end.
    runtime.shutdown_background();
    Ok(if cut_off == CutOff::default() { Exit::Whole } else { Exit::Interrupted })
}

fn log(config: &Config) -> anyhow::Result<()> {
    let level = match config.log.level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
    };
    let log = tracing_subscriber::fmt().with_max_level(level).with_writer(std::io::stderr).with_target(false);
    let set = match config.log.format {
        LogFormat::Json => log.json().flatten_event(true).try_init(),
        LogFormat::Text => log.with_ansi(crate::show::look::Look::stderr().colour).try_init(),
    };
    set.map_err(|error| anyhow::anyhow!("{error}")).context(Machine::new("the log could not be set up"))
}

async fn serve(args: &ServeArgs, config: Config) -> anyhow::Result<CutOff> {
    let dir = args.dir.as_path();
    // Whoever reads where it listens may send a signal at once.
    let signals = Signals::new().context(Machine::new("signals cannot be heard"))?;
    let starting = Starting::start(dir, config).await?;
    print(format!("listening on {}\n", starting.url()).as_bytes())?;
    let telling = tokio::spawn(tell(starting.apps(), dir.to_path_buf()));
    let (send, orders) = mpsc::channel(ORDERS);
    let signals = tokio::spawn(signals.pass_on(send, args.config.clone(), Overrides::of(args)));
    let cut_off = starting.serve(orders).await;
    signals.abort();
    telling.abort();
    for query in &cut_off.queries {
        eprintln!("cut off: query {query}");
    }
    if cut_off.connections > 0 {
        eprintln!("cut off: {} connections", cut_off.connections);
    }
    Ok(cut_off)
}

/// Says which apps there are, once each has been looked at.
async fn tell(apps: Arc<Registry>, dir: PathBuf) {
    apps.ready().await;
    let all = apps.apps();
    eprintln!("{} in {}", plural(all.len() as u64, "app", "apps"), dir.display());
    for app in all {
        match app.wrong() {
            None => eprintln!("  {}", sanitise(&app.name, MAX_TEXT)),
            Some(wrong) => {
                eprintln!("  {}: not served: {}", sanitise(&app.name, MAX_TEXT), shown(&wrong).replace('\n', "\n    "))
            }
        }
    }
}

/// What the command line says whatever a file that is read again says.
struct Overrides {
    listen: Option<std::net::SocketAddr>,
    slots: Option<usize>,
    insecure: bool,
    role: Option<JobRole>,
}

impl Overrides {
    fn of(args: &ServeArgs) -> Self {
        let role = args.role.map(|role| match role {
            ServeRole::Dispatcher => JobRole::Dispatcher,
            ServeRole::Processor => JobRole::Processor,
            ServeRole::All => JobRole::All,
        });
        Self { listen: args.listen, slots: args.slots.map(usize::from), insecure: args.insecure, role }
    }

    fn read(&self, path: Option<&Path>) -> anyhow::Result<Config> {
        let mut config = path.map_or_else(|| Ok(Config::default()), Config::read)?;
        config.listen = self.listen.unwrap_or(config.listen);
        config.slots = self.slots.unwrap_or(config.slots);
        config.insecure |= self.insecure;
        config.jobs.role = self.role.unwrap_or(config.jobs.role);
        Ok(config)
    }
}

/// What a server is told by signals.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Signals as orders: the first to end stops, the second quits.
    async fn pass_on(mut self, orders: mpsc::Sender<Order>, config: Option<PathBuf>, overrides: Overrides) {
        let mut stopping = false;
        loop {
            let order = tokio::select! {
                _ = self.interrupt.recv() => if stopping { Order::Quit } else { Order::Stop },
                _ = self.terminate.recv() => if stopping { Order::Quit } else { Order::Stop },
                _ = self.hangup.recv() => match overrides.read(config.as_deref()) {
                    Ok(config) => Order::Reload(Box::new(config)),
                    Err(error) => {
                        tracing::error!("the settings cannot be read again, the old ones stay: {error:#}");
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
