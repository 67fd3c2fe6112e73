//! Worker's side of the tests: what this program does when it is started as a worker.

use std::io::Read;
use std::sync::mpsc::channel;
use std::thread;

use frond_wall::{Report, Wall};

use crate::attempts::{Attempt, REFUSED, Scene, UNKNOWN};
use crate::deadly::DEADLY;
use crate::{job, memory};

/// Memory of a worker that has enough.
const MEMORY: u64 = 1 << 30;

/// Acts as the arguments say: a mode, the parent's number, and what the mode needs.
pub(crate) fn run(arguments: &[String]) {
    let mode = arguments[0].as_str();
    let wall = Wall::new(arguments[1].parse().unwrap(), MEMORY);
    let more = arguments.get(2).map_or("", String::as_str);
    let scene = Scene::new(wall.parent, more);
    match mode {
        "look" => look(),
        "bare" => attempt(&scene, |one| one.1),
        "attack" => {
            wall.enter().unwrap();
            attempt(&scene, |_| true);
        }
        "deadly" => {
            wall.enter().unwrap();
            DEADLY.iter().find(|(name, _)| *name == more).unwrap().1(&scene);
            say("it lives");
        }
        #[cfg(target_arch = "x86_64")]
        "32-bit" => {
            wall.enter().unwrap();
            crate::deadly::call_as_32_bit();
            say("it lives");
        }
        "report" => tell(&wall.enter().unwrap()),
        "error" => say(&wall.enter().unwrap_err().to_string()),
        "wait" => {
            wall.enter().unwrap();
            wait();
        }
        "hang" => {
            wall.enter().unwrap();
            say("it hangs");
            loop {
                thread::park();
            }
        }
        "middle" => middle(),
        "job" => job::after(&wall),
        "runtime" => job::around(&wall),
        "schedule" => job::schedule(wall),
        "memory" => memory::bounded(wall),
        "images" => memory::images(wall),
        "abort" => {
            wall.enter().unwrap();
            std::process::abort();
        }
        "older" => older_thread(&wall),
        "no-threads" => no_more_threads(&wall),
        other => panic!("no mode `{other}`"),
    }
}

/// Writes one line to the parent.
pub(crate) fn say(line: &str) {
    println!("{line}");
    std::io::Write::flush(&mut stdout()).unwrap();
}

#[expect(clippy::disallowed_methods, reason = "this is a test")]
fn stdout() -> std::io::Stdout {
    std::io::stdout()
}

/// Writes a thing and how it went.
pub(crate) fn verdict(name: &str, result: Result<(), i32>) {
    let said = match result {
        Ok(()) => "done".to_owned(),
        Err(libc::EPERM) => "EPERM".to_owned(),
        Err(libc::ENOSYS) => "ENOSYS".to_owned(),
        Err(libc::ENOMEM) => "ENOMEM".to_owned(),
        Err(libc::EAGAIN) => "EAGAIN".to_owned(),
        Err(libc::EFBIG) => "EFBIG".to_owned(),
        Err(other) => format!("error {other}"),
    };
    say(&format!("{name}: {said}"));
}

/// Makes the chosen attempts.
fn attempt(scene: &Scene, is_chosen: impl Fn(&Attempt) -> bool) {
    for one in REFUSED.iter().chain(UNKNOWN).filter(|one| is_chosen(one)) {
        verdict(one.0, one.2(scene));
    }
}

fn tell(report: &Report) {
    for part in &report.parts {
        say(&format!("{} {:?}", part.guard, part.state));
    }
    say(&format!("whole {}", report.is_whole()));
}

/// Tells what the parent has passed on.
fn look() {
    say(&format!("variables {}", std::env::vars_os().count()));
    for entry in std::fs::read_dir("/proc/self/fd").unwrap() {
        let entry = entry.unwrap();
        let target = std::fs::read_link(entry.path()).unwrap();
        // The folder that is being read is itself open.
        if !target.starts_with("/proc") {
            say(&format!("descriptor {}", entry.file_name().display()));
        }
    }
    // SAFETY: the call has no arguments that it could misread.
    let group = unsafe { libc::getpgid(0) };
    say(&format!("group {group}"));
}

/// Says that the wall is up, and waits until the parent closes the socket.
fn wait() {
    say("it waits");
    let _ = std::io::stdin().read(&mut [0]);
}

/// Starts a worker on the same stdout, and ends when the parent says so. The worker must end, too.
fn middle() {
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    command.args([crate::child::WORKER, "hang", &std::process::id().to_string()]);
    command.stdin(std::process::Stdio::null());
    frond_wall::prepare(&mut command).unwrap();
    command.spawn().unwrap();
    let _ = std::io::stdin().read(&mut [0]);
    std::process::exit(0);
}

/// Attacks from a thread that was started before the wall.
fn older_thread(wall: &Wall) {
    let (send, receive) = channel();
    let older = thread::spawn(move || {
        receive.recv().unwrap();
        std::fs::File::open("/etc/passwd").map(drop).map_err(|error| error.raw_os_error().unwrap())
    });
    let report = wall.enter().unwrap();
    send.send(()).unwrap();
    verdict("open", older.join().unwrap());
    tell(&report);
}

/// Starts a thread, forbids threads, and starts another.
fn no_more_threads(wall: &Wall) {
    let start = || match thread::Builder::new().spawn(|| {}) {
        Ok(thread) => {
            thread.join().unwrap();
            Ok(())
        }
        Err(error) => Err(error.raw_os_error().unwrap()),
    };
    wall.enter().unwrap();
    let (send, receive) = channel::<()>();
    let (answer, answers) = channel();
    thread::spawn(move || {
        while receive.recv().is_ok() {
            answer.send(()).unwrap();
        }
    });
    verdict("before", start());
    frond_wall::forbid_threads().unwrap();
    verdict("after", start());
    send.send(()).unwrap();
    verdict("older", answers.recv().map_err(|_| 0));
}
