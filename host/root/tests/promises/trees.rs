//! Property tests of the merge trees, for any order of arrivals and folds.

use bytes::Bytes;
use frond_root::MergeOrder;
use frond_root::merge::Partials;
use frond_root::merge::fold::{FAN_IN, FOLD_BYTES, Fold, MAX_FAN_IN, Urgency, WORTH};
use proptest::prelude::*;
use proptest::sample::Index;

/// A tree with its running folds and their cost.
struct Bench {
    partials: Partials,
    running: Vec<Fold>,
    folds: usize,
    inputs: usize,
    /// Number of folds that each leaf's partial went through, summed over the leaves.
    handled: usize,
}

impl Bench {
    fn new(order: MergeOrder) -> Self {
        Self { partials: Partials::new(order, u64::MAX), running: Vec::new(), folds: 0, inputs: 0, handled: 0 }
    }

    fn begin(&mut self, urgency: Urgency) -> bool {
        let Some(fold) = self.partials.next_fold(urgency) else {
            return false;
        };
        assert!((2..=MAX_FAN_IN).contains(&fold.inputs.len()), "{fold:?}");
        self.folds += 1;
        self.inputs += fold.inputs.len();
        self.handled += fold.inputs.iter().map(|input| leaves(input).len()).sum::<usize>();
        self.running.push(fold);
        true
    }

    fn end(&mut self, which: &Index) {
        if !self.running.is_empty() {
            self.end_at(which.index(self.running.len()));
        }
    }

    fn end_at(&mut self, at: usize) {
        let fold = self.running.swap_remove(at);
        let freed = fold.bytes();
        let joined: Vec<&[u8]> = fold.inputs.iter().map(|input| &input[..]).collect();
        self.partials.folded(fold.place, Bytes::from(joined.concat()), freed);
    }

    fn finish(&mut self, whichs: &[Index]) {
        let mut whichs = whichs.iter().cycle();
        loop {
            while self.begin(Urgency::Any) {}
            if self.running.is_empty() {
                break;
            }
            match whichs.next() {
                Some(which) => self.end(which),
                None => self.end_at(0),
            }
        }
    }
}

/// A partial of three bytes.
fn leaf(index: u32) -> Bytes {
    Bytes::copy_from_slice(&index.to_be_bytes()[1..])
}

fn leaves(partial: &Bytes) -> Vec<u32> {
    let one = |bytes: &[u8]| u32::from_be_bytes([0, bytes[0], bytes[1], bytes[2]]);
    partial.chunks(3).map(one).collect()
}

#[derive(Clone, Debug)]
enum Step {
    Arrive,
    Begin(Urgency),
    End(Index),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Arrive),
        3 => Just(Step::Begin(Urgency::Full)),
        1 => Just(Step::Begin(Urgency::Idle)),
        1 => Just(Step::Begin(Urgency::Any)),
        2 => any::<Index>().prop_map(Step::End),
    ]
}

fn arrivals() -> impl Strategy<Value = Vec<(u32, bool)>> {
    (0_u32..150, 0.0..1.0_f64)
        .prop_flat_map(|(count, there)| {
            let indexes = Just(Vec::from_iter(0..count)).prop_shuffle();
            let there = proptest::collection::vec(proptest::bool::weighted(there), count as usize);
            (indexes, there)
        })
        .prop_map(|(indexes, there)| indexes.into_iter().zip(there).collect())
}

fn order() -> impl Strategy<Value = MergeOrder> {
    prop_oneof![Just(MergeOrder::Any), Just(MergeOrder::Partition)]
}

