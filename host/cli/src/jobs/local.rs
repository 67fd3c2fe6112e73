//! Jobs without a server: one of this process's own, which nobody else can ask, for as long as the verb takes. So the jobs
//! of a folder of apps are kept and run by the same code, whoever works on them.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use frond_server::apps::{OpenError, StateError};
use frond_server::auth::fresh_token;
use frond_server::config::{Config, JobRole, Jobs, Role, Time, Token};
use frond_server::{CutOff, Order, ServeError, Starting};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::Trouble;
use crate::args::JobsVerb;
use crate::exit::MachineFault;

/// So long a job stays with a process that was killed, before the next goes on with it.
const LEASE: Duration = Duration::from_secs(5);

/// A server in this process.
pub(super) struct Local {
    pub(super) url: String,
    pub(super) token: String,
    works: bool,
    orders: mpsc::Sender<Order>,
    serving: JoinHandle<CutOff>,
}

impl Local {
    /// Opens the jobs of the folder of apps, with as much of a server as the verb needs.
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
        let starting = match asks_apps {
            true => Starting::new(dir, config).await,
            false => Starting::start(dir, config).await,
        };
        let starting = starting.map_err(|error| refused(error, dir))?;
        let url = starting.url();
        let (orders, told) = mpsc::channel(1);
        let serving = tokio::spawn(starting.serve(told));
        Ok(Self { url, token, works, orders, serving })
    }

    /// Gives back the jobs that run. Without any, there is nothing that could not be left as it is.
    pub(super) async fn end(self) {
        if self.works && self.orders.send(Order::Stop).await.is_ok() {
            // It says what it cut off: nobody else could have asked.
            let _ = self.serving.await;
        }
    }
}

/// Settings of a server for one client, and that client's token.
fn config(works: bool) -> anyhow::Result<(String, Config)> {
    // Whoever may read the folder may do with its jobs what they like, whoever submitted them.
    let (token, lines) = fresh_token("local", Role::Admin);
    let known: Config = toml::from_str(&lines).context(MachineFault::new("a token could not be made"))?;
    let unbounded = |token| Token { jobs: Some(u64::MAX), ..token };
    let role = if works { JobRole::All } else { JobRole::Dispatcher };
    let usual = Config::default();
    let config = Config {
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        tokens: known.tokens.into_iter().map(unbounded).collect(),
        watch: false,
        // One is left to queries, and there are none.
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
