//! `frond worker`: runs leaves for roots.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use frond_app::Package;
use frond_broker::Introduction;
use frond_broker::cluster::serve_roots;
use frond_broker::nats::connect;
use frond_broker::session::Settings;
use frond_root::CancellationToken;
use frond_root::call::Grants;
use frond_run::crew::own_name;
use frond_run::processes::PROCESS_MEMORY;
use frond_run::worker_process::{ProcessOrders, run_process};
use frond_run::workers::{WorkerLeaves, engine, files_in};
use frond_run::{Crew, Machine, RunError, WaitLimits, usual_slots};
use frond_server::config::{self, Workers};
use tokio::runtime::Handle;

use crate::args::{BrokerArgs, WorkerArgs, WorkersArgs};
use crate::exit::{Exit, MachineFault};
use crate::out;
use crate::serve::log::Log;
use crate::show::text::plural;
use crate::signals::Endings;

/// Time for which a query waits for the first worker of its broker.
const FIRST_WORKER: Duration = Duration::from_millis(500);

/// Runs the verb.
///
/// # Errors
/// When the broker cannot be reached, or the machine does not allow the worker to run.
pub(crate) fn run(args: &WorkerArgs) -> anyhow::Result<Exit> {
    if let Some(parent) = args.child {
        let name = args.name.clone().unwrap_or_default();
        let slots = args.slots.unwrap_or(1);
        let memory = args.memory.unwrap_or(PROCESS_MEMORY);
        let ran = run_process(ProcessOrders { parent, name, slots, memory, needs_wall: args.needs_wall });
        // A process whose parent has ended meanwhile has nobody to tell that.
        let is_orphan = std::os::unix::process::parent_id() != parent;
        return if is_orphan { Ok(Exit::Whole) } else { ran.map(|()| Exit::Whole).map_err(Into::into) };
    }
    let _log = Log::start(&config::Log::default())?;
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
    let broker = WorkersArgs { broker: args.broker.clone(), ..WorkersArgs::default() };
    let Some(options) = settings(&broker, Workers::default()).crew(0)?.broker else {
        bail!("a worker needs a broker\n(name it: frond worker --nats nats://127.0.0.1:4222)");
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
        files: files_in(args.data.clone()),
    };
    let loader = Arc::new(WorkerLeaves::new(machine, threads, allowed(args.allow.as_deref())?, args.trust_roots));
    let mut endings = Endings::new()?;
    let joined = async { connect(&options).await?.worker(&name).await };
    let side = joined.await.map_err(RunError::from)?;
    let count = plural(slots as u64, "slot", "slots");
    errln!("worker {name} with {count} in pool {} of {}", options.pool, options.url);
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

/// Settings of workers, as the arguments override those of a file.
pub(crate) fn settings(args: &WorkersArgs, file: Workers) -> Workers {
    let WorkersArgs { workers, broker, local, local_slots } = args.clone();
    // Either of them replaces both.
    let is_given = local.is_some() || local_slots.is_some();
    let BrokerArgs { nats, pool, nats_user, nats_credentials, nats_ca } = broker;
    Workers {
        local: if is_given { local } else { file.local },
        local_slots: if is_given { local_slots.map(usize::from) } else { file.local_slots },
        processes: workers.map_or(file.processes, usize::from),
        spare_processes: file.spare_processes,
        nats: nats.or(file.nats),
        pool: pool.unwrap_or(file.pool),
        user: nats_user.or(file.user),
        password_file: file.password_file,
        credentials: nats_credentials.or(file.credentials),
        ca: nats_ca.or(file.ca),
    }
}

/// Starts or finds the workers that the arguments ask for, if any.
///
/// # Errors
/// When processes cannot be started, or the broker cannot be reached.
pub(crate) fn crew(args: &WorkersArgs, machine: Machine, runtime: &Handle) -> anyhow::Result<(Machine, Option<Crew>)> {
    let workers = settings(args, Workers::default());
    workers.check(machine.slots())?;
    let settings = workers.crew(machine.slots())?;
    if !settings.is_any() {
        return Ok((machine, None));
    }
    let crew = Crew::start(settings, runtime)?;
    runtime.block_on(crew.join())?;
    // A query that has slots of its own, or gets workers later, can begin.
    runtime.block_on(crew.joined(FIRST_WORKER));
    out::warn(crew.workers().absence());
    Ok((crew.on(machine), Some(crew)))
}
