//! Threads and queries do not outlive their users.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests stop where it is wrong"
)]

mod common;

use std::fs;
use std::sync::Arc;

use bytes::Bytes;
use frond_root::{Content, Failure, Partition, Plan};
use frond_sandbox::Limits;

use common::{Host, PATIENCE, alone, guest, plan, wait_until};

/// The process's threads whose names begin so.
fn threads(prefix: &str) -> usize {
    let tasks = fs::read_dir("/proc/self/task").unwrap();
    // A thread may end while it is looked at.
    let names = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.filter(|name| name.starts_with(prefix)).count()
}

#[test]
fn threads_end_with_their_last_user() {
    let _alone = alone();
    wait_until("no threads are left", || threads("frond-") == 0);
    let host = Host::new(3, Limits::default());
    let app = host.faulty(Limits::default(), Limits::default());
    assert_eq!(app.obey(&host, "ok", PATIENCE).slug(), "ok");
    wait_until("all threads have begun", || (threads("frond-leaf"), threads("frond-clock")) == (3, 1));
    let Host { sandbox, slots, runtime, .. } = host;
    drop((sandbox, slots));
    // The app is a user, too.
    assert_eq!((threads("frond-leaf"), threads("frond-clock")), (3, 1));
    drop(app);
    wait_until("no threads are left", || threads("frond-") == 0);
    drop(runtime);
}

#[test]
fn a_query_is_let_go_of_when_it_is_over() {
    let _alone = alone();
    let host = Host::new(2, Limits::default());
    let app = host.faulty(Limits::default(), Limits::default());
    let asked = host.runtime.block_on(app.ask(app.request("{}"), plan(["ok-1", "panic-1"])));
    let scatter = asked.seen.take().unwrap();
    wait_until("nobody else holds the query", || Arc::strong_count(&scatter) == 1);
}

/// A source with a bug.
#[derive(Debug)]
struct Panics;

impl Content for Panics {
    fn size(&self) -> u64 {
        1
    }

    fn read(&self, _: u64, _: usize) -> Result<Bytes, Failure> {
        panic!("as the test wants")
    }

    fn whole(&self) -> Result<Bytes, Failure> {
        panic!("as the test wants")
    }
}

#[test]
fn a_panic_of_the_hosts_own_costs_an_attempt_and_not_a_slot() {
    let _alone = alone();
    let host = Host::new(1, Limits::default());
    let (pulling, handed) = (guest("faulty"), guest("wordcount"));
    for wasm in [pulling, handed] {
        let app = host.leaf(&wasm, Limits::default());
        let partitions = vec![Partition::new("read-source-1", Panics)];
        let asked = host.runtime.block_on(app.ask(app.request("{}"), Plan::new(partitions).unwrap()));
        assert_eq!(asked.slug(), "lost");
        assert_eq!(asked.answer.coverage().attempts.started, 3);
    }
    let app = host.faulty(Limits::default(), Limits::default());
    assert_eq!(app.obey(&host, "ok", PATIENCE).slug(), "ok");
}
