//! Tests of the lists: no call has two answers by mistake.

use std::collections::BTreeSet;

use super::*;

/// Calls of these lists, without their conditions.
fn numbers(lists: &[&[Call<'static>]]) -> Vec<libc::c_long> {
    lists.iter().flat_map(|list| list.iter().map(|(call, _)| *call)).collect()
}

#[test]
fn no_call_is_listed_twice() {
    for scheduling in [SCHEDULING_OF_ITSELF, SCHEDULING_OF_ANY] {
        let allowed = numbers(&[FREE, CHECKED, IMAGES, scheduling]);
        assert_eq!(allowed.iter().collect::<BTreeSet<_>>().len(), allowed.len());
    }
    let deadly = numbers(&[DEADLY]);
    assert_eq!(deadly.iter().collect::<BTreeSet<_>>().len(), deadly.len());
}

#[test]
fn only_clone_is_both_allowed_and_deadly() {
    let deadly: BTreeSet<_> = numbers(&[DEADLY]).into_iter().collect();
    let allowed = numbers(&[FREE, CHECKED, IMAGES, SCHEDULING_OF_ANY]);
    let both: Vec<_> = allowed.into_iter().filter(|call| deadly.contains(call)).collect();
    assert_eq!(both, [libc::SYS_clone]);
}
