//! Tests from text to answer, for a whole text and for pieces.

use frond_plugin::{Partition, testing};
use proptest::prelude::*;

use crate::counts::Counts;
use crate::{Query, answer, process, scan};

const TEXT: &str = "The cat and the dog.\nThe DOG and the cat, and a cow!\n";

fn json(query: &str, counts: &Counts) -> String {
    let query: Query = serde_json::from_str(query).unwrap();
    serde_json::to_string(&answer(query, counts).unwrap()).unwrap()
}

#[test]
fn the_most_frequent_words_come_first() {
    let expect = concat!(
        r#"{"words":[{"word":"the","count":4},{"word":"and","count":3},{"word":"cat","count":2}],"#,
        r#""total":13,"distinct":6}"#,
    );
    let counts = scan::count(TEXT.as_bytes());
    // the 4, and 3, cat 2, dog 2, a 1, cow 1.
    assert_eq!(json(r#"{"top": 3}"#, &counts), expect);
}

#[test]
fn fewer_words_than_wanted_are_all_listed() {
    let counts = scan::count(b"b a");
    let expect = r#"{"words":[{"word":"a","count":1},{"word":"b","count":1}],"total":2,"distinct":2}"#;
    assert_eq!(json("{}", &counts), expect);
    assert_eq!(json(r#"{"top": 0}"#, &counts), r#"{"words":[],"total":2,"distinct":2}"#);
    assert_eq!(json("{}", &Counts::default()), r#"{"words":[],"total":0,"distinct":0}"#);
}

#[test]
fn a_query_with_an_unknown_key_is_refused() {
    let error = serde_json::from_str::<Query>(r#"{"topp": 3}"#).unwrap_err().to_string();
    assert_eq!(error, "unknown field `topp`, expected `top` at line 1 column 7");
}

proptest! {
    #[test]
    fn pieces_cut_at_lines_count_like_the_whole(lines in prop::collection::vec("[a-cé ,]{0,20}", 0..20)) {
        let whole = scan::count(lines.join("\n").as_bytes());
        let pieces = lines.iter().map(|line| scan::count(line.as_bytes())).collect();
        prop_assert_eq!(Counts::merge(pieces), Ok(whole));
    }

    #[test]
    fn shares_cut_anywhere_count_like_the_whole(text in "[a-cé ,\n]{0,60}", cut in 0..60_usize, piece in 1_u64..20) {
        let size = text.len() as u64;
        let cut = (cut as u64).min(size);
        let leaf = |range| {
            let partition = Partition { key: "f".to_owned(), index: 0, data: Vec::new() };
            testing::share(text.as_bytes(), range, piece, || process(Query { top: 3 }, partition)).unwrap()
        };
        let whole = scan::count(text.as_bytes());
        prop_assert_eq!(Counts::merge(vec![leaf(0..cut), leaf(cut..size)]), Ok(whole));
    }
}
