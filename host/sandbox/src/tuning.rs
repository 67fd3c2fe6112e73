//! Settings of an engine that decide which code is compiled for it.

use frond_root::call::Limits;
use wasmtime::Config;

/// Bytes of a call's stack that wasm may use.
const WASM_STACK: usize = 512 << 10;
/// Bytes of a call's whole stack. Host functions use the part that wasm cannot.
const STACK: usize = 2 << 20;
/// Bytes of address space of a memory, and bytes that it grows by, on a machine with little address
/// space.
pub(crate) const FRUGAL_MEMORY: u64 = 16 << 20;

/// Metering of running guests, which is part of their compiled code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Metering {
    /// They count fuel and look at the clock.
    Fuel,
    /// They look at the clock.
    Clock,
    /// They do neither, and run until they end: only in a process that is killed at a deadline.
    Nothing,
}

impl Metering {
    /// The metering of calls under these limits.
    #[must_use]
    pub fn of(limits: &Limits) -> Self {
        if limits.is_metered() { Self::Fuel } else { Self::Clock }
    }

    /// Its word on a command line.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Fuel => "fuel",
            Self::Clock => "clock",
            Self::Nothing => "nothing",
        }
    }
}

/// Engine settings that decide which code is compiled for it. Whether it has a pool is not among
/// them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tuning {
    pub(crate) metering: Metering,
    /// Bytes of address space of a memory, on a machine without the address space for a pool or for
    /// 4 GiB and guard pages per memory. Memories then move when they grow.
    pub(crate) frugal: Option<u64>,
}

impl Tuning {
    /// Returns the configuration of an engine without a pool.
    pub(crate) fn config(self) -> Config {
        let mut config = Config::new();
        config
            .consume_fuel(self.metering == Metering::Fuel)
            .epoch_interruption(self.metering != Metering::Nothing)
            .concurrency_support(false)
            .wasm_component_model(true)
            .relaxed_simd_deterministic(true)
            .memory_init_cow(true)
            .max_wasm_stack(WASM_STACK)
            .async_stack_size(STACK);
        if let Some(memory) = self.frugal {
            config.memory_reservation(memory).memory_reservation_for_growth(FRUGAL_MEMORY).memory_guard_size(64 << 10);
        }
        config
    }
}
