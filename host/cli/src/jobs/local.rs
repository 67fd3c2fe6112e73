//! Jobs without a server: opens the jobs of a folder of apps in this process, for the duration of
//! the verb. They are stored and run by the same code as a server's.

use std::path::Path;
use std::time::Duration;

use frond_deploy::{OpenError, StateError};
use frond_server::config::{Config, JobRole, Jobs, Time};
use frond_server::{Embedded, ServeError};

use super::Trouble;
use crate::args::JobsVerb;

/// Lease of a job: the time after which another process takes over the job of a killed one.
const LEASE: Duration = Duration::from_secs(5);

/// Opens the jobs of a folder of apps, and starts the parts of a server that the verb needs.
pub(super) async fn open(dir: &Path, verb: &JobsVerb) -> anyhow::Result<Embedded> {
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
    let role = if works { JobRole::All } else { JobRole::Dispatcher };
    let usual = Config::default();
    let config = Config {
        watch: false,
        // One slot is reserved for queries, of which this process has none.
        slots: usual.slots + 1,
        jobs: Jobs { role, lease: Time(LEASE), token_quota: Jobs::default().quota, ..Jobs::default() },
        ..usual
    };
    let embedded = Embedded::start(dir, config).await.map_err(|error| refused(error, dir))?;
    if asks_apps {
        embedded.ready().await;
    }
    Ok(embedded)
}

fn refused(error: ServeError, dir: &Path) -> anyhow::Error {
    match error {
        ServeError::Apps(OpenError::State(StateError::Taken { .. })) => {
            Trouble::Taken { dir: dir.to_path_buf() }.into()
        }
        error => error.into(),
    }
}
