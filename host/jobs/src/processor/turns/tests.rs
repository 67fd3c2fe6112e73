//! Places of callers, and the length of turns.

use super::*;

const TURN: Duration = Duration::from_secs(60);

fn turns(at_once: usize) -> CallerTurns {
    CallerTurns::new(at_once, TURN)
}

fn caller(name: &str) -> Option<String> {
    Some(name.to_owned())
}

fn begin(
    turns: &mut CallerTurns,
    place: &Vacancy,
    caller: Option<String>,
    epoch: u64,
    now: Instant,
) -> CancellationToken {
    let stop = CancellationToken::new();
    turns.begin(place, caller, epoch, now, stop.clone());
    stop
}

#[test]
fn a_caller_with_all_places_gives_up_the_latest_after_a_turn() {
    let mut turns = turns(2);
    let start = Instant::now();
    let later = start + TURN / 2;
    let first = begin(&mut turns, &Vacancy::Free, caller("ann"), 1, start);
    assert_eq!(turns.place(start), Some(Vacancy::Free));
    let latest = begin(&mut turns, &Vacancy::Free, caller("ann"), 1, later);
    assert_eq!(turns.place(start + TURN), None, "its turn is not over");
    let place = turns.place(later + TURN).unwrap();
    assert_eq!(place, Vacancy::NotOf(caller("ann")));
    assert!(!latest.is_cancelled(), "nobody has taken its place yet");
    let other = begin(&mut turns, &place, caller("bob"), 1, later + TURN);
    assert_eq!([&first, &latest, &other].map(|stop| stop.is_cancelled()), [false, true, false]);
    // Both have a place now, for as long as their jobs take.
    assert_eq!(turns.place(later + TURN * 1_000), None);
    other.cancel();
    assert_eq!(turns.place(later + TURN * 1_000), Some(Vacancy::Free));
}

#[test]
fn jobs_without_a_caller_are_those_of_one() {
    let mut turns = turns(2);
    let start = Instant::now();
    let _jobs = [1, 2].map(|epoch| begin(&mut turns, &Vacancy::Free, None, epoch, start));
    assert_eq!(turns.place(start + TURN), Some(Vacancy::NotOf(None)));
}

#[test]
fn where_there_is_no_place_nobody_gives_one_up() {
    assert_eq!(turns(0).place(Instant::now()), None);
}

#[test]
fn turns_at_a_single_place_grow_and_others_do_not() {
    let lengths = [1, 2, 3, 5, 6, 99].map(|epoch| length(TURN, 1, epoch));
    assert_eq!(lengths, [1, 2, 4, 16, 16, 16].map(|times| TURN * times));
    assert_eq!(length(TURN, 2, 99), TURN);
}
