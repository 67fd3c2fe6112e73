//! Properties of merge trees: a random tree folds each partial once, and simplification ends.

use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::ChaCha12Rng;

use super::Tree;

fn nodes(tree: &Tree) -> usize {
    match tree {
        Tree::One(_) => 1,
        Tree::Fold(children) => 1 + children.iter().map(nodes).sum::<usize>(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_random_tree_folds_each_of_its_partials_once(count in 2_usize..20, free: bool, seed: u64) {
        let tree = Tree::random(count, free, &mut ChaCha12Rng::seed_from_u64(seed));
        let leaves = tree.leaves();
        let mut sorted = leaves.clone();
        sorted.sort_unstable();
        sorted.dedup();
        prop_assert!(leaves.len() >= 2);
        prop_assert_eq!(sorted.len(), leaves.len());
        prop_assert!(sorted.iter().all(|at| *at < count));
        prop_assert!(free || leaves.is_sorted());
    }

    #[test]
    fn a_simpler_tree_is_smaller_or_nearer_to_the_order(count in 2_usize..10, seed: u64) {
        let tree = Tree::random(count, true, &mut ChaCha12Rng::seed_from_u64(seed));
        for simpler in tree.simpler() {
            let smaller = nodes(&simpler) < nodes(&tree);
            prop_assert!(smaller || simpler.leaves() < tree.leaves(), "{} to {}", tree.shown(), simpler.shown());
        }
    }
}
