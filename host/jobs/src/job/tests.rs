//! Every state with every move, against a table written by hand.

use proptest::prelude::*;

use super::*;

/// States by row, moves by column, in the order of their `ALL`. A dot is a refusal; a letter is the
/// first letter of the next state (`X` for expired).
const TABLE: [(&str, &str); 10] = [
    ("submitted", "q.......c..."),
    ("queued", ".pr.....c..."),
    ("planning", "...r...fcq.."),
    ("running", "....m..fcq.."),
    ("merging", ".....sPfcq.."),
    ("succeeded", "...........X"),
    ("partial", "..........qX"),
    ("failed", "..........qX"),
    ("cancelled", "..........qX"),
    ("expired", "............"),
];

fn letter(state: JobState) -> char {
    match state {
        JobState::Partial => 'P',
        JobState::Expired => 'X',
        other => other.slug().chars().next().unwrap(),
    }
}

#[test]
fn only_the_moves_of_the_table_are_legal() {
    for (state, (slug, row)) in JobState::ALL.into_iter().zip(TABLE) {
        assert_eq!(state.slug(), slug);
        for (by, expected) in Move::ALL.into_iter().zip(row.chars()) {
            match state.next(by) {
                Ok(to) => assert_eq!(letter(to), expected, "{state} {by:?}"),
                Err(illegal) => {
                    assert_eq!(expected, '.', "{state} {by:?}");
                    assert_eq!(illegal, IllegalMove { from: state, by });
                    assert_eq!(illegal.is_late(), state.is_ended());
                }
            }
        }
    }
}

#[test]
fn states_are_spelled_the_same_everywhere() {
    for state in JobState::ALL {
        assert_eq!(serde_json::to_value(state).unwrap(), state.slug());
        assert_eq!(state.slug().parse(), Ok(state));
        assert_eq!(state.to_string(), state.slug());
    }
    assert!("Running".parse::<JobState>().unwrap_err().contains("known: submitted, queued"));
}

#[test]
fn a_refusal_says_what_was_tried_on_what() {
    let text = |from: JobState, by| from.next(by).unwrap_err().to_string();
    assert_eq!(text(JobState::Queued, Move::Merge), "a job that is queued cannot be merged");
    assert_eq!(
        text(JobState::Succeeded, Move::End(End::Cancelled)),
        "a job that is succeeded cannot be cancelled\n(it has ended)"
    );
    assert_eq!(
        text(JobState::Running, Move::Run),
        "a job that is running cannot be planned\n(it has a plan, which is never made again)"
    );
}

#[test]
fn an_id_is_read_as_it_is_written() {
    let id = JobId::from(QueryId::from(0xAB << 64));
    assert_eq!(id.to_string(), "00000000000000ab0000000000000000");
    assert_eq!(id.to_string().parse(), Ok(id));
    assert_eq!(serde_json::from_str::<JobId>(&serde_json::to_string(&id).unwrap()).unwrap(), id);
    for wrong in ["", "ab", "+0000000000000000000000000000000a", "0000000000000000000000000000000g"] {
        assert!(wrong.parse::<JobId>().is_err(), "{wrong}");
    }
}

proptest! {
    #[test]
    fn what_has_ended_stays_so_unless_it_is_redriven_or_expires(moves in prop::collection::vec(0..Move::ALL.len(), 0..60)) {
        let mut state = JobState::Submitted;
        for by in moves.into_iter().map(|index| Move::ALL[index]) {
            let before = state;
            state = state.next(by).unwrap_or(state);
            if before.is_ended() && state != before {
                prop_assert!(matches!(by, Move::Redrive | Move::Expire));
            }
            if before == JobState::Expired {
                prop_assert_eq!(state, before);
            }
            // Only an owner's work or a cancel ends a job.
            if state.is_ended() && !before.is_ended() {
                prop_assert!(before.is_held() || state == JobState::Cancelled);
            }
        }
    }
}
