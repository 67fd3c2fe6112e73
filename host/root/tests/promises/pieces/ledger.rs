//! Property test of the ledger alone: reports that come twice, late, in any order, or never.

use std::ops::Range;

use frond_root::ledger::Ledger;
use proptest::prelude::*;

/// Entry of a ledger.
#[derive(Clone, Debug)]
enum Entry {
    Take(Range<u64>),
    Skip(Range<u64>),
    Lose(Range<u64>),
}

const UNITS: u64 = 40;

fn range() -> impl Strategy<Value = Range<u64>> {
    (0..=UNITS, 0..=UNITS).prop_map(|(one, other)| one.min(other)..one.max(other))
}

fn entries() -> impl Strategy<Value = Vec<Entry>> {
    let entry = prop_oneof![
        6 => range().prop_map(Entry::Take),
        1 => range().prop_map(Entry::Skip),
        1 => range().prop_map(Entry::Lose),
    ];
    // Some come twice, and in any order.
    prop::collection::vec(entry, 0..20)
        .prop_flat_map(|entries| {
            let twice = prop::sample::subsequence(entries.clone(), 0..=entries.len());
            (Just(entries), twice)
        })
        .prop_map(|(once, twice)| [once, twice].concat())
        .prop_shuffle()
}

/// The fate of each unit: the first one that is entered stays.
fn model(fates: &mut [char], entry: &Entry) -> bool {
    let units = |range: &Range<u64>| range.start as usize..range.end as usize;
    match entry {
        Entry::Take(range) => {
            let free = fates[units(range)].iter().all(|fate| *fate == '.');
            if free {
                fates[units(range)].fill('t');
            }
            free
        }
        Entry::Skip(range) | Entry::Lose(range) => {
            let to = if matches!(entry, Entry::Skip(_)) { 's' } else { 'l' };
            fates[units(range)].iter_mut().filter(|fate| **fate == '.').for_each(|fate| *fate = to);
            true
        }
    }
}

fn without(fates: &[char], there: &[char]) -> Vec<Range<u64>> {
    let mut ranges: Vec<Range<u64>> = Vec::new();
    for (unit, _) in (0_u64..).zip(fates).filter(|(_, fate)| !there.contains(fate)) {
        match ranges.last_mut() {
            Some(last) if last.end == unit => last.end += 1,
            _ => ranges.push(unit..unit + 1),
        }
    }
    ranges
}

fn joined(ranges: Vec<Range<u64>>) -> Vec<Range<u64>> {
    let mut joined: Vec<Range<u64>> = Vec::new();
    for range in ranges {
        match joined.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ => joined.push(range),
        }
    }
    joined
}

proptest! {
    #[test]
    fn the_first_fate_of_a_unit_stays_and_the_sums_are_closed(entries in entries(), asked in range()) {
        let mut ledger = Ledger::new(UNITS);
        let mut fates = vec!['.'; UNITS as usize];
        for entry in &entries {
            let accepted = match entry {
                Entry::Take(range) => ledger.take(range),
                Entry::Skip(range) => {
                    ledger.skip(range);
                    true
                }
                Entry::Lose(range) => {
                    ledger.lose(range);
                    true
                }
            };
            prop_assert_eq!(accepted, model(&mut fates, entry), "{:?}", entry);
        }
        let count = |of: char| fates.iter().filter(|fate| **fate == of).count() as u64;
        prop_assert_eq!((ledger.taken(), ledger.skipped()), (count('t'), count('s')));
        prop_assert_eq!(ledger.is_settled(), count('.') == 0);
        prop_assert_eq!(joined(ledger.missing()), without(&fates, &['t', 's']));
        prop_assert_eq!(joined(ledger.without_partial()), without(&fates, &['t']));
        let open: Vec<_> = without(&fates, &['t', 's', 'l']);
        let within = |gap: &Range<u64>| gap.start.max(asked.start)..gap.end.min(asked.end);
        let open: Vec<_> = open.iter().map(within).filter(|gap| gap.start < gap.end).collect();
        prop_assert_eq!(ledger.gaps(&asked), open);
        // The weights of parts never exceed the whole, and the whole is exact.
        let parts = ledger.weight_of(ledger.taken(), 1000) + ledger.weight_of(UNITS - ledger.taken(), 1000);
        prop_assert!((999..=1000).contains(&parts));
        prop_assert_eq!(ledger.weight_of(UNITS, 1000), 1000);
    }
}
