//! Tests that partials merge to the same result in any grouping and order, and that a complete set
//! of pieces gives absolute line numbers.

use frond_plugin::pieces::Block;
use proptest::prelude::*;

use super::Partial;
use crate::leaf::Leaf;
use crate::origin::Origin;
use crate::search::matcher;
use crate::{Counts, Query};

const FIRST: usize = 5;

fn leaf(key: &str, content: &str) -> Partial {
    let query = Query { pattern: "a".to_owned(), ignore_case: false, first: FIRST, counts: Counts::Files };
    let mut leaf = Leaf::new(&query, Origin::of(key), content.len() as u64);
    if !content.is_empty() {
        leaf.search(&matcher("a", false).unwrap(), &Block { offset: 0, bytes: content.as_bytes() });
    }
    leaf.partial()
}

/// Makes one leaf's partial for each of a file's pieces.
fn pieces(file: &str, lines: &[String]) -> Vec<Partial> {
    let mut at = 0;
    let mut leaves = Vec::new();
    for line in lines {
        leaves.push(leaf(&format!("{file}#{at}+{}", line.len()), line));
        at += line.len();
    }
    leaves
}

fn lines() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec("[ab]{0,3}(\n[ab]{0,2}){0,2}\n", 0..8)
}

/// Generates the partials of two files in pieces and of one whole file, in any order.
fn leaves() -> impl Strategy<Value = Vec<Partial>> {
    (lines(), lines(), "[ab\n]{0,9}")
        .prop_map(|(one, two, whole)| [pieces("one", &one), pieces("two", &two), vec![leaf("whole", &whole)]].concat())
        .prop_shuffle()
}

fn merge(partials: &[Partial]) -> Partial {
    Partial::merge(partials.to_vec(), FIRST)
}

#[test]
fn pieces_join_where_they_meet() {
    let [one, two, three] = ["b\na\n", "a\n", "b\na\n"];
    let leaves = [leaf("f#0+4", one), leaf("f#4+2", two), leaf("f#6+4", three)];
    let lines = |partial: Partial| partial.first.iter().map(|hit| (hit.base, hit.line)).collect::<Vec<_>>();
    assert_eq!(lines(merge(&leaves)), [(0, 2), (0, 3), (0, 5)]);
    assert_eq!(lines(merge(&[leaves[2].clone(), leaves[0].clone()])), [(0, 2), (6, 2)]);
    assert_eq!(lines(merge(&leaves[1..])), [(4, 1), (4, 3)]);
    assert_eq!(merge(&leaves).cut_files["f"].len(), 1);
}

#[test]
fn partials_travel() {
    let partial = merge(&[leaf("f#4+2", "a\n"), leaf("g", "b\na")]);
    let json = serde_json::to_string(&partial).unwrap();
    assert_eq!(serde_json::from_str::<Partial>(&json).unwrap(), partial);
}

proptest! {
    #[test]
    fn the_grouping_and_order_do_not_matter(leaves in leaves(), cut in 0..17_usize) {
        let whole = merge(&leaves);
        let (left, right) = leaves.split_at(cut.min(leaves.len()));
        prop_assert_eq!(&merge(&[merge(left), merge(right)]), &whole);
        prop_assert_eq!(&merge(&[merge(right), merge(left)]), &whole);
    }

    #[test]
    fn one_partial_merges_to_itself(leaves in leaves()) {
        for leaf in &leaves {
            prop_assert_eq!(&merge(std::slice::from_ref(leaf)), leaf);
            prop_assert_eq!(&merge(&[leaf.clone(), Partial::default()]), leaf);
        }
    }

    #[test]
    fn a_file_in_pieces_answers_like_the_whole(lines in lines()) {
        let whole = merge(&[leaf("one", &lines.concat())]);
        let pieces = merge(&pieces("one", &lines));
        prop_assert_eq!(pieces.first, whole.first);
        prop_assert_eq!(pieces.counts, whole.counts);
        prop_assert_eq!(pieces.lines, whole.lines);
    }
}
