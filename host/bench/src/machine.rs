//! Resource usage of this process and its threads, and facts about the machine, read from Linux.

use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::Context;
use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Returns this process's resident memory, in MiB.
pub(crate) fn resident() -> f64 {
    status("VmRSS:") as f64 / 1024.0
}

fn status(key: &str) -> u64 {
    let text = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(key));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// Returns the number of this process's minor page faults so far.
pub(crate) fn page_faults() -> u64 {
    let text = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = text.rsplit(')').next().unwrap_or_default();
    after_name.split_whitespace().nth(7).and_then(|field| field.parse().ok()).unwrap_or(0)
}

/// Returns the ids of this process's threads whose name begins with `name`.
pub(crate) fn threads(name: &str) -> Vec<i32> {
    let Ok(entries) = fs::read_dir("/proc/self/task") else { return Vec::new() };
    let named = |id: &i32| {
        let found = fs::read_to_string(format!("/proc/self/task/{id}/comm")).unwrap_or_default();
        found.starts_with(name)
    };
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).filter(named).collect()
}

/// Returns the CPU time of these threads so far.
pub(crate) fn thread_cpu(ids: &[i32]) -> Duration {
    let one = |id: &i32| -> u64 {
        let text = fs::read_to_string(format!("/proc/self/task/{id}/schedstat")).unwrap_or_default();
        text.split_whitespace().next().and_then(|field| field.parse().ok()).unwrap_or(0)
    };
    Duration::from_nanos(ids.iter().map(one).sum())
}

/// Runs `work` with all threads of this process confined to one core. Threads that `work` starts
/// inherit this affinity.
///
/// # Errors
/// Returns the errors of `work`, and an error if the system does not tell this process's affinity.
pub(crate) fn on_one_core<T>(work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    let all = sched_getaffinity(None)?;
    let first = (0..CpuSet::MAX_CPU).find(|core| all.is_set(*core)).context("no core to run on")?;
    let mut one = CpuSet::new();
    one.set(first);
    let confine = |to: &CpuSet| {
        for thread in threads("").into_iter().filter_map(Pid::from_raw) {
            // Fails for a thread that has just ended.
            let _ = sched_setaffinity(Some(thread), to);
        }
    };
    confine(&one);
    let done = work();
    confine(&all);
    done
}

/// Returns the number of cores that this process may use.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Describes the machine, one fact a line.
pub(crate) fn facts() -> Vec<String> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let info = read("/proc/cpuinfo");
    let model = |key: &str| {
        let line = info.lines().find(|line| line.starts_with(key));
        line.and_then(|line| line.split(':').nth(1)).map_or("?", str::trim).to_owned()
    };
    vec![
        format!("CPU: {} (model {}), {} cores", model("model name"), model("model\t"), cores()),
        format!("kernel: {}", read("/proc/sys/kernel/osrelease").trim()),
        format!("huge pages: {}", read("/sys/kernel/mm/transparent_hugepage/enabled").trim()),
        format!("compiler: {}", output("rustc", &["--version"])),
        format!("load average at the start: {}", load()),
    ]
}

/// Returns the machine's load average over one minute. Above about 0.3 before a run, other
/// processes disturb the figures.
pub(crate) fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().unwrap_or("?").to_owned()
}

fn output(program: &str, arguments: &[&str]) -> String {
    let ran = Command::new(program).args(arguments).output();
    ran.map_or_else(|_| "?".to_owned(), |ran| String::from_utf8_lossy(&ran.stdout).trim().to_owned())
}
