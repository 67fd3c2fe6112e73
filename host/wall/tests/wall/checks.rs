//! The tests themselves, which run in the parent.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::os::fd::FromRawFd;
use std::os::unix::process::ExitStatusExt;

use frond_wall::{Guard, State, is_breach, offered};

use crate::attempts::{REFUSED, UNKNOWN};
use crate::child::{Ended, Worker};
use crate::deadly::DEADLY;
use crate::passing;

/// Tests by name.
pub(crate) const ALL: &[(&str, fn())] = &[
    ("an_attacker_is_refused_every_call_outside_its_job", attacks),
    ("without_the_wall_the_same_calls_go_through", bare),
    ("a_call_that_only_an_attacker_makes_kills_the_worker", deadly),
    ("system_calls_of_32_bit_programs_kill_the_worker", other_numbering),
    ("a_worker_can_do_its_job_behind_the_wall", job),
    ("a_runtime_from_before_the_wall_goes_on_behind_it", runtime),
    ("memory_is_bounded_on_every_way", memory),
    ("images_of_components_are_bounded", images),
    ("an_abort_leaves_no_core_dump_and_is_no_breach", abort),
    ("the_kernel_shows_what_the_report_says", kernels_view),
    ("the_report_is_that_of_the_kernels_offer", report),
    ("a_thread_from_before_the_wall_is_held_by_seccomp", older_thread),
    ("threads_can_be_forbidden", no_more_threads),
    ("scheduling_of_other_threads_can_be_allowed", schedule),
    ("a_worker_ends_with_its_parent", orphan),
    ("a_worker_whose_parent_has_gone_does_not_enter", gone),
    ("a_worker_inherits_nothing", inherits_nothing),
];

/// Runs a worker to its end without a word to it.
fn run(mode: &str, more: &[&str]) -> Ended {
    Worker::start(mode, more).finish()
}

/// Lines of attempts in a folder with a file.
fn attempts(mode: &str) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("file"), "kept").unwrap();
    let ended = run(mode, &[folder.path().to_str().unwrap()]);
    assert!(ended.status.success(), "{:?} after {:?}", ended.status, ended.lines.last());
    if mode == "attack" {
        assert_eq!(std::fs::read_to_string(folder.path().join("file")).unwrap(), "kept");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
    ended.lines
}

fn attacks() {
    let refused = REFUSED.iter().map(|one| format!("{}: EPERM", one.0));
    let wanted: Vec<String> = refused.chain(UNKNOWN.iter().map(|one| format!("{}: ENOSYS", one.0))).collect();
    assert_eq!(attempts("attack"), wanted);
}

fn bare() {
    let lines = attempts("bare");
    assert_eq!(lines.len(), REFUSED.iter().chain(UNKNOWN).filter(|one| one.1).count());
    for line in lines {
        assert!(!line.ends_with(": EPERM"), "{line}");
    }
}

fn deadly() {
    for (name, _) in DEADLY {
        let ended = run("deadly", &[name]);
        assert!(is_breach(ended.status), "{name}: {:?}", ended.status);
        assert!(!ended.status.core_dumped(), "{name}");
        assert!(ended.lines.is_empty(), "{name}: {:?}", ended.lines);
    }
}

fn other_numbering() {
    if cfg!(target_arch = "x86_64") {
        let ended = run("32-bit", &[]);
        // A kernel without 32-bit programs has no such entry.
        assert!(is_breach(ended.status) || ended.status.signal() == Some(libc::SIGSEGV), "{:?}", ended.status);
        assert!(ended.lines.is_empty());
    }
}

fn job() {
    let mut worker = Worker::start("job", &[]);
    let mut lines = Vec::new();
    while let Some(line) = worker.line() {
        match line.as_str() {
            "ping" => worker.socket.write_all(b"pong").unwrap(),
            "file" => passing::send(&worker.socket, &file_with("partition")),
            "echo" => {
                worker.socket.write_all(b"leaf").unwrap();
                let mut bytes = [0; 4];
                worker.socket.read_exact(&mut bytes).unwrap();
                assert_eq!(&bytes, b"leaf");
            }
            _ => lines.push(line),
        }
    }
    let ended = worker.finish();
    assert!(ended.status.success(), "{:?} after {lines:?}", ended.status);
    assert_eq!(lines.len(), 19, "{lines:?}");
    assert!(lines.iter().all(|line| line.ends_with(": done")), "{lines:?}");
}

/// Open file with this text, without a name.
fn file_with(text: &str) -> std::fs::File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

fn runtime() {
    let mut worker = Worker::start("runtime", &[]);
    worker.socket.write_all(b"leaf").unwrap();
    let mut bytes = [0; 4];
    worker.socket.read_exact(&mut bytes).unwrap();
    let ended = worker.finish();
    assert_eq!((&bytes, ended.lines), (b"leaf", vec!["an older runtime: done".to_owned()]));
    assert!(ended.status.success());
}

