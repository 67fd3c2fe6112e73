//! Tests of what the root would account for.

use frond_root::share::{Part, Stretch};

use super::*;

fn part(begin: u64, end: u64, taken: u64) -> Part {
    let stretch = Stretch { begin, end, ..Stretch::whole(0) };
    Part { units: 100, stretch, taken, kept: begin, skipped: false, asked: true }
}

fn range(begin: u64, end: u64, until: u64) -> Option<PartialRange> {
    Some(PartialRange { begin, end, until, of: 100 })
}

#[test]
fn a_success_accounts_for_what_its_leaf_took() {
    assert_eq!(accounted(&part(0, 100, 100), 100), None, "the whole partition");
    assert_eq!(accounted(&Part { asked: false, ..part(0, 100, 0) }, 20), None, "read at once");
    assert_eq!(accounted(&part(0, 100, 40), 60), range(0, 40, 40), "it returned early");
    assert_eq!(accounted(&part(30, 60, 60), 60), range(30, 60, 60), "a part");
    // It takes the place of what was kept before, which is a part.
    assert_eq!(accounted(&Part { kept: 50, ..part(0, 100, 100) }, 100), range(0, 100, 100));
}

#[test]
fn what_is_skipped_ends_with_the_lease() {
    let skipped = |taken, leased| accounted(&Part { skipped: true, ..part(0, 100, taken) }, leased);
    assert_eq!(skipped(40, 100), range(0, 40, 100));
    assert_eq!(skipped(40, 60), range(0, 40, 60), "the root may have cut the rest off");
    assert_eq!(skipped(40, 20), range(0, 40, 40));
}
