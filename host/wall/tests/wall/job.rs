//! Worker's side of the tests of a worker's job: everything that must go well within the wall.

use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, IntoRawFd, RawFd};
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use std::{io, ptr, thread};

use frond_wall::Wall;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::attacker::{say, verdict};
use crate::attempts::{arg, buffer, call};
use crate::passing;

/// Step of a worker's job, and what it needs of the kernel.
type Step = (&'static str, fn() -> io::Result<()>);

/// Steps that need nothing from before the wall.
const STEPS: &[Step] = &[
    ("threads", threads),
    ("names of threads", names),
    ("cores", cores),
    ("compiled code", compiled_code),
    ("traps", traps),
    ("signals to itself", signals_to_itself),
    ("epoll on the socket", epoll),
    ("a passed file", passed_file),
    ("timers", timers),
    ("event counters", event_counters),
    ("random numbers", random),
    ("clocks", clocks),
    ("large memory", large_memory),
    ("panics", panics),
    ("own limits", own_limits),
    ("own priority", own_priority),
    ("memory of finished instances", finished_instances),
    ("a runtime", runtime_on_the_socket),
];

/// Size of a page that is used by the tests.
const PAGE: usize = 4096;

/// Does all steps behind the wall.
pub(crate) fn after(wall: &Wall) {
    let page_map = std::fs::File::open("/proc/self/pagemap");
    wall.enter().unwrap();
    for (name, step) in STEPS {
        verdict(name, step().map_err(|error| error.raw_os_error().unwrap_or(0)));
    }
    // The request names no pages, so a kernel that scans refuses its content and not the call.
    let page_map = page_map.map_or(arg(-1), |file| arg(file.into_raw_fd()));
    let scan = call(libc::SYS_ioctl, &[page_map, 0xc060_6610, buffer()]);
    verdict("scan of written pages", if scan == Err(libc::EPERM) { scan } else { Ok(()) });
}

/// Uses a runtime that was started before the wall.
pub(crate) fn around(wall: &Wall) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let early = UnixStream::from(io::stdin().as_fd().try_clone_to_owned().unwrap());
    early.set_nonblocking(true).unwrap();
    let entered = runtime.enter();
    let mut socket = tokio::net::UnixStream::from_std(early).unwrap();
    drop(entered);
    wall.enter().unwrap();
    let echoed = runtime.block_on(async move {
        let computed = tokio::spawn(async { tokio::task::spawn_blocking(|| 21).await.unwrap() * 2 });
        assert_eq!(computed.await.unwrap(), 42);
        let mut bytes = [0; 4];
        socket.read_exact(&mut bytes).await?;
        socket.write_all(&bytes).await
    });
    verdict("an older runtime", echoed.map_err(|error| error.raw_os_error().unwrap_or(0)));
}

/// Lets a thread choose the cores and the priority of another.
pub(crate) fn schedule(wall: Wall) {
    Wall { schedules_threads: true, ..wall }.enter().unwrap();
    let (send, receive) = std::sync::mpsc::channel();
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let other = thread::spawn(move || {
        // SAFETY: the call has no arguments.
        send.send(unsafe { libc::syscall(libc::SYS_gettid) } as u64).unwrap();
        let _ = stopped.recv();
    });
    let number = receive.recv().unwrap();
    let cores = [u64::MAX; 16];
    verdict("cores", call(libc::SYS_sched_setaffinity, &[number, 128, cores.as_ptr() as u64]));
    verdict("priority", call(libc::SYS_setpriority, &[0, number, 19]));
    drop(stop);
    other.join().unwrap();
}

fn check(is_right: bool) -> io::Result<()> {
    if is_right { Ok(()) } else { Err(io::Error::other("wrong result")) }
}

fn threads() -> io::Result<()> {
    let sum = AtomicUsize::new(0);
    thread::scope(|scope| {
        for number in 1..=8 {
            let sum = &sum;
            scope.spawn(move || sum.fetch_add(number, Ordering::Relaxed));
        }
    });
    check(sum.into_inner() == 36)
}

fn names() -> io::Result<()> {
    let named = thread::Builder::new().name("slot-1".to_owned()).spawn(|| {
        let mut name = [0_u8; 16];
        // SAFETY: the kernel writes at most 16 bytes.
        unsafe { libc::prctl(libc::PR_GET_NAME, name.as_mut_ptr()) };
        name.starts_with(b"slot-1\0")
    })?;
    check(named.join().unwrap())
}

