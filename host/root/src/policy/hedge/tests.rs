//! The rule of copies, its estimates and its budget.

use proptest::prelude::*;

use super::*;

const MS: Duration = Duration::from_millis(1);

fn times(finished: impl IntoIterator<Item = u64>, censored: impl IntoIterator<Item = u64>) -> LeafTimes {
    let mut times = LeafTimes::default();
    finished.into_iter().for_each(|micros| times.finish(Duration::from_micros(micros)));
    censored.into_iter().for_each(|micros| times.censor(Duration::from_micros(micros)));
    times
}

#[test]
fn the_age_of_a_copy_is_the_largest_of_its_bounds() {
    let app = |median, p95| Some(AppTimes { median: MS * median, p95: MS * p95 });
    assert_eq!(copy_age(None, None), None);
    assert_eq!(copy_age(Some(10 * MS), None), Some(20 * MS));
    assert_eq!(copy_age(None, app(10, 25)), Some(25 * MS));
    assert_eq!(copy_age(None, app(10, 35)), Some(30 * MS), "three medians at the latest");
    assert_eq!(copy_age(Some(10 * MS), app(10, 25)), Some(25 * MS));
    assert_eq!(copy_age(Some(10 * MS), app(1, 2)), Some(20 * MS));
    assert_eq!(copy_age(Some(MS / 10), app(1, 2)), Some(2 * MIN_REST), "not worth it sooner");
    assert_eq!(copy_age(Some(Duration::MAX), None), Some(Duration::MAX));
}

#[test]
fn slots_bound_the_copies() {
    assert_eq!([1, 9, 10, 19, 20, 1000].map(most_at_once), [1, 1, 1, 1, 2, 100]);
    assert!(leaves_room(7, 10) && !leaves_room(8, 10) && leaves_room(0, 0));
}

#[test]
fn stopped_attempts_keep_the_estimate_from_falling() {
    let winners = times((0..90).map(|_| 1000), []);
    let all = times((0..90).map(|_| 1000), (0..90).map(|_| 2000));
    let none = times([], (0..90).map(|_| 2000));
    let close = |found: Option<Duration>| found.is_some_and(|found| found.abs_diff(MS) < MS / 30);
    assert!(close(winners.quantile(0.95)) && close(all.quantile(0.5)));
    assert_eq!(all.quantile(0.95), None, "half of them took longer, nobody knows how long");
    assert_eq!((none.quantile(0.5), LeafTimes::default().quantile(0.5)), (None, None));
}

#[test]
fn a_budget_is_a_twentieth_rounded_up() {
    for attempts in 1..200 {
        let mut budget = CopyBudget::new(Arc::default());
        (0..attempts).for_each(|_| budget.attempt());
        let mut copies = 0;
        while budget.allowed() > 0 {
            budget.spend();
            copies += 1;
        }
        assert_eq!(copies, u64::div_ceil(attempts, ATTEMPTS_PER_COPY));
    }
    assert_eq!(CopyBudget::new(Arc::default()).allowed(), 0);
}

#[test]
fn few_wins_halve_the_budget() {
    let history = Arc::new(CopyHistory::default());
    let mut budget = CopyBudget::new(history.clone());
    (0..400).for_each(|_| budget.attempt());
    assert_eq!(budget.allowed(), 20);
    (0..LAST_COPIES - 1).for_each(|_| history.copy_ended(false));
    assert_eq!(budget.allowed(), 20, "too few to tell");
    history.copy_ended(false);
    assert_eq!(budget.allowed(), 10);
    (0..MIN_WINS).for_each(|_| history.copy_ended(true));
    assert_eq!(budget.allowed(), 20);
}

#[test]
fn a_history_learns_from_queries_and_forgets() {
    let history = Arc::new(CopyHistory::default());
    let query = |times: LeafTimes| CopyBudget::new(history.clone()).end(&times);
    query(times((0..MIN_HISTORY - 1).map(|_| 1000), []));
    assert_eq!(history.times(), None);
    query(times([1000], []));
    let close = |found: Duration, wanted: Duration| found.abs_diff(wanted) < wanted / 30;
    assert!(history.times().is_some_and(|app| close(app.median, MS) && app.median == app.p95));
    for _ in 0..4 {
        query(times((0..MAX_HISTORY).map(|_| 5000), []));
    }
    assert!(history.times().is_some_and(|app| close(app.median, 5 * MS)));
}

proptest! {
    #[test]
    fn a_quantile_is_within_a_class(mut micros in prop::collection::vec(1_u64..1_000_000_000, 1..300), percent in 1_usize..100) {
        let found = times(micros.clone(), []).quantile(percent as f64 / 100.0);
        micros.sort_unstable();
        let exact = Duration::from_micros(micros[(micros.len() * percent).div_ceil(100).saturating_sub(1)]);
        let found = found.unwrap_or_default();
        prop_assert!(found.abs_diff(exact) <= exact / CLASSES, "{found:?} for {exact:?}");
    }

    #[test]
    fn queries_of_an_app_stay_within_its_budget(queries in prop::collection::vec((0_u64..200, 0_u64..50), 1..60)) {
        let history = Arc::new(CopyHistory::default());
        let mut attempts = 0;
        let mut copies = 0;
        for (count, wanted) in queries {
            let mut budget = CopyBudget::new(history.clone());
            (0..count).for_each(|_| budget.attempt());
            attempts += count;
            let mut own = 0;
            while own < wanted && budget.allowed() > 0 {
                budget.spend();
                own += 1;
            }
            copies += own;
            budget.end(&LeafTimes::default());
            prop_assert!(own <= count / ATTEMPTS_PER_COPY + MAX_SAVED);
            prop_assert!(copies <= attempts.div_ceil(ATTEMPTS_PER_COPY), "{copies} of {attempts}");
        }
    }
}
