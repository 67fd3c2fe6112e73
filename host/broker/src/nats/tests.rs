//! Tests of the delays between attempts to connect.

use super::*;

#[test]
fn delays_grow_to_their_bound_and_no_further() {
    assert_eq!(delay(0, true), Duration::ZERO);
    assert_eq!(delay(1, true), Duration::ZERO);
    for attempt in [2, 3, 8, 9, 64, 1000, usize::MAX] {
        let longest = MAX_DELAY.min(Duration::from_millis(1 << attempt.min(20)));
        for _ in 0..1000 {
            assert!((longest / 2..=longest).contains(&delay(attempt, true)));
        }
    }
}

#[test]
fn a_connection_without_an_owner_is_not_made_again() {
    assert_eq!(delay(2, false), Duration::MAX);
}