fn cores() -> io::Result<()> {
    check(thread::available_parallelism()?.get() >= 1)?;
    let mut cores = [0_u64; 16];
    // SAFETY: both calls get the size of `cores`, which outlives them.
    let all_right = unsafe {
        let set = cores.as_mut_ptr().cast::<libc::cpu_set_t>();
        libc::sched_getaffinity(0, 128, set) == 0 && libc::sched_setaffinity(0, 128, set) == 0
    };
    check(all_right && cores != [0; 16])
}

/// Compiled code of a function that returns 42.
#[cfg(target_arch = "x86_64")]
const CODE: [u8; 6] = [0xb8, 42, 0, 0, 0, 0xc3];
/// Compiled code of a function that returns 42.
#[cfg(target_arch = "aarch64")]
const CODE: [u8; 8] = [0x40, 0x05, 0x80, 0x52, 0xc0, 0x03, 0x5f, 0xd6];

fn map(size: usize) -> io::Result<*mut u8> {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: the kernel chooses a free address.
    let memory =
        unsafe { libc::mmap(ptr::null_mut(), size, protection, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0) };
    if memory == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(memory.cast()) }
}

fn protect(memory: *mut u8, protection: i32) -> io::Result<()> {
    // SAFETY: the memory is a page that `map` has made.
    let done = unsafe { libc::mprotect(memory.cast(), PAGE, protection) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn compiled_code() -> io::Result<()> {
    let memory = map(PAGE)?;
    // SAFETY: the page has room for the code.
    unsafe { ptr::copy_nonoverlapping(CODE.as_ptr(), memory, CODE.len()) };
    protect(memory, libc::PROT_READ | libc::PROT_EXEC)?;
    #[cfg(target_arch = "aarch64")]
    // SAFETY: the instructions are within the page; `ic` and `isb` only drop cached ones.
    unsafe {
        std::arch::asm!("dc cvau, {0}", "dsb ish", "ic ivau, {0}", "dsb ish", "isb", in(reg) memory);
    }
    // SAFETY: the page contains a whole function that keeps to the calling convention.
    let answer = unsafe { std::mem::transmute::<*mut u8, extern "C" fn() -> i32>(memory)() };
    check(answer == 42)
}

/// Page that a trap makes accessible.
static TRAPPING: AtomicUsize = AtomicUsize::new(0);
/// Number of signals received.
static SIGNALS: AtomicUsize = AtomicUsize::new(0);

extern "C" fn on_trap(_: i32) {
    // The access is repeated after this handler, and succeeds.
    let _ = protect(TRAPPING.load(Ordering::Relaxed) as *mut u8, libc::PROT_READ | libc::PROT_WRITE);
}

extern "C" fn on_signal(_: i32) {
    SIGNALS.fetch_add(1, Ordering::Relaxed);
}

fn handle(signal: i32, handler: extern "C" fn(i32)) -> io::Result<()> {
    // SAFETY: all zeros are a valid action; the handlers call only what is safe in a signal's context.
    let done = unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler as *const () as usize;
        action.sa_flags = libc::SA_ONSTACK | libc::SA_NODEFER;
        libc::sigaction(signal, &raw const action, ptr::null_mut())
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn traps() -> io::Result<()> {
    handle(libc::SIGSEGV, on_trap)?;
    let memory = map(PAGE)?;
    protect(memory, libc::PROT_NONE)?;
    TRAPPING.store(memory as usize, Ordering::Relaxed);
    // SAFETY: the page is inaccessible until the handler has made it accessible.
    unsafe { memory.write_volatile(7) };
    // SAFETY: as above.
    check(unsafe { memory.read_volatile() } == 7)
}

fn signals_to_itself() -> io::Result<()> {
    handle(libc::SIGUSR1, on_signal)?;
    // SAFETY: the handler only counts.
    let sent = unsafe { libc::raise(libc::SIGUSR1) == 0 && libc::kill(libc::getpid(), libc::SIGUSR1) == 0 };
    check(sent && SIGNALS.load(Ordering::Relaxed) == 2)
}

fn epoll() -> io::Result<()> {
    say("ping");
    let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: 9 };
    // SAFETY: `event` outlives the calls, and there is room for one.
    let ready = unsafe {
        let queue = libc::epoll_create1(libc::EPOLL_CLOEXEC);
        libc::epoll_ctl(queue, libc::EPOLL_CTL_ADD, 0, &raw mut event);
        libc::epoll_wait(queue, &raw mut event, 1, -1)
    };
    let mut bytes = [0; 4];
    io::stdin().read_exact(&mut bytes)?;
    check(ready == 1 && &bytes == b"pong")
}

fn passed_file() -> io::Result<()> {
    say("file");
    let file = passing::receive(&io::stdin())?;
    let mut bytes = [0; 4];
    file.read_exact_at(&mut bytes, 2)?;
    // SAFETY: the kernel fills in the whole structure; `fstat` takes no path.
    let size = unsafe {
        let mut found: libc::stat = std::mem::zeroed();
        if libc::syscall(libc::SYS_fstat, file.as_raw_fd(), &raw mut found) != 0 {
            return Err(io::Error::last_os_error());
        }
        found.st_size
    };
    // SAFETY: the mapping is as long as the file, and only read.
    let mapped = unsafe {
        let at = libc::mmap(ptr::null_mut(), 6, libc::PROT_READ, libc::MAP_PRIVATE, file.as_raw_fd(), 0);
        if at == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        std::slice::from_raw_parts(at.cast::<u8>(), 6)
    };
    check(&bytes == b"rtit" && size == 9 && mapped == b"partit")
}

fn read_counter(descriptor: RawFd) -> u64 {
    let mut count = 0_u64;
    // SAFETY: the kernel writes eight bytes.
    unsafe { libc::read(descriptor, (&raw mut count).cast(), 8) };
    count
}

fn timers() -> io::Result<()> {
    let once = libc::itimerspec {
        it_interval: libc::timespec { tv_sec: 0, tv_nsec: 0 },
        it_value: libc::timespec { tv_sec: 0, tv_nsec: 1_000_000 },
    };
    // SAFETY: `once` outlives the call.
    let timer = unsafe {
        let timer = libc::timerfd_create(libc::CLOCK_MONOTONIC, libc::TFD_CLOEXEC);
        libc::timerfd_settime(timer, 0, &raw const once, ptr::null_mut());
        timer
    };
    check(read_counter(timer) == 1)
}

fn event_counters() -> io::Result<()> {
    // SAFETY: the call has no pointers.
    let counter = unsafe { libc::eventfd(3, libc::EFD_CLOEXEC) };
    check(read_counter(counter) == 3)
}

fn random() -> io::Result<()> {
    let mut bytes = [0_u8; 32];
    // SAFETY: the kernel writes at most 32 bytes.
    let read = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
    check(read == 32 && bytes != [0; 32])
}

fn clocks() -> io::Result<()> {
    let before = Instant::now();
    let pause = Duration::from_millis(1);
    thread::sleep(pause);
    let time = std::time::SystemTime::now();
    check(before.elapsed() >= pause && time > std::time::UNIX_EPOCH)
}

fn large_memory() -> io::Result<()> {
    let mut all = vec![1_u8; 32 << 20];
    all.resize(64 << 20, 2);
    check(all[0] == 1 && all[all.len() - 1] == 2)
}

fn panics() -> io::Result<()> {
    std::panic::set_hook(Box::new(|_| {}));
    let caught = std::panic::catch_unwind(|| panic!("a leaf failed"));
    let _ = std::panic::take_hook();
    check(caught.is_err())
}

fn own_limits() -> io::Result<()> {
    let mut limit = libc::rlimit { rlim_cur: 1, rlim_max: 1 };
    // SAFETY: the kernel fills in the structure.
    let read = unsafe { libc::getrlimit(libc::RLIMIT_CORE, &raw mut limit) };
    check(read == 0 && limit.rlim_cur == 0 && limit.rlim_max == 0)
}

fn own_priority() -> io::Result<()> {
    let lowered = thread::spawn(|| call(libc::SYS_setpriority, &[0, 0, 19]));
    lowered.join().unwrap().map_err(io::Error::from_raw_os_error)
}

fn finished_instances() -> io::Result<()> {
    let memory = map(PAGE)?;
    // SAFETY: the page is this function's own.
    unsafe { memory.write_volatile(7) };
    let parts = [memory as u64, PAGE as u64];
    let advice = arg(libc::MADV_DONTNEED);
    let batched = call(libc::SYS_process_madvise, &[arg(-10_000), parts.as_ptr() as u64, 1, advice, 0]);
    // Kernels before 6.14 do not know this number of the process itself.
    check(batched != Err(libc::EPERM))?;
    call(libc::SYS_madvise, &[memory as u64, PAGE as u64, advice]).map_err(io::Error::from_raw_os_error)?;
    // SAFETY: the page is still mapped.
    check(unsafe { memory.read_volatile() } == 0)
}

fn runtime_on_the_socket() -> io::Result<()> {
    say("echo");
    let socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    socket.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let mut socket = tokio::net::UnixStream::from_std(socket)?;
        let computed = tokio::spawn(async { tokio::task::spawn_blocking(|| 21).await.unwrap() * 2 });
        tokio::time::sleep(Duration::from_millis(1)).await;
        check(computed.await.unwrap() == 42)?;
        let _listener = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        let mut bytes = [0; 4];
        socket.read_exact(&mut bytes).await?;
        socket.write_all(&bytes).await
    })?;
    Ok(())
}
