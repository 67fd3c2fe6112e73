//! System calls outside a worker's job, made directly, each with arguments that would work.

use std::ffi::{CString, c_long};

/// Facts that the attempts need.
pub(crate) struct Scene {
    pub(crate) parent: u64,
    folder: String,
}

/// Attempt by a name, and whether an ordinary user may make it without the wall, also in a
/// container.
pub(crate) type Attempt = (&'static str, bool, fn(&Scene) -> Result<(), i32>);

impl Scene {
    pub(crate) fn new(parent: u32, folder: &str) -> Self {
        Self { parent: u64::from(parent), folder: folder.to_owned() }
    }

    /// Address of a path within the folder that the parent has made. The memory is never freed.
    fn path(&self, name: &str) -> u64 {
        text(&format!("{}/{name}", self.folder))
    }
}

/// Address of a text with a zero at its end. The memory is never freed.
pub(crate) fn text(text: &str) -> u64 {
    CString::new(text).unwrap().into_raw() as u64
}

/// Makes a system call; its error is the number.
pub(crate) fn call(number: c_long, arguments: &[u64]) -> Result<(), i32> {
    let mut all = [0; 6];
    all[..arguments.len()].copy_from_slice(arguments);
    let [a, b, c, d, e, f] = all;
    // SAFETY: callers pass addresses of memory that lives on, or calls that fail.
    let answer = unsafe { libc::syscall(number, a, b, c, d, e, f) };
    if answer == -1 { Err(std::io::Error::last_os_error().raw_os_error().unwrap()) } else { Ok(()) }
}

/// Number as an argument: a negative one as the kernel reads it.
pub(crate) const fn arg(number: i32) -> u64 {
    number as i64 as u64
}

/// Size of the structure that `openat2` reads.
const HOW: u64 = 24;
/// Folder to which relative paths refer.
const HERE: u64 = arg(libc::AT_FDCWD);
/// Worker's socket.
const SOCKET: u64 = 0;

/// Address of an abstract unix socket, as the kernel reads it, and its length.
fn abstract_address() -> (u64, u64) {
    let bytes = Box::leak(Box::new(*b"\x01\0\0frond-wall"));
    (bytes.as_ptr() as u64, bytes.len() as u64)
}

/// Creates a socket of this family.
fn socket(family: i32, kind: i32) -> Result<(), i32> {
    call(libc::SYS_socket, &[arg(family), arg(kind), 0])
}

/// Maps a page with these flags and this protection.
fn map(protection: i32, flags: i32) -> Result<(), i32> {
    call(libc::SYS_mmap, &[0, 1 << 21, arg(protection), arg(flags | libc::MAP_ANONYMOUS), arg(-1), 0])
}

/// Attempts that must be refused.
pub(crate) const REFUSED: &[Attempt] = &[
    // Files.
    #[cfg(target_arch = "x86_64")]
    ("open", true, |_| call(libc::SYS_open, &[text("/etc/passwd"), 0])),
    ("openat /etc/passwd", true, |_| call(libc::SYS_openat, &[HERE, text("/etc/passwd"), 0])),
    ("openat /", true, |_| call(libc::SYS_openat, &[HERE, text("/"), arg(libc::O_DIRECTORY)])),
    ("openat to write", true, |on| call(libc::SYS_openat, &[HERE, on.path("file"), arg(libc::O_WRONLY)])),
    ("openat to create", true, |on| {
        call(libc::SYS_openat, &[HERE, on.path("new"), arg(libc::O_CREAT | libc::O_WRONLY), 0o600])
    }),
    ("openat unnamed", true, |on| {
        call(libc::SYS_openat, &[HERE, on.path(""), arg(libc::O_TMPFILE | libc::O_WRONLY), 0o600])
    }),
    ("openat2", true, |on| {
        call(libc::SYS_openat2, &[HERE, on.path("file"), Box::leak(Box::new([0_u64; 3])).as_ptr() as u64, HOW])
    }),
    #[cfg(target_arch = "x86_64")]
    ("creat", true, |on| call(libc::SYS_creat, &[on.path("new"), 0o600])),
    ("truncate", true, |on| call(libc::SYS_truncate, &[on.path("file"), 0])),
    ("mkdirat", true, |on| call(libc::SYS_mkdirat, &[HERE, on.path("folder"), 0o700])),
    ("mknodat", true, |on| call(libc::SYS_mknodat, &[HERE, on.path("pipe"), u64::from(libc::S_IFIFO | 0o600)])),
    ("symlinkat", true, |on| call(libc::SYS_symlinkat, &[text("/etc"), HERE, on.path("link")])),
    ("linkat", true, |on| call(libc::SYS_linkat, &[HERE, on.path("file"), HERE, on.path("hard"), 0])),
    ("fchmodat", true, |on| call(libc::SYS_fchmodat, &[HERE, on.path("file"), 0o644])),
    ("fchownat", true, |on| call(libc::SYS_fchownat, &[HERE, on.path("file"), arg(-1), arg(-1), 0])),
    ("utimensat", true, |on| call(libc::SYS_utimensat, &[HERE, on.path("file"), 0, 0])),
    ("renameat2", true, |on| call(libc::SYS_renameat2, &[HERE, on.path("file"), HERE, on.path("moved"), 0])),
    ("unlinkat", true, |on| call(libc::SYS_unlinkat, &[HERE, on.path("moved"), 0])),
    ("newfstatat", true, |_| call(libc::SYS_newfstatat, &[HERE, text("/etc/passwd"), buffer(), 0])),
    ("statx", true, |_| call(libc::SYS_statx, &[HERE, text("/etc/passwd"), 0, 0x7ff, buffer()])),
    ("faccessat", true, |_| call(libc::SYS_faccessat, &[HERE, text("/etc/passwd"), 0])),
    ("readlinkat", true, |_| call(libc::SYS_readlinkat, &[HERE, text("/proc/self/exe"), buffer(), 100])),
    ("statfs", true, |_| call(libc::SYS_statfs, &[text("/"), buffer()])),
    ("getcwd", true, |_| call(libc::SYS_getcwd, &[buffer(), 100])),
    ("chdir", true, |_| call(libc::SYS_chdir, &[text("/")])),
    ("inotify_init1", true, |_| call(libc::SYS_inotify_init1, &[0])),
    ("fchmod", true, |_| call(libc::SYS_fchmod, &[SOCKET, 0o600])),
    ("name_to_handle_at", false, |_| call(libc::SYS_name_to_handle_at, &[HERE, text("/"), 0, 0, 0])),
    // Sockets.
    ("socket INET", true, |_| socket(libc::AF_INET, libc::SOCK_STREAM)),
    ("socket INET6", true, |_| socket(libc::AF_INET6, libc::SOCK_DGRAM)),
    ("socket UNIX", true, |_| socket(libc::AF_UNIX, libc::SOCK_STREAM)),
    ("socket NETLINK", true, |_| socket(libc::AF_NETLINK, libc::SOCK_RAW)),
    ("socket VSOCK", false, |_| socket(libc::AF_VSOCK, libc::SOCK_STREAM)),
    ("socket PACKET", false, |_| socket(libc::AF_PACKET, libc::SOCK_RAW)),
    ("socketpair DGRAM", true, |_| {
        call(libc::SYS_socketpair, &[arg(libc::AF_UNIX), arg(libc::SOCK_DGRAM), 0, buffer()])
    }),
    ("connect abstract", true, |_| {
        let (address, length) = abstract_address();
        call(libc::SYS_connect, &[SOCKET, address, length])
    }),
    ("bind abstract", true, |_| {
        let (address, length) = abstract_address();
        call(libc::SYS_bind, &[SOCKET, address, length])
    }),
    ("sendto an address", true, |_| {
        let (address, length) = abstract_address();
        call(libc::SYS_sendto, &[SOCKET, address, 1, 0, address, length])
    }),
    ("listen", true, |_| call(libc::SYS_listen, &[SOCKET, 1])),
    ("accept4", true, |_| call(libc::SYS_accept4, &[SOCKET, 0, 0, 0])),
    ("setsockopt", true, |_| call(libc::SYS_setsockopt, &[SOCKET, 1, arg(libc::SO_ATTACH_FILTER), buffer(), 16])),
    // Other processes.
    ("kill the parent", true, |on| call(libc::SYS_kill, &[on.parent, 0])),
    ("kill the group", true, |_| call(libc::SYS_kill, &[0, 0])),
    ("kill all", true, |_| call(libc::SYS_kill, &[arg(-1), 0])),
    ("tkill", true, |on| call(libc::SYS_tkill, &[on.parent, 0])),
    ("tgkill", true, |on| call(libc::SYS_tgkill, &[on.parent, on.parent, 0])),
    ("rt_sigqueueinfo", false, |on| call(libc::SYS_rt_sigqueueinfo, &[on.parent, 0, buffer()])),
    ("fcntl F_SETOWN", true, |on| call(libc::SYS_fcntl, &[SOCKET, arg(libc::F_SETOWN), on.parent])),
    ("fcntl F_SETSIG", true, |_| call(libc::SYS_fcntl, &[SOCKET, 10, 9])),
    ("prlimit of the parent", true, |on| call(libc::SYS_prlimit64, &[on.parent, 7, 0, buffer()])),
    ("sched_setaffinity of the parent", false, |on| call(libc::SYS_sched_setaffinity, &[on.parent, 8, buffer()])),
    ("setpriority of the parent", false, |on| call(libc::SYS_setpriority, &[0, on.parent, 19])),
    ("sched_setscheduler", true, |_| call(libc::SYS_sched_setscheduler, &[0, 0, buffer()])),
    ("wait4", true, |_| call(libc::SYS_wait4, &[arg(-1), 0, arg(libc::WNOHANG), 0])),
    ("clone into a namespace", false, |_| {
        call(libc::SYS_clone, &[arg(libc::CLONE_THREAD | libc::CLONE_VM | libc::CLONE_SIGHAND | libc::CLONE_NEWUSER)])
    }),
    ("move_pages", false, |on| call(libc::SYS_move_pages, &[on.parent, 0, 0, 0, 0, 0])),
    ("process_madvise of another", false, |_| {
        call(libc::SYS_process_madvise, &[arg(-1), 0, 0, arg(libc::MADV_DONTNEED), 0])
    }),
    // Undoing the wall.
    ("prlimit to raise", true, |_| call(libc::SYS_prlimit64, &[0, 4, zeros(), 0])),
    ("setrlimit", true, |_| call(libc::SYS_setrlimit, &[4, zeros()])),
    ("prctl PR_SET_DUMPABLE", true, |_| call(libc::SYS_prctl, &[arg(libc::PR_SET_DUMPABLE), 1])),
    ("prctl PR_SET_PDEATHSIG", true, |_| call(libc::SYS_prctl, &[arg(libc::PR_SET_PDEATHSIG), 0])),
    ("prctl PR_SET_SECCOMP", true, |_| call(libc::SYS_prctl, &[arg(libc::PR_SET_SECCOMP), 2, 0])),
    ("prctl PR_SET_MM", false, |_| call(libc::SYS_prctl, &[arg(libc::PR_SET_MM), 0, 0])),
    ("seccomp with a listener", false, |_| call(libc::SYS_seccomp, &[1, 8, 0])),
    ("landlock_create_ruleset", false, |_| call(libc::SYS_landlock_create_ruleset, &[0, 0, 1])),
    // Memory that no limit counts, and writable code.
    ("mmap shared", true, |_| map(libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED)),
    ("mmap that grows", true, |_| map(libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_GROWSDOWN)),
    ("mmap of huge pages", true, |_| map(libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_HUGETLB)),
    ("mmap of code", true, |_| map(libc::PROT_READ | libc::PROT_EXEC, libc::MAP_PRIVATE)),
    ("mprotect to writable code", true, |_| {
        call(libc::SYS_mprotect, &[1 << 12, 1 << 12, arg(libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC)])
    }),
    ("madvise to merge", true, |_| call(libc::SYS_madvise, &[1 << 12, 1 << 12, arg(libc::MADV_MERGEABLE)])),
    ("mlock", true, |_| call(libc::SYS_mlock, &[1 << 12, 1 << 12])),
    ("memfd_secret", false, |_| call(libc::SYS_memfd_secret, &[0])),
    ("ftruncate", true, |_| call(libc::SYS_ftruncate, &[SOCKET, 1 << 30])),
    ("shmget", false, |_| call(libc::SYS_shmget, &[0, 1 << 20, 0o1600])),
    ("semget", false, |_| call(libc::SYS_semget, &[0, 1, 0o1600])),
    ("msgget", false, |_| call(libc::SYS_msgget, &[0, 0o1600])),
    ("mq_open", false, |_| call(libc::SYS_mq_open, &[text("frond-wall"), arg(libc::O_CREAT), 0o600, 0])),
    ("pipe2", true, |_| call(libc::SYS_pipe2, &[buffer(), 0])),
    // Devices and the rest of the kernel.
    ("ioctl TIOCSTI", true, |_| call(libc::SYS_ioctl, &[SOCKET, libc::TIOCSTI, text("x")])),
    ("ioctl TIOCLINUX", true, |_| call(libc::SYS_ioctl, &[SOCKET, 0x541c, text("\x03")])),
    ("ioctl FIOASYNC", true, |_| call(libc::SYS_ioctl, &[SOCKET, 0x5452, zeros()])),
    ("splice", true, |_| call(libc::SYS_splice, &[arg(-1), 0, arg(-1), 0, 1, 0])),
    ("timer_create", true, |_| call(libc::SYS_timer_create, &[0, 0, buffer()])),
    ("futex with priorities", true, |_| call(libc::SYS_futex, &[0, 6, 0, 0, 0, 0])),
    ("membarrier of all", true, |_| call(libc::SYS_membarrier, &[1, 0])),
    ("uname", true, |_| call(libc::SYS_uname, &[buffer()])),
    ("sysinfo", true, |_| call(libc::SYS_sysinfo, &[buffer()])),
    ("syslog", false, |_| call(libc::SYS_syslog, &[10, 0, 0])),
    ("quotactl", false, |_| call(libc::SYS_quotactl, &[0, 0, 0, 0])),
    ("lookup by a number of another kind", false, |_| call(0x4000_0000 | libc::SYS_getpid, &[])),
];

/// Attempts that are answered as unknown to the kernel, so that libraries take another way.
pub(crate) const UNKNOWN: &[Attempt] = &[
    ("clone3", false, |_| call(libc::SYS_clone3, &[zeros(), 88])),
    ("memfd_create", true, |_| call(libc::SYS_memfd_create, &[text("image"), 0])),
];

/// Address of room for any answer of the kernel.
pub(crate) fn buffer() -> u64 {
    Box::leak(Box::new([0_u64; 512])).as_ptr() as u64
}

/// Address of zeros for the kernel to read.
fn zeros() -> u64 {
    Box::leak(Box::new([0_u64; 16])).as_ptr() as u64
}
