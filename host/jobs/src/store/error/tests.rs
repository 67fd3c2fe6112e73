//! Messages of errors.

use frond_root::QueryId;

use super::*;
use crate::job::{JobState, Move};

#[test]
fn each_error_says_what_is_wrong_and_what_to_do() {
    let id = JobId::from(QueryId::from(7));
    let illegal = IllegalMove { from: JobState::Running, by: Move::Run };
    let all = [
        StoreError::NotFound(id),
        StoreError::Expired(id),
        StoreError::Fenced { epoch: 3 },
        StoreError::Illegal(illegal),
        StoreError::NoPartition { index: 9, partitions: 3 },
        StoreError::KeyReused,
        StoreError::Full(None),
        StoreError::ReadOnly(cause("the source")),
        StoreError::Denied { what: "rights are missing\n(grant them)".to_owned(), cause: cause("the source") },
        StoreError::Settings("it is wrong\n(mend it)".to_owned()),
        StoreError::Unavailable(cause("the source")),
        StoreError::Corrupt(cause("the source")),
        StoreError::Newer { found: 9, known: 3 },
        StoreError::TooLarge { what: "bytes of an answer", size: 9, limit: 3 },
        StoreError::Unkeepable(cause("the source")),
        StoreError::Other(cause("the source")),
    ];
    for error in all {
        let text = error.to_string();
        let (what, hint) = text.split_once('\n').expect(&text);
        assert!(what.starts_with(|first: char| first.is_lowercase() || first.is_ascii_digit()), "{text}");
        assert!(!what.ends_with('.') && hint.starts_with('(') && hint.ends_with(')'), "{text}");
        assert!(!text.contains("the source"), "{text}");
        let source = matches!(
            error,
            StoreError::Unavailable(_)
                | StoreError::Corrupt(_)
                | StoreError::Other(_)
                | StoreError::ReadOnly(_)
                | StoreError::Denied { .. }
                | StoreError::Unkeepable(_)
        );
        assert_eq!(error.source().is_some(), source, "{text}");
    }
}

#[test]
fn a_refusal_is_not_the_stores_fault() {
    assert!(StoreError::Fenced { epoch: 3 }.is_refusal());
    assert!(!StoreError::Full(None).is_refusal() && !StoreError::Other(cause("x")).is_refusal());
}
