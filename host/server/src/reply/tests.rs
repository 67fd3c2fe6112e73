//! Texts of errors, and their bounds.

use std::error::Error;
use std::fmt;

use super::{MAX_CHAIN, MAX_DETAIL, Problem, chain};

/// An error with causes: the texts in this order.
#[derive(Debug)]
struct Caused(Vec<String>, Option<Box<Caused>>);

impl fmt::Display for Caused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.concat())
    }
}

impl Error for Caused {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.1.as_deref().map(|cause| cause as &(dyn Error + 'static))
    }
}

fn caused(texts: &[&str]) -> Caused {
    let (first, rest) = texts.split_first().unwrap();
    Caused(vec![(*first).to_owned()], (!rest.is_empty()).then(|| Box::new(caused(rest))))
}

#[test]
fn causes_are_told_once_and_in_their_order() {
    assert_eq!(chain(&caused(&["a"])), "a");
    assert_eq!(chain(&caused(&["one", "two", "three"])), "one\n  because: two\n  because: three");
    assert_eq!(chain(&caused(&["one: two", "two", "three", "three"])), "one: two\n  because: three");
}

#[test]
fn texts_of_errors_have_a_bound_and_the_root_cause_is_among_them() {
    let long = "x".repeat(1 << 20);
    for texts in [&[long.as_str(), "the root"][..], &["a", &long, "the root"], &["a", &long]] {
        let text = chain(&caused(texts));
        assert!(text.len() <= MAX_CHAIN, "{}", text.len());
        assert_eq!(text.ends_with("because: the root"), texts.ends_with(&["the root"]));
    }
    assert_eq!(Problem::bug(long).detail.len(), MAX_DETAIL);
}
