//! Files that never answer: named pipes in a granted folder, partitions on a mount whose server is
//! gone. They cost only the guest's own call.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests stop where it is wrong")]

mod common;

use std::os::unix::net::UnixListener;
use std::process::Command;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use bytes::Bytes;
use frond_root::call::{Directory, Grants, Limits};
use frond_root::{Content, Failure, Partition, Plan, Request};
use frond_sandbox::{FileCalls, file_calls};
use serde_json::json;
use tempfile::TempDir;

use common::{App, Host, PATIENCE, alone, guest, ms, wait_until};

/// Number of stuck calls at which a file system counts as dead.
const MAX_STUCK: usize = 8;

/// Makes a folder with a file, a named pipe without a writer, a socket, and links.
fn folder() -> (TempDir, UnixListener) {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("fares.csv"), "York,60").unwrap();
    assert!(Command::new("mkfifo").arg(path("pipe")).status().unwrap().success());
    std::fs::create_dir(path("below")).unwrap();
    std::os::unix::fs::symlink("../pipe", path("below/link")).unwrap();
    std::os::unix::fs::symlink("/dev/zero", path("zero")).unwrap();
    std::os::unix::fs::symlink("/proc/self/environ", path("environ")).unwrap();
    let socket = UnixListener::bind(path("socket")).unwrap();
    (folder, socket)
}

fn app(host: &Host, folder: &TempDir) -> App {
    let directory = Directory { host: folder.path().to_path_buf(), guest: "/data".to_owned() };
    host.granted(Grants { directories: vec![directory], ..Grants::default() })
}

fn refused(host: &Host, app: &App, command: &str) -> String {
    let failure = app.obey(host, command, PATIENCE).failure();
    assert_eq!(failure.kind.slug(), "host-call-denied", "{failure}");
    failure.message
}

#[test]
fn what_is_no_file_is_refused_and_named() {
    let _alone = alone();
    let host = Host::new(1, Limits::default());
    let (folder, _socket) = folder();
    let app = app(&host, &folder);
    for (name, what) in [("pipe", "a named pipe"), ("below/link", "a named pipe"), ("socket", "a socket")] {
        let message = refused(&host, &app, &format!("read-file:/data/{name}"));
        let wanted = format!("asked for the file {name}, which is {what}: only regular files and folders are opened (");
        assert!(message.starts_with(&wanted), "{message}");
    }
    let read = |name: &str| app.obey(&host, &format!("read-file:/data/{name}"), PATIENCE);
    assert_eq!(read("fares.csv").report(), json!({ "size": 7, "text": "York,60" }));
    // A link out of the folder is not followed.
    for name in ["zero", "environ", "nothing"] {
        assert_eq!(read(name).slug(), "unavailable", "{name}");
    }
    let listed = app.obey(&host, "list-folder:/data", PATIENCE).report();
    assert_eq!(listed, json!({ "files": 1, "folders": 1, "others": 4 }));
}