fn arrive(bench: &mut Bench, (index, there): (u32, bool)) {
    if there {
        bench.partials.add(index, leaf(index));
    } else {
        bench.partials.skip(index);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_last_one_holds_each_partial_once_and_in_order(
        order in order(),
        arrivals in arrivals(),
        steps in proptest::collection::vec(step(), 0..600),
        whichs in proptest::collection::vec(any::<Index>(), 1..20),
    ) {
        let mut bench = Bench::new(order);
        let mut coming = arrivals.iter().copied();
        for step in steps {
            match step {
                Step::Arrive => if let Some(arrival) = coming.next() {
                    arrive(&mut bench, arrival);
                },
                Step::Begin(urgency) => { bench.begin(urgency); }
                Step::End(which) => bench.end(&which),
            }
        }
        coming.for_each(|arrival| arrive(&mut bench, arrival));
        bench.finish(&whichs);

        let mut there: Vec<u32> = arrivals.iter().filter(|one| one.1).map(|one| one.0).collect();
        there.sort_unstable();
        prop_assert_eq!(bench.partials.ready(), there.len().min(1));
        prop_assert_eq!(bench.partials.folding(), 0);
        prop_assert_eq!(bench.partials.held(), 3 * there.len() as u64);
        // n partials become one: each fold of k removes k − 1.
        prop_assert_eq!(bench.inputs - bench.folds, there.len().saturating_sub(1));
        let mut got = bench.partials.into_last().map_or_else(Vec::new, |last| leaves(&last));
        if order == MergeOrder::Any {
            got.sort_unstable();
        }
        prop_assert_eq!(got, there);
    }

    #[test]
    fn partials_that_come_faster_than_they_are_folded_go_through_few_folds(
        order in order(),
        arrivals in arrivals(),
        whichs in proptest::collection::vec(any::<Index>(), 1..20),
        at_once in 1_usize..5,
    ) {
        let mut bench = Bench::new(order);
        for (arrival, which) in arrivals.iter().zip(whichs.iter().cycle()) {
            arrive(&mut bench, *arrival);
            while bench.running.len() < at_once && bench.begin(Urgency::Full) {}
            if bench.running.len() == at_once {
                bench.end(which);
            }
        }
        bench.finish(&whichs);
        let n = arrivals.iter().filter(|one| one.1).count();
        // In an ordered merge the plan determines the tree, missing partitions included. The rest
        // of blocks that end beyond the plan is folded once more, level by level.
        let span = if order == MergeOrder::Any { n } else { arrivals.len() };
        let depth = (span.max(1) as f64).log(FAN_IN as f64).ceil() as usize;
        prop_assert!(bench.handled <= n * (2 * depth + 3), "{n} partials were folded {} times", bench.handled);
    }
}

/// Number of inputs of the first full fold, when partials of `size` bytes arrive one by one.
fn first_full(order: MergeOrder, size: usize) -> usize {
    let mut partials = Partials::new(order, u64::MAX);
    for index in 0.. {
        partials.add(index, Bytes::from(vec![0; size]));
        if let Some(fold) = partials.next_fold(Urgency::Full) {
            return fold.inputs.len();
        }
    }
    unreachable!("the tree never folds")
}

#[test]
fn partials_are_folded_by_eights_and_tiny_ones_by_sixty_fours() {
    assert_eq!(first_full(MergeOrder::Any, WORTH / FAN_IN), FAN_IN);
    assert_eq!(first_full(MergeOrder::Any, 1), MAX_FAN_IN);
    assert_eq!(first_full(MergeOrder::Partition, 1), FAN_IN);
    assert_eq!(first_full(MergeOrder::Any, WORTH / 16), 16);
}

#[test]
fn large_partials_are_folded_before_there_are_eight() {
    let half = Bytes::from(vec![0; FOLD_BYTES / 2]);
    for order in [MergeOrder::Any, MergeOrder::Partition] {
        let mut partials = Partials::new(order, u64::MAX);
        partials.add(0, half.clone());
        assert!(partials.next_fold(Urgency::Full).is_none());
        partials.add(1, half.clone());
        partials.add(2, half.clone());
        let fold = partials.next_fold(Urgency::Full).unwrap();
        assert_eq!(fold.inputs.len(), 2);
        assert_eq!(fold.bytes(), FOLD_BYTES as u64);
    }
}

#[test]
fn neighbours_are_found_over_any_number_of_missing_partitions() {
    let mut bench = Bench::new(MergeOrder::Partition);
    for index in 0..8 {
        bench.partials.add(index * 1000, leaf(index * 1000));
    }
    assert!(!bench.begin(Urgency::Any));
    for index in (0..7000).rev().filter(|index| index % 1000 != 0) {
        bench.partials.skip(index);
    }
    // Five partials are in the first block of 8⁴, the others in the second, which is incomplete.
    assert!(bench.begin(Urgency::Full));
    assert_eq!(bench.running[0].inputs.len(), 5);
    bench.finish(&[]);
    let last = bench.partials.into_last().unwrap();
    assert_eq!(leaves(&last), Vec::from_iter((0..8).map(|index| index * 1000)));
}

#[test]
fn full_is_told_by_what_is_held_and_what_merging_it_takes() {
    let mut partials = Partials::new(MergeOrder::Any, 300);
    for index in 0..2 {
        partials.add(index, Bytes::from(vec![0; 100]));
    }
    assert!(!partials.is_full() && !partials.has_room());
    partials.add(2, Bytes::from_static(b"0"));
    assert!(partials.is_full());
    let fold = partials.next_fold(Urgency::Any).unwrap();
    assert!(partials.is_full());
    let freed = fold.bytes();
    partials.folded(fold.place, Bytes::from(vec![0; 100]), freed);
    assert!(partials.has_room() && partials.held() == 100);
}

#[test]
fn thousands_are_folded_as_often_as_the_tree_is_deep_whatever_comes_first() {
    let orders: [fn(u32) -> u32; 3] = [|index| index, |index| 4095 - index, |index| index * 2467 % 4096];
    for order in [MergeOrder::Any, MergeOrder::Partition] {
        for shuffle in orders {
            let mut bench = Bench::new(order);
            for index in 0..4096 {
                arrive(&mut bench, (shuffle(index), true));
                while bench.running.len() < 4 && bench.begin(Urgency::Full) {}
                if bench.running.len() == 4 {
                    bench.end_at(0);
                }
            }
            bench.finish(&[]);
            // There are 8⁴ leaves.
            assert!(bench.handled <= 4096 * 4 + 4096 / 2, "{order:?}: {}", bench.handled);
        }
    }
}

#[test]
fn idle_time_is_not_spent_on_one_large_partial_again_and_again() {
    for order in [MergeOrder::Any, MergeOrder::Partition] {
        let mut bench = Bench::new(order);
        bench.partials.add(0, Bytes::from(vec![0; 3 << 20]));
        bench.partials.add(1, leaf(1));
        assert!(bench.partials.next_fold(Urgency::Idle).is_none(), "{order:?}");
        assert!(bench.partials.next_fold(Urgency::Any).is_some(), "{order:?}");
    }
}

#[test]
fn when_the_gather_is_over_what_is_left_is_folded_in_one_call() {
    let mut bench = Bench::new(MergeOrder::Any);
    for index in 0..FAN_IN as u32 + 3 {
        bench.partials.add(index, Bytes::from(vec![0; WORTH]));
    }
    assert!(bench.partials.next_fold(Urgency::Any).is_some_and(|fold| fold.inputs.len() == FAN_IN + 3));
}
