//! Settings of the wall.

/// Open files of a worker unless set otherwise: its socket, its runtime's descriptors, and the
/// contents that its parent passes to it.
const FILES: u64 = 256;

/// The second wall around this process, before it is entered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wall {
    /// Process number of the parent, as the parent itself gave it, for example on the command line.
    /// If another process is this one's parent, the parent has died.
    pub parent: u32,
    /// Most private writable memory, in bytes, including what the process has already
    /// (`RLIMIT_DATA`). Reserved address space is free, so pools of wasmtime cost what is made
    /// accessible in them.
    pub memory: u64,
    /// Most open files. Files that are already open stay open.
    pub files: u64,
    /// Largest memory image of a component, in bytes, that can be made after entering
    /// (`RLIMIT_FSIZE`). With 0, `memfd_create` is refused as unknown, and wasmtime copies the data
    /// of such a component instead.
    /// This also bounds stdout and stderr if they are regular files, so give the worker pipes.
    pub images: u64,
    /// Lets a thread choose the cores and the priority of other threads. The kernel cannot tell
    /// them from other processes of the same user, so an attacker could slow those down.
    pub schedules_threads: bool,
}

impl Wall {
    /// Makes the strictest wall with this much memory.
    #[must_use]
    pub fn new(parent: u32, memory: u64) -> Self {
        Self { parent, memory, files: FILES, images: 0, schedules_threads: false }
    }
}
