//! `frond worker`: runs leaves for roots.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use frond_app::Package;
use frond_broker::cluster::{accept_workers, serve_roots};
use frond_broker::nats::{Options, connect};
use frond_broker::session::Settings;
use frond_broker::{Introduction, Workers};
use frond_root::CancellationToken;
use frond_root::call::Grants;
use frond_run::processes::{ProcessSettings, Processes, run_process};
use frond_run::workers::{WorkerLeaves, engine};
use frond_run::{Machine, WaitLimits, usual_slots};
use tokio::runtime::Handle;

use crate::args::{BrokerArgs, WorkerArgs, WorkersArgs};
use crate::exit::{Exit, MachineFault};
use crate::signals::Endings;

/// Time for which a query waits for the first worker of its broker.
const FIRST_WORKER: Duration = Duration::from_millis(500);
/// The most private memory of a worker process, in bytes. All that was ever accessible in the pool
/// of its instances counts, also while nobody uses it: this bounds a process that runs away.
const PROCESS_MEMORY: u64 = 64 << 30;

/// Runs the verb.
///
/// # Errors
/// When the broker cannot be reached, or the machine does not allow the worker to run.
pub(crate) fn run(args: &WorkerArgs) -> anyhow::Result<Exit> {
    if let Some(parent) = args.child {
        let name = args.name.clone().unwrap_or_default();
        run_process(parent, name, args.slots.unwrap_or(1), args.memory.unwrap_or(PROCESS_MEMORY))?;
        return Ok(Exit::Whole);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context(MachineFault::new("the runtime could not be started"))?;
    let served = runtime.block_on(serve(args));
    // Otherwise a guest stuck in host work would keep the process from ending.
    runtime.shutdown_background();
    served
}

async fn serve(args: &WorkerArgs) -> anyhow::Result<Exit> {
    let Some(options) = options(&args.broker) else {
        anyhow::bail!("a worker needs a broker\n(name it: frond worker --nats nats://127.0.0.1:4222)");
    };
    let slots = args.slots.map_or_else(usual_slots, usize::from);
    let mut waiting = WaitLimits::default();
    waiting.leaves = args.waiting.map_or(waiting.leaves, |leaves| leaves as usize);
    let machine = Arc::new(Machine::new(slots)?.with_waiting(waiting));
    let threads = machine.start(&Handle::current())?;
    let name = args.name.clone().unwrap_or_else(own_name);
    let introduction = Introduction {
        name: name.clone(),
        slots: u32::try_from(slots).unwrap_or(u32::MAX),
        waiting: u32::try_from(threads.room_to_wait()).unwrap_or(u32::MAX),
        engine: engine(),
    };
    let loader = Arc::new(WorkerLeaves::new(machine, threads, allowed(args.allow.as_deref())?, args.trust_roots));
    let mut endings = Endings::new()?;
    let side = connect(&options).await?.worker(&name).await?;
    errln!("worker {name} with {slots} slots in pool {} of {}", options.pool, options.url);
    let draining = CancellationToken::new();
    let serving = serve_roots(side, Settings::default(), introduction, loader, draining.clone());
    tokio::pin!(serving);
    loop {
        tokio::select! {
            () = &mut serving => return Ok(Exit::Whole),
            () = endings.next() => {
                if draining.is_cancelled() {
                    return Ok(Exit::Interrupted);
                }
                draining.cancel();
            }
        }
    }
}

/// Grants that apps may have on this worker.
fn allowed(file: Option<&Path>) -> anyhow::Result<Grants> {
    let Some(file) = file else { return Ok(Grants::default()) };
    Ok(Package::load(file)?.grants)
}

/// Name of this host and process.
fn own_name() -> String {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    format!("{host}-{}", std::process::id())
}

/// Options of the connection to the broker, if there is one.
fn options(args: &BrokerArgs) -> Option<Options> {
    Some(Options {
        url: args.nats.clone()?,
        pool: args.pool.clone(),
        user: args.nats_user.clone(),
        password: std::env::var("FROND_NATS_PASSWORD").ok(),
        credentials: args.nats_credentials.clone(),
        ca: args.nats_ca.clone(),
    })
}

/// Workers of a query, while it runs.
#[derive(Debug)]
pub(crate) struct Crew {
    _processes: Option<Processes>,
}

/// Starts or finds the workers that the arguments ask for, if any.
///
/// # Errors
/// When processes cannot be started, or the broker cannot be reached.
pub(crate) fn crew(args: &WorkersArgs, machine: Machine, runtime: &Handle) -> anyhow::Result<(Machine, Option<Crew>)> {
    let options = options(&args.broker);
    if args.workers.is_none() && options.is_none() {
        return Ok((machine, None));
    }
    let _entered = runtime.enter();
    let has_local_slots = args.local && args.workers.is_none();
    let local = if has_local_slots { u32::try_from(machine.slots()).unwrap_or(u32::MAX) } else { 0 };
    let workers = Workers::new(local, Settings::default());
    let processes = args.workers.map(|count| {
        let settings = ProcessSettings { count: usize::from(count), slots: 1, memory: PROCESS_MEMORY };
        Processes::start(&settings, &workers, runtime)
    });
    let processes = processes.transpose()?;
    if let Some(options) = options {
        let side = runtime.block_on(async { connect(&options).await?.root(&own_name()).await })?;
        runtime.spawn(accept_workers(side, workers.clone()));
    }
    let wanted = args.workers.map_or(1, usize::from);
    // A query that has slots of its own, or gets workers later, can begin.
    runtime.block_on(workers.joined(wanted, FIRST_WORKER));
    Ok((machine.with_workers(workers, has_local_slots), Some(Crew { _processes: processes })))
}
