//! Jobs without a separate server: a private one inside this process, for the duration of
//! the verb. Jobs of a folder of apps are thus stored and run by the same code in both cases.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use frond_deploy::{OpenError, StateError};
use frond_server::config::fresh_token;
use frond_server::config::{Config, JobRole, Jobs, Role, Time, Token};
use frond_server::{CutOff, Order, ServeError, Starting};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::Trouble;
use crate::args::JobsVerb;
use crate::exit::MachineFault;

/// Lease of a job: the time after which another process takes over the job of a killed one.
const LEASE: Duration = Duration::from_secs(5);

/// The server inside this process.
pub(super) struct Local {
    pub(super) url: String,
    pub(super) token: String,
    works: bool,
    orders: mpsc::Sender<Order>,
    serving: JoinHandle<CutOff>,
}

impl Local {
    /// Opens the jobs of a folder of apps, and starts the parts of a server that the verb needs.
    pub(super) async fn start(dir: &Path, verb: &JobsVerb) -> anyhow::Result<Self> {
        let works = match verb {
            JobsVerb::Watch(_) => true,
            JobsVerb::Submit(args) => args.watch || args.wait.is_some(),
            _ => false,
        };
        let asks_apps = match verb {
            JobsVerb::Submit(_) => true,
            JobsVerb::Result(args) => args.partial,
            _ => works,
        };
        let (token, config) = config(works)?;
        let starting = if asks_apps { Starting::new(dir, config).await } else { Starting::start(dir, config).await };
        let starting = starting.map_err(|error| refused(error, dir))?;
        let url = starting.url();
        let (orders, queue) = mpsc::channel(1);
        let serving = tokio::spawn(starting.serve(queue));
        Ok(Self { url, token, works, orders, serving })
    }

    /// Releases the leases of running jobs. A server that runs no jobs can simply be dropped.
    pub(super) async fn end(self) {
        if self.works && self.orders.send(Order::Stop).await.is_ok() {
            // The result only lists cut off queries and connections, which nobody else can have
            // made.
            let _ = self.serving.await;
        }
    }
}

/// Returns the settings of a server for one client, and the client's token.
fn config(works: bool) -> anyhow::Result<(String, Config)> {
    // Access to the folder includes all of its jobs, no matter who submitted them.
    let (token, lines) = fresh_token("local", Role::Admin);
    let known: Config = toml::from_str(&lines).context(MachineFault::new("a token could not be made"))?;
    let unbounded = |token| Token { jobs: Some(u64::MAX), ..token };
    let role = if works { JobRole::All } else { JobRole::Dispatcher };
    let usual = Config::default();
    let config = Config {
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        tokens: known.tokens.into_iter().map(unbounded).collect(),
        watch: false,
        // A server reserves one slot for queries, and this one serves none.
        slots: usual.slots + 1,
        jobs: Jobs { role, lease: Time(LEASE), token_quota: Jobs::default().quota, ..Jobs::default() },
        ..usual
    };
    Ok((token, config))
}

fn refused(error: ServeError, dir: &Path) -> anyhow::Error {
    match error {
        ServeError::Apps(OpenError::State(StateError::Taken { .. })) => {
            Trouble::Taken { dir: dir.to_path_buf() }.into()
        }
        error => error.into(),
    }
}
