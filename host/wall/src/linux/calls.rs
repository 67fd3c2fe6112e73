//! System calls by answer: allowed, allowed with certain arguments, deadly, unknown.
//!
//! The list follows from what runs in a worker: the standard library and glibc's threads (T), tokio
//! (K), wasmtime with its pool (W), mimalloc (M), and the worker's own code (F). A call without
//! such a user is refused. Seen refused without harm: files that a backtrace opens for its symbols.
//! glibc's malloc takes the place of mimalloc in tests.

use super::check::{Call, int, wide};

/// Allowed calls, whatever their arguments are.
pub(super) const FREE: &[Call<'static>] = &[
    // Threads (T): their end, their identity, and their registration with the kernel. `clone3` is
    // allowed here and unknown by another filter.
    (libc::SYS_exit, &[]),
    (libc::SYS_exit_group, &[]),
    (libc::SYS_clone3, &[]),
    (libc::SYS_gettid, &[]),
    (libc::SYS_getpid, &[]),
    (libc::SYS_getppid, &[]),
    (libc::SYS_set_tid_address, &[]),
    (libc::SYS_set_robust_list, &[]),
    (libc::SYS_rseq, &[]),
    (libc::SYS_sched_yield, &[]),
    // Cores (T, F). `pthread_getattr_np` asks with the number of a thread, and the guard pages of
    // the standard library depend on it. The answer of another process tells only its cores.
    (libc::SYS_sched_getaffinity, &[]),
    (libc::SYS_getcpu, &[]),
    // Signals (T, W): traps of WebAssembly are signals, handled on an alternate stack.
    (libc::SYS_rt_sigaction, &[]),
    (libc::SYS_rt_sigprocmask, &[]),
    (libc::SYS_rt_sigreturn, &[]),
    (libc::SYS_sigaltstack, &[]),
    (libc::SYS_restart_syscall, &[]),
    // Memory (T, W, M): all of it is counted by the limit on memory.
    (libc::SYS_munmap, &[]),
    (libc::SYS_mremap, &[]),
    (libc::SYS_brk, &[]),
    // Open descriptors (K, F): the socket to the parent, contents that the parent passes over it,
    // stdout and stderr. `fstat` takes no path, unlike `newfstatat` and `statx`.
    (libc::SYS_read, &[]),
    (libc::SYS_readv, &[]),
    (libc::SYS_pread64, &[]),
    (libc::SYS_write, &[]),
    (libc::SYS_writev, &[]),
    (libc::SYS_lseek, &[]),
    (libc::SYS_fstat, &[]),
    (libc::SYS_close, &[]),
    (libc::SYS_recvfrom, &[]),
    (libc::SYS_recvmsg, &[]),
    (libc::SYS_sendmsg, &[]),
    (libc::SYS_shutdown, &[]),
    // Events and timers (K).
    (libc::SYS_epoll_create1, &[]),
    (libc::SYS_epoll_ctl, &[]),
    (libc::SYS_epoll_pwait, &[]),
    (libc::SYS_epoll_pwait2, &[]),
    (libc::SYS_eventfd2, &[]),
    (libc::SYS_timerfd_create, &[]),
    (libc::SYS_timerfd_settime, &[]),
    (libc::SYS_timerfd_gettime, &[]),
    (libc::SYS_ppoll, &[]),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_epoll_wait, &[]),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_poll, &[]),
    // Time (T, K, W): normally without a call, but not under every hypervisor's clock.
    (libc::SYS_clock_gettime, &[]),
    (libc::SYS_clock_getres, &[]),
    (libc::SYS_clock_nanosleep, &[]),
    (libc::SYS_nanosleep, &[]),
    (libc::SYS_gettimeofday, &[]),
    // Random numbers (T, M).
    (libc::SYS_getrandom, &[]),
];

