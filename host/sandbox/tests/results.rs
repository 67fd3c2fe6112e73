//! Results of guests arrive as they were when the guest returned them.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests stop where it is wrong")]

mod common;

use bytes::Bytes;
use frond_root::Partition;
use frond_root::call::Limits;

use common::{Host, wat};

#[test]
fn a_partial_is_read_before_the_guest_frees_it() {
    let host = Host::new(1, Limits::default());
    let app = host.leaf(&wat::freeing("a partial of some bytes"), Limits::default());
    let asked = app.call(&host, "", Partition::new("a", Bytes::new()));
    assert_eq!(asked.body(), "a partial of some bytes");
}
