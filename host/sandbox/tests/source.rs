//! Pulled partitions: larger than the guest's memory, or unreadable.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests stop where it is wrong")]

mod common;

use std::sync::Arc;

use bytes::Bytes;
use frond_root::call::Limits;
use frond_root::{Content, Failure, FailureKind, Partition};
use serde_json::json;

use common::{Host, guest};

const LARGE: usize = (70 << 20) + 17;

#[test]
fn a_partition_larger_than_the_memory_is_pulled_byte_by_byte_right() {
    let host = Host::new(1, Limits::default());
    let app = host.faulty(Limits::default(), Limits::default());
    let bytes: Vec<u8> = (0..LARGE).map(|at| (at % 251) as u8).collect();
    let sum: u64 = bytes.iter().map(|byte| u64::from(*byte)).sum();
    let asked = app.call(&host, r#"{"fault": "read-source"}"#, Partition::new("a", Bytes::from(bytes)));
    assert_eq!(asked.json()["reports"]["a"], json!({ "sum": sum, "read": LARGE, "size": LARGE }));
    assert!(asked.usage().memory < 32 << 20, "{:?}", asked.usage());
}

#[test]
fn one_read_gives_no_more_than_the_host_would_hold() {
    let limits = Limits { memory: 256 << 20, ..Limits::default() };
    let host = Host::new(1, limits);
    let app = host.faulty(limits, Limits::default());
    let content = Partition::new("a", Bytes::from(vec![7; LARGE]));
    let asked = app.call(&host, r#"{"fault": "read-source-huge-len"}"#, content);
    assert_eq!(asked.json()["reports"]["a"], json!({ "read": 16 << 20, "size": LARGE }));
}

#[test]
fn reading_at_the_end_and_beyond_gives_what_there_is() {
    let host = Host::new(1, Limits::default());
    let app = host.faulty(Limits::default(), Limits::default());
    for size in [0, 1, 1 << 20, (1 << 20) + 1] {
        let content = Partition::new("a", Bytes::from(vec![1; size]));
        let asked = app.call(&host, r#"{"fault": "read-source"}"#, content);
        assert_eq!(asked.json()["reports"]["a"], json!({ "sum": size, "read": size, "size": size }));
    }
}

#[test]
fn a_read_beyond_the_end_gives_nothing_and_touches_nothing() {
    let host = Host::new(1, Limits::default());
    let app = host.faulty(Limits::default(), Limits::default());
    for offset in [4_u64 << 20, (4 << 20) + 1, 1 << 40, 1 << 63, u64::MAX] {
        // A read of this content would fail.
        let content =
            Partition { content: Arc::new(Fails(FailureKind::Unavailable)), ..Partition::new("a", Bytes::new()) };
        let asked = app.call(&host, &format!(r#"{{"fault": "read-source-at:{offset}"}}"#), content);
        assert_eq!(asked.report(), json!({ "read": 0 }), "{offset}");
    }
}

/// Content of which only the first mebibyte can be read.
#[derive(Debug)]
struct Fails(FailureKind);

impl Fails {
    fn failure(&self) -> Failure {
        Failure::new(self.0, "as the test wants")
    }
}

impl Content for Fails {
    fn size(&self) -> u64 {
        4 << 20
    }

    fn read(&self, offset: u64, len: usize) -> Result<Bytes, Failure> {
        if offset < 1 << 20 { Ok(vec![0; len].into()) } else { Err(self.failure()) }
    }

    fn whole(&self) -> Result<Bytes, Failure> {
        Err(self.failure())
    }
}

#[test]
fn content_that_cannot_be_read_fails_as_it_says() {
    let host = Host::new(1, Limits::default());
    // The first leaf pulls its partition; the second gets it before it runs.
    for wasm in [guest("faulty"), guest("intake_list")] {
        let app = host.leaf(&wasm, Limits::default());
        for kind in [FailureKind::Unavailable, FailureKind::InvalidPartition] {
            let content = Partition { content: Arc::new(Fails(kind)), ..Partition::new("a", Bytes::new()) };
            let failure = app.call(&host, r#"{"fault": "read-source"}"#, content).failure();
            assert_eq!((failure.kind, failure.message.as_str()), (kind, "as the test wants"));
        }
    }
}

#[test]
fn a_leaf_that_is_handed_its_partition_gets_all_of_it() {
    let host = Host::new(1, Limits::default());
    let app = host.leaf(&guest("intake_list"), Limits::default());
    let asked = app.call(&host, "{}", Partition::new("a", Bytes::from_static(b"one two two")));
    assert_eq!(asked.json(), 11);
}