/// Allowed calls with certain arguments.
pub(super) const CHECKED: &[Call<'static>] = &[
    // Threads of this process only (T): exactly the flags of `pthread_create`, with a flag that musl
    // adds and the kernel ignores.
    (libc::SYS_clone, &[wide(0, &[THREAD]).masked(!DETACHED)]),
    // Locks (T): without priority inheritance, which no lock here uses and which had faults.
    (libc::SYS_futex, &[int(1, FUTEX_OPERATIONS).masked(FUTEX_OPERATION)]),
    // Barriers (W): instruction caches of AArch64 after code was loaded. The barrier of all
    // processes is refused.
    (libc::SYS_membarrier, &[int(0, &[0, 8, 16, 32, 64])]),
    // Memory (T, W, M): private, so that the limit on memory counts it. Stacks that grow by
    // themselves, and huge pages from the system's pool, would not be counted. Executable memory is
    // made by `mprotect`, and is never writable at the same time.
    (libc::SYS_mmap, &[wide(3, &[MAP_PRIVATE]).masked(MAP_COUNTED), wide(2, &[0]).masked(EXECUTABLE)]),
    (libc::SYS_mprotect, &[wide(2, &[0, WRITABLE, EXECUTABLE]).masked(WRITABLE | EXECUTABLE)]),
    (libc::SYS_madvise, &[int(2, ADVICE)]),
    // Memory of finished instances (W): of this process only.
    (libc::SYS_process_madvise, &[int(0, &[PIDFD_SELF]), int(3, &[DONTNEED])]),
    // Own limits (T), which can only be read.
    (libc::SYS_prlimit64, &[int(0, &[0]), wide(2, &[0])]),
    // Names of threads (T) and of memory (M); `PR_SET_NO_NEW_PRIVS` and `seccomp` are needed to
    // forbid threads, and can only restrict further.
    (libc::SYS_prctl, &[int(0, PROCESS_OPTIONS)]),
    (libc::SYS_seccomp, &[int(0, &[SET_FILTER]), int(1, &[ALL_THREADS])]),
    // Descriptors (T, K): `F_SETOWN` and its like would send signals to others.
    (libc::SYS_fcntl, &[int(1, DESCRIPTOR_COMMANDS)]),
    // Modes of descriptors (T), and pages that a leaf has written (W): the pool's file is open
    // before the wall.
    (libc::SYS_ioctl, &[int(1, DEVICE_COMMANDS)]),
    // Writes to a connected socket (T, K), without an address.
    (libc::SYS_sendto, &[wide(4, &[0])]),
    // Errors and the kind of a socket (T, K).
    (libc::SYS_getsockopt, &[int(1, &[SOL_SOCKET])]),
    // Wake-ups by signals (K): connected streams. Datagrams could be sent to any address.
    (libc::SYS_socketpair, &[int(0, &[AF_UNIX]), int(1, &[SOCK_STREAM]).masked(SOCKET_KIND)]),
];