#[test]
fn hundreds_of_leaves_at_a_pipe_hold_up_neither_the_runtime_nor_a_neighbour_nor_the_end() {
    let _alone = alone();
    let host = Host::new(4, Limits::default());
    let (folder, _socket) = folder();
    let app = app(&host, &folder);
    let partition = |number: u32| Partition::new(format!("a-{number}").as_str(), Bytes::new());
    let request = app.request(r#"{"fault": "read-file:/data/pipe"}"#);
    let plan = Plan::new((0..600).map(partition).collect()).unwrap();
    let asked = host.runtime.block_on(app.ask(request, plan));
    assert_eq!(asked.answer.coverage().failures.get(&frond_root::FailureKind::HostCallDenied), Some(&600));
    assert_eq!(app.obey(&host, "read-file:/data/fares.csv", PATIENCE).slug(), "ok");
    // If a thread of the runtime were blocked, this would wait for it forever.
    drop(host);
    assert_eq!(file_calls().stuck, 0);
}

#[test]
fn a_call_has_only_so_many_files_open() {
    let _alone = alone();
    let host = Host::new(1, Limits::default());
    let (folder, _socket) = folder();
    let app = app(&host, &folder);
    let message = refused(&host, &app, "open-many:/data/fares.csv");
    // The number depends on the process's file descriptors.
    let most =
        message.strip_prefix("asked for the file fares.csv, with ").and_then(|rest| rest.split_once(' ')).unwrap();
    assert!((16..=128).contains(&most.0.parse().unwrap()), "{message}");
    assert!(most.1.starts_with("files, folders and streams open, which is the most for one call ("), "{message}");
    // The files were closed with the call.
    assert_eq!(app.obey(&host, "read-file:/data/fares.csv", PATIENCE).slug(), "ok");
}

#[test]
fn a_large_folder_is_listed_to_its_end() {
    let _alone = alone();
    let host = Host::new(1, Limits::default());
    let folder = tempfile::tempdir().unwrap();
    for number in 0..1500 {
        std::fs::write(folder.path().join(format!("file-{number}")), "").unwrap();
    }
    let listed = app(&host, &folder).obey(&host, "list-folder:/data", PATIENCE).report();
    assert_eq!(listed, json!({ "files": 1500, "folders": 0, "others": 0 }));
}

/// File on a mount whose server is gone, until it comes back.
#[derive(Debug)]
struct Hung {
    mount: u64,
    back: Arc<(Mutex<bool>, Condvar)>,
}

impl Content for Hung {
    fn size(&self) -> u64 {
        4
    }

    fn read(&self, _: u64, _: usize) -> Result<Bytes, Failure> {
        let (back, woken) = &*self.back;
        drop(woken.wait_while(back.lock().unwrap(), |back| !*back).unwrap());
        Ok(Bytes::from_static(b"York"))
    }

    fn whole(&self) -> Result<Bytes, Failure> {
        self.read(0, 4)
    }

    fn remote(&self) -> Option<u64> {
        Some(self.mount)
    }
}

/// Host, an app whose leaves read their partition, and the query for it.
struct Reader<'a>(&'a Host, App, &'static str);

impl Reader<'_> {
    /// Runs one leaf within `time` whose partition is on that mount; returns its slug.
    fn pull(&self, mount: u64, back: &Arc<(Mutex<bool>, Condvar)>, time: Duration) -> &'static str {
        let Self(host, app, query) = self;
        let content = Hung { mount, back: back.clone() };
        let request = Request { leaf_time: Some(time), ..app.request(query) };
        let plan = Plan::new(vec![Partition::new("a", content)]).unwrap();
        host.runtime.block_on(app.ask(request, plan)).slug()
    }

    /// Runs leaves out of time until `wanted` of their reads are stuck. A busy machine may not
    /// begin a read in time, so the time doubles.
    fn hang(&self, mount: u64, gone: &Arc<(Mutex<bool>, Condvar)>, wanted: usize) {
        let mut time = ms(20);
        while file_calls().stuck < wanted {
            let before = file_calls().stuck;
            assert_eq!(self.pull(mount, gone, time), "out-of-time");
            if file_calls().stuck == before {
                time *= 2;
            }
        }
    }
}

/// Query of a leaf that pulls its partition.
const PULLS: &str = r#"{"fault": "read-source"}"#;

#[test]
fn a_mount_that_is_gone_costs_some_leaves_their_time_and_then_answers_at_once() {
    let _alone = alone();
    let host = Host::new(2, Limits::default());
    let gone = Arc::<(Mutex<bool>, Condvar)>::default();
    let there = Arc::new((Mutex::new(true), Condvar::new()));
    // The first leaf pulls its partition; the second gets it before it runs.
    for (mount, wasm, query) in [(1, guest("faulty"), PULLS), (2, guest("intake_list"), "{}")] {
        let reader = Reader(&host, host.leaf(&wasm, Limits::default()), query);
        reader.hang(mount, &gone, MAX_STUCK);
        assert_eq!(reader.pull(mount, &gone, PATIENCE), "unavailable");
        assert_eq!(reader.pull(mount + 10, &there, PATIENCE), "ok");
        let (back, woken) = &*gone;
        *back.lock().unwrap() = true;
        woken.notify_all();
        wait_until("nothing is stuck", || file_calls().stuck == 0);
        assert_eq!(reader.pull(mount, &gone, PATIENCE), "ok");
        *gone.0.lock().unwrap() = false;
    }
    assert!(matches!(file_calls(), FileCalls { stuck: 0, .. }));
}

#[test]
fn the_end_waits_for_no_mount_that_is_gone() {
    let _alone = alone();
    let host = Host::new(1, Limits::default());
    let reader = Reader(&host, host.leaf(&guest("faulty"), Limits::default()), PULLS);
    let gone = Arc::<(Mutex<bool>, Condvar)>::default();
    reader.hang(3, &gone, 1);
    drop(reader);
    drop(host);
    assert_eq!(file_calls().stuck, 1);
    *gone.0.lock().unwrap() = true;
    gone.1.notify_all();
    wait_until("nothing is stuck", || file_calls().stuck == 0);
}