fn memory() {
    let wanted = [
        "map little: done",
        "map too much: ENOMEM",
        "reserve: done",
        "use little of it: done",
        "use too much of it: ENOMEM",
        "grow: ENOMEM",
        "allocate: ENOMEM",
        "brk: ENOMEM",
        "image: ENOSYS",
    ];
    assert_eq!(run("memory", &[]).lines, wanted);
}

fn images() {
    let wanted = ["create: done", "write: done", "write too much: EFBIG", "extend: EPERM", "seal: done", "map: done"];
    let ended = run("images", &[]);
    assert_eq!(ended.lines, wanted);
    assert!(ended.status.success(), "{:?}", ended.status);
}

fn abort() {
    let ended = run("abort", &[]);
    assert_eq!(ended.status.signal(), Some(libc::SIGABRT));
    assert!(!ended.status.core_dumped() && !is_breach(ended.status));
}

fn kernels_view() {
    let mut worker = Worker::start("wait", &[]);
    assert_eq!(worker.line().as_deref(), Some("it waits"));
    let read = |name: &str| std::fs::read_to_string(format!("/proc/{}/{name}", worker.process.id())).unwrap();
    let status = read("status");
    for fact in ["CapEff:\t0000000000000000", "CapPrm:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"] {
        assert!(status.lines().any(|line| line == fact), "{fact} is not in {status}");
    }
    assert_eq!(read("oom_score_adj").trim(), "1000");
    let limits = read("limits");
    for (name, most) in [("core file size", 0_u64), ("file size", 0), ("open files", 256), ("data size", 1 << 30)] {
        let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let line = limits.lines().find(|line| line.starts_with(&format!("Max {name}"))).map(words).unwrap();
        let most = most.to_string();
        assert!(line.iter().filter(|word| **word == most).count() == 2, "{line:?}");
    }
    drop(worker.socket.shutdown(std::net::Shutdown::Both));
    assert!(worker.finish().status.success());
}

fn report() {
    let offer = offered();
    let guards: Vec<Guard> = offer.parts.iter().map(|part| part.guard).collect();
    assert_eq!(guards, [Guard::Landlock, Guard::Seccomp, Guard::NoNewPrivileges, Guard::ParentDeath]);
    let ended = run("report", &[]);
    for part in &offer.parts {
        assert!(part.state == State::Whole || part.remedy.is_some(), "{part}");
        let line = format!("{} {:?}", part.guard, part.state);
        assert!(ended.lines.contains(&line), "{line} is not in {:?}", ended.lines);
    }
    let whole = offer.is_whole();
    assert_eq!(ended.lines.last(), Some(&format!("whole {whole}")), "{:?}", ended.lines);
}

fn older_thread() {
    let lines = run("older", &[]).lines;
    assert_eq!(lines.first().map(String::as_str), Some("open: EPERM"));
    let state = |guard: Guard| {
        let start = format!("{guard} ");
        lines.iter().find_map(|line| line.strip_prefix(&start)).unwrap()
    };
    assert_eq!(state(Guard::Seccomp), "Whole");
    // From its version 8 on, landlock holds for all threads.
    assert!(["Partial", "Whole", "Missing"].contains(&state(Guard::Landlock)));
}

fn no_more_threads() {
    let ended = run("no-threads", &[]);
    assert_eq!(ended.lines, ["before: done", "after: EAGAIN", "older: done"]);
    assert!(ended.status.success());
}

fn schedule() {
    assert_eq!(run("schedule", &[]).lines, ["cores: done", "priority: done"]);
}

fn orphan() {
    let mut middle = Worker::start("middle", &[]);
    assert_eq!(middle.line().as_deref(), Some("it hangs"));
    drop(middle.socket.shutdown(std::net::Shutdown::Both));
    // The worker has the same stdout, so this ends only with the worker.
    assert!(middle.finish().lines.is_empty());
}

fn gone() {
    let other = (std::process::id() + 1).to_string();
    assert_eq!(Worker::of("error", &other, &[]).finish().lines, ["the parent process has ended"]);
}

fn inherits_nothing() {
    let mut ends = [0; 2];
    // SAFETY: the kernel writes two numbers. Without a flag, the pipe would be inherited.
    let made = unsafe { libc::pipe(ends.as_mut_ptr()) };
    assert_eq!(made, 0);
    // SAFETY: nobody else owns the new descriptors.
    let _pipe = ends.map(|end| unsafe { std::fs::File::from_raw_fd(end) });
    let worker = Worker::start("look", &[]);
    let number = worker.process.id();
    let lines: BTreeSet<String> = worker.finish().lines.into_iter().collect();
    let wanted =
        ["descriptor 0", "descriptor 1", "descriptor 2", &format!("group {number}"), "variables 0"].map(str::to_owned);
    assert_eq!(lines, BTreeSet::from(wanted));
}