/// Files in memory for the images of components (W), if the wall has room for them. Wasmtime
/// continues without them if they are unknown.
pub(super) const IMAGES: &[Call<'static>] = &[(libc::SYS_memfd_create, &[])];

/// Calls that are answered as unknown. The flags of `clone3` are in memory, where no filter can
/// check them; glibc then calls `clone`.
pub(super) const UNKNOWN: &[Call<'static>] = &[(libc::SYS_clone3, &[])];

/// Scheduling of the calling thread (F).
pub(super) const SCHEDULING_OF_ITSELF: &[Call<'static>] = &[
    (libc::SYS_sched_setaffinity, &[int(0, &[0])]),
    (libc::SYS_setpriority, &[int(0, &[PRIO_PROCESS]), int(1, &[0])]),
];

/// Scheduling of any thread (F), which cannot be limited to threads of this process.
pub(super) const SCHEDULING_OF_ANY: &[Call<'static>] =
    &[(libc::SYS_sched_setaffinity, &[]), (libc::SYS_setpriority, &[int(0, &[PRIO_PROCESS])])];

/// Calls that kill the process: no library makes them by itself, and whoever makes them wants out.
pub(super) const DEADLY: &[Call<'static>] = &[
    // Other programs, and new processes.
    (libc::SYS_execve, &[]),
    (libc::SYS_execveat, &[]),
    (libc::SYS_clone, &[wide(0, &[0]).masked(CLONE_THREAD)]),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_fork, &[]),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_vfork, &[]),
    // Other processes.
    (libc::SYS_ptrace, &[]),
    (libc::SYS_process_vm_readv, &[]),
    (libc::SYS_process_vm_writev, &[]),
    (libc::SYS_process_mrelease, &[]),
    (libc::SYS_kcmp, &[]),
    (libc::SYS_pidfd_open, &[]),
    (libc::SYS_pidfd_getfd, &[]),
    (libc::SYS_pidfd_send_signal, &[]),
    // Other views of the system.
    (libc::SYS_unshare, &[]),
    (libc::SYS_setns, &[]),
    (libc::SYS_chroot, &[]),
    (libc::SYS_pivot_root, &[]),
    (libc::SYS_mount, &[]),
    (libc::SYS_umount2, &[]),
    (libc::SYS_move_mount, &[]),
    (libc::SYS_open_tree, &[]),
    (libc::SYS_mount_setattr, &[]),
    (libc::SYS_fsopen, &[]),
    (libc::SYS_fsconfig, &[]),
    (libc::SYS_fsmount, &[]),
    (libc::SYS_fspick, &[]),
    (libc::SYS_open_by_handle_at, &[]),
    (libc::SYS_fanotify_init, &[]),
    // Large and rare parts of the kernel.
    (libc::SYS_bpf, &[]),
    (libc::SYS_perf_event_open, &[]),
    (libc::SYS_userfaultfd, &[]),
    (libc::SYS_io_uring_setup, &[]),
    (libc::SYS_io_uring_enter, &[]),
    (libc::SYS_io_uring_register, &[]),
    (libc::SYS_add_key, &[]),
    (libc::SYS_request_key, &[]),
    (libc::SYS_keyctl, &[]),
    // The kernel's code, and the machine.
    (libc::SYS_init_module, &[]),
    (libc::SYS_finit_module, &[]),
    (libc::SYS_delete_module, &[]),
    (libc::SYS_kexec_load, &[]),
    (libc::SYS_kexec_file_load, &[]),
    (libc::SYS_reboot, &[]),
    (libc::SYS_swapon, &[]),
    (libc::SYS_swapoff, &[]),
    (libc::SYS_acct, &[]),
    (libc::SYS_settimeofday, &[]),
    (libc::SYS_clock_settime, &[]),
    (libc::SYS_sethostname, &[]),
    (libc::SYS_setdomainname, &[]),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_iopl, &[]),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_ioperm, &[]),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_modify_ldt, &[]),
    // Other identities.
    (libc::SYS_setuid, &[]),
    (libc::SYS_setgid, &[]),
    (libc::SYS_setreuid, &[]),
    (libc::SYS_setregid, &[]),
    (libc::SYS_setresuid, &[]),
    (libc::SYS_setresgid, &[]),
    (libc::SYS_setfsuid, &[]),
    (libc::SYS_setfsgid, &[]),
    (libc::SYS_setgroups, &[]),
    (libc::SYS_capset, &[]),
    (libc::SYS_personality, &[]),
];

/// Flag of a thread, in contrast to a process.
const CLONE_THREAD: u64 = libc::CLONE_THREAD as u64;
/// Flags with which glibc and musl start a thread.
const THREAD: u64 = (libc::CLONE_VM
    | libc::CLONE_FS
    | libc::CLONE_FILES
    | libc::CLONE_SIGHAND
    | libc::CLONE_THREAD
    | libc::CLONE_SYSVSEM
    | libc::CLONE_SETTLS
    | libc::CLONE_PARENT_SETTID
    | libc::CLONE_CHILD_CLEARTID) as u64;
/// Flag that only musl sets, and the kernel ignores.
const DETACHED: u64 = libc::CLONE_DETACHED as u64;

/// Bits of a futex operation without those for private futexes and the kind of clock.
const FUTEX_OPERATION: u64 = !(libc::FUTEX_PRIVATE_FLAG | libc::FUTEX_CLOCK_REALTIME) as u32 as u64;
/// Waiting and waking.
const FUTEX_OPERATIONS: &[u64] = &[
    libc::FUTEX_WAIT as u64,
    libc::FUTEX_WAKE as u64,
    libc::FUTEX_REQUEUE as u64,
    libc::FUTEX_CMP_REQUEUE as u64,
    libc::FUTEX_WAKE_OP as u64,
    libc::FUTEX_WAIT_BITSET as u64,
    libc::FUTEX_WAKE_BITSET as u64,
];

