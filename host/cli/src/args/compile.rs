//! Command line of `frond compile`: the child process that compiles a component, not for people.

use clap::Args;
use frond_run::CompileOrders;
use frond_sandbox::Metering;

/// `frond compile`.
#[derive(Debug, Args)]
pub struct CompileArgs {
    /// Metering of the code: fuel, clock or nothing.
    #[arg(long, value_parser = metering)]
    metering: Metering,

    /// Bytes of address space of a memory, for engines without a pool.
    #[arg(long)]
    frugal: Option<u64>,

    /// Bytes of private memory that this process may take.
    #[arg(long)]
    memory: u64,

    /// Seconds of processor time that this process may take.
    #[arg(long)]
    cpu: u64,

    /// Nice value that this process adds to its own.
    #[arg(long, default_value_t = 0)]
    nice: u8,
}

impl CompileArgs {
    /// Returns the orders for the compiler of the sandbox.
    #[must_use]
    pub fn orders(&self) -> CompileOrders {
        let cpu = std::time::Duration::from_secs(self.cpu);
        CompileOrders { metering: self.metering, frugal: self.frugal, memory: self.memory, cpu, nice: self.nice }
    }
}

fn metering(word: &str) -> Result<Metering, String> {
    let all = [Metering::Fuel, Metering::Clock, Metering::Nothing];
    all.into_iter().find(|one| one.word() == word).ok_or_else(|| "fuel, clock or nothing".to_owned())
}
