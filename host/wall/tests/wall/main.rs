//! The wall against native code: this program starts itself as a worker that attacks from within.
//!
//! It has its own `main` because a worker must enter the wall while it has a single thread, and the
//! standard test harness starts one before any test.
#![allow(unsafe_code, clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "this is a test")]
#![allow(clippy::panic, clippy::indexing_slicing, reason = "this is a test")]

#[cfg(target_os = "linux")]
mod attacker;
#[cfg(target_os = "linux")]
mod attempts;
#[cfg(target_os = "linux")]
mod checks;
#[cfg(target_os = "linux")]
mod child;
#[cfg(target_os = "linux")]
mod deadly;
#[cfg(target_os = "linux")]
mod job;
#[cfg(target_os = "linux")]
mod memory;
#[cfg(target_os = "linux")]
mod passing;

#[cfg(target_os = "linux")]
fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|first| first == child::WORKER) {
        attacker::run(&arguments[1..]);
        return;
    }
    let filters: Vec<&String> = arguments.iter().filter(|one| !one.starts_with('-')).collect();
    let mut failed = 0;
    for (name, check) in checks::ALL {
        if !filters.is_empty() && !filters.iter().any(|filter| name.contains(filter.as_str())) {
            continue;
        }
        let verdict = if std::panic::catch_unwind(check).is_ok() { "ok" } else { "FAILED" };
        failed += usize::from(verdict != "ok");
        println!("test {name} ... {verdict}");
    }
    assert_eq!(failed, 0, "tests have failed");
}

#[cfg(not(target_os = "linux"))]
fn main() {
    assert!(!frond_wall::offered().is_enforced());
}