/// Mapping of which the process has its own copy.
const MAP_PRIVATE: u64 = libc::MAP_PRIVATE as u64;
/// Bits of a mapping's flags that decide whether the limit on memory counts it.
const MAP_COUNTED: u64 = (libc::MAP_TYPE | libc::MAP_GROWSDOWN | libc::MAP_HUGETLB) as u64;
/// Protection of memory that can be written.
const WRITABLE: u64 = libc::PROT_WRITE as u64;
/// Protection of memory that can be executed.
const EXECUTABLE: u64 = libc::PROT_EXEC as u64;
/// Advice to forget pages.
const DONTNEED: u64 = libc::MADV_DONTNEED as u64;
/// Advice on the process's own memory that frees, faults in, sizes pages, or guards stacks. Merging
/// with other processes' pages would tell what they contain.
const ADVICE: &[u64] = &[
    libc::MADV_NORMAL as u64,
    libc::MADV_RANDOM as u64,
    libc::MADV_SEQUENTIAL as u64,
    libc::MADV_WILLNEED as u64,
    DONTNEED,
    libc::MADV_FREE as u64,
    libc::MADV_HUGEPAGE as u64,
    libc::MADV_NOHUGEPAGE as u64,
    libc::MADV_DONTDUMP as u64,
    libc::MADV_DODUMP as u64,
    libc::MADV_POPULATE_READ as u64,
    libc::MADV_POPULATE_WRITE as u64,
    GUARD_INSTALL,
    GUARD_REMOVE,
];
/// Advice by which glibc 2.42 makes the guard pages of a stack.
const GUARD_INSTALL: u64 = 102;
/// Advice that takes guard pages away.
const GUARD_REMOVE: u64 = 103;
/// Number by which a process names itself instead of by a descriptor.
const PIDFD_SELF: u64 = -10_000_i32 as u32 as u64;

/// Options of the process that may be set or asked for.
const PROCESS_OPTIONS: &[u64] =
    &[libc::PR_SET_NAME as u64, libc::PR_GET_NAME as u64, libc::PR_SET_VMA as u64, libc::PR_SET_NO_NEW_PRIVS as u64];
/// Operation that adds a filter.
const SET_FILTER: u64 = libc::SECCOMP_SET_MODE_FILTER as u64;
/// Flag by which a filter holds for all threads; other flags are refused.
const ALL_THREADS: u64 = libc::SECCOMP_FILTER_FLAG_TSYNC;

/// Copies of descriptors, their flags, and the seals of files in memory.
const DESCRIPTOR_COMMANDS: &[u64] = &[
    libc::F_DUPFD as u64,
    libc::F_DUPFD_CLOEXEC as u64,
    libc::F_GETFD as u64,
    libc::F_SETFD as u64,
    libc::F_GETFL as u64,
    libc::F_SETFL as u64,
    libc::F_ADD_SEALS as u64,
    libc::F_GET_SEALS as u64,
];
/// Modes of descriptors, and the scan of written pages.
const DEVICE_COMMANDS: &[u64] = &[libc::FIONBIO, libc::FIOCLEX, libc::FIONREAD, PAGEMAP_SCAN];
/// Scan of a process's page map: `_IOWR('f', 16, struct pm_scan_arg)`.
const PAGEMAP_SCAN: u64 = 0xc060_6610;

/// Options of sockets of every kind.
const SOL_SOCKET: u64 = libc::SOL_SOCKET as u64;
/// Sockets within this machine.
const AF_UNIX: u64 = libc::AF_UNIX as u64;
/// Connected stream.
const SOCK_STREAM: u64 = libc::SOCK_STREAM as u64;
/// Bits of a socket's type without its flags.
const SOCKET_KIND: u64 = 0xf;
/// Priority of a thread, which the kernel calls a process here.
const PRIO_PROCESS: u64 = libc::PRIO_PROCESS as u64;

#[cfg(test)]
mod tests;
