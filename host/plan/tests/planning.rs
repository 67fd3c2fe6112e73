//! Plans: the seed's own calculation, plans of apps, and the constraint that decides each.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests stop the test where it is")]

use frond_plan::cost::{Cost, Layout};
use frond_plan::prediction::Method;
use frond_plan::{
    Confidence, Constraint, Distribution, Division, Input, Inputs, Plan, Row, Sample, Source, Throughput, Value,
    Workload, plan, rows,
};
use proptest::prelude::*;

fn workload(leaf: Distribution, pieces: u64, division: Division) -> Workload {
    Workload {
        leaf: Input::measured(leaf, Source::Recording, 1_000),
        pieces: Input::measured(pieces, Source::Recording, 1),
        division: Input::certain(division, Source::App),
        fixed: Input::measured(0.002, Source::Recording, 1),
        overhead: Input::measured(0.000_1, Source::Recording, pieces),
        fold: Input::measured(0.000_5, Source::Recording, 10),
        fan_in: Input::assumed(8),
        leaf_memory: None,
        memory: None,
    }
}

fn lognormal(median: f64, sigma: f64) -> Distribution {
    Distribution::LogNormal { median, sigma }
}

fn of(workload: Workload) -> Inputs {
    Inputs { workload: Some(workload), slots: Some(Input::certain(16, Source::Machine)), ..Inputs::default() }
}

fn promising(sla: f64, leaf: f64) -> Inputs {
    Inputs { sla: Some(Input::given(sla)), leaf_availability: Input::given(leaf), ..Inputs::default() }
}

fn shown(plan: &Plan) -> String {
    rows(plan).iter().map(|Row { label, value, note }| format!("{label}: {value} {note}\n")).collect()
}

#[test]
fn leaves_of_99_percent_allow_three_under_97_percent() {
    let plan = plan(&promising(0.97, 0.99));
    assert_eq!((plan.leaves, plan.pieces, plan.binding), (3, 3, Constraint::Sla));
    assert!((plan.availability.answer - 0.970_299).abs() < 1e-9);
    assert!((plan.availability.with_one_more - 0.960_596_01).abs() < 1e-9);
    assert_eq!((plan.availability.is_met, plan.availability.most_leaves), (Some(true), Some(3)));
    let text = shown(&plan);
    assert!(text.contains("leaves: 3 limited by the promised availability"), "{text}");
    assert!(text.contains("availability: 0.9703") && text.contains("with one more: 0.9606"), "{text}");
    assert!(plan.prediction.is_none() && plan.curve.is_empty());
    assert!(plan.availability_curve.iter().any(|point| point.pieces == 4));
}

#[test]
fn a_promise_that_cannot_be_kept_names_its_remedies() {
    let four = Inputs { leaves: Some(Input::given(4)), ..promising(0.97, 0.99) };
    let broken = plan(&four);
    assert_eq!((broken.leaves, broken.binding), (4, Constraint::Sla));
    assert_eq!((broken.availability.attempts_needed, broken.availability.highest_floor), (Some(2), Some(0.75)));
    assert!(broken.notes[0].contains("2 attempts of each leaf or a floor of 0.7500"), "{:?}", broken.notes);
    let retried = plan(&Inputs { attempts: Input::given(2), ..four.clone() });
    assert_eq!((retried.binding, retried.availability.is_met), (Constraint::Given, Some(true)));
    let floored = plan(&Inputs { floor: Input::given(0.75), ..four });
    assert_eq!(floored.availability.is_met, Some(true));
    let none = plan(&promising(0.99, 0.9));
    assert_eq!((none.leaves, none.availability.is_met), (0, Some(false)));
}

#[test]
fn without_a_promise_nothing_is_limited() {
    let plan = plan(&Inputs::default());
    assert_eq!((plan.leaves, plan.binding, plan.availability.is_met), (1, Constraint::None, None));
    let endless = frond_plan::plan(&promising(0.97, 1.0));
    assert_eq!((endless.leaves, endless.availability.is_met), (1, Some(true)));
}

#[test]
fn each_constraint_can_decide() {
    let long = workload(lognormal(1.0, 0.3), 32, Division::Divisible);
    let short = workload(lognormal(0.001, 0.3), 8, Division::Divisible);
    let decided = |inputs: &Inputs| plan(inputs).binding;
    assert_eq!(decided(&of(long.clone())), Constraint::Slots);
    assert_eq!(decided(&of(short)), Constraint::Efficiency);
    assert_eq!(decided(&of(workload(lognormal(1.0, 0.3), 5, Division::Fixed))), Constraint::Pieces);
    let memory =
        Workload { leaf_memory: Some(Input::given(64 << 20)), memory: Some(Input::given(256 << 20)), ..long.clone() };
    let tight = plan(&of(memory));
    assert_eq!((tight.leaves, tight.binding), (4, Constraint::Memory));
    let promised = Inputs { sla: Some(Input::given(0.97)), leaf_availability: Input::given(0.99), ..of(long.clone()) };
    let few = plan(&promised);
    assert_eq!((few.leaves, few.pieces, few.binding), (3, 3, Constraint::Sla));
    let heavy = Workload { overhead: Input::given(0.05), ..long.clone() };
    let inputs = Inputs { efficiency: Input::given(0.01), slots: None, ..of(heavy) };
    assert_eq!(decided(&inputs), Constraint::Overhead);
    let given = Inputs { leaves: Some(Input::given(7)), ..of(long) };
    assert_eq!((plan(&given).leaves, decided(&given)), (7, Constraint::Given));
}

#[test]
fn a_deadline_asks_for_the_fewest_leaves_that_meet_it() {
    let work = workload(lognormal(0.1, 0.3), 64, Division::Divisible);
    let with = |deadline: f64| plan(&Inputs { deadline: Some(Input::given(deadline)), ..of(work.clone()) });
    let easy = with(2.0);
    assert_eq!(easy.binding, Constraint::Deadline);
    assert!(easy.leaves < 16 && easy.prediction.unwrap().meets_deadline == Some(true));
    let fewer = plan(&Inputs { leaves: Some(Input::given(easy.leaves - 1)), ..of(work.clone()) });
    assert!(fewer.prediction.unwrap().chosen.spread.p99 > 2.0 * 0.99);
    let hard = with(0.01);
    assert_eq!((hard.binding, hard.prediction.unwrap().meets_deadline), (Constraint::Deadline, Some(false)));
    assert!(hard.notes.iter().any(|note| note.contains("deadline is too short")), "{:?}", hard.notes);
}

#[test]
fn a_floor_is_worth_its_tail() {
    // A hundred leaves with a power law: 95 of them answer four times sooner than all.
    let leaf = Distribution::Pareto { min: 1.0, alpha: 2.0 };
    let inputs = Inputs {
        leaves: Some(Input::given(100)),
        leaf_availability: Input::given(0.99),
        ..of(Workload {
            fixed: Input::given(0.0),
            overhead: Input::given(0.0),
            fold: Input::given(0.0),
            ..workload(leaf, 100, Division::Fixed)
        })
    };
    let worth = plan(&inputs).floor.unwrap();
    assert_eq!((worth.needed, worth.pieces, worth.is_asked), (95, 100, false));
    let times = worth.times.unwrap();
    assert!((times.times_sooner - 17.746_7 / 4.367_4).abs() < 0.01, "{times:?}");
    assert!(times.p99 < times.p99_of_all);
    assert!((worth.availability - 0.999_47).abs() < 1e-4 && (worth.availability_of_all - 0.366).abs() < 1e-3);
}

#[test]
fn an_answer_from_any_leaf_still_waits_for_all() {
    let work = workload(lognormal(0.1, 0.5), 64, Division::Divisible);
    let with =
        |floor: f64| plan(&Inputs { floor: Input::given(floor), leaves: Some(Input::given(8)), ..of(work.clone()) });
    let any = with(0.0);
    let all = with(1.0);
    assert_eq!(any.prediction.unwrap().chosen.spread, all.prediction.unwrap().chosen.spread);
    assert!(any.availability.answer > all.availability.answer && !any.floor.unwrap().is_asked);
    assert!(with(0.5).prediction.unwrap().chosen.spread.p99 < all.prediction.unwrap().chosen.spread.p99);
}

#[test]
fn fixed_pieces_on_as_many_slots_have_exact_times() {
    let leaf = lognormal(0.02, 0.989_79);
    let inputs = Inputs {
        slots: Some(Input::given(200)),
        leaves: Some(Input::given(100)),
        ..of(workload(leaf.clone(), 100, Division::Fixed))
    };
    let chosen = plan(&inputs).prediction.unwrap().chosen;
    assert_eq!(chosen.spread.method, Method::Formula);
    let beside = 0.002 + 0.000_1 * 100.0 + 0.000_5 * 3.0;
    let p99 = frond_plan::tail::tail_quantile(&leaf, 100, 0.99);
    assert!((chosen.spread.p99 - p99 - beside).abs() < 1e-9, "{chosen:?} {p99} {beside}");
}

#[test]
fn throughputs_are_not_extrapolated() {
    let rate = |n: f64| 100.0 * n / (1.0 + 0.02 * (n - 1.0));
    let throughputs = (1..=5).map(|n| Throughput { leaves: f64::from(n), rate: rate(f64::from(n)) }).collect();
    let inputs = Inputs { throughputs, ..of(workload(lognormal(1.0, 0.3), 64, Division::Divisible)) };
    let limited = plan(&inputs);
    assert_eq!((limited.leaves, limited.binding), (10, Constraint::Throughput));
    let past = plan(&Inputs { leaves: Some(Input::given(12)), ..inputs });
    assert!(past.notes.iter().any(|note| note.contains("is a guess")), "{:?}", past.notes);
}

#[test]
fn inputs_are_shown_with_source_and_confidence() {
    assert_eq!(Input::measured((), Source::Recording, 3).confidence, Confidence::Low);
    assert_eq!(Input::measured((), Source::Recording, 20).confidence, Confidence::Medium);
    assert_eq!(Input::measured((), Source::Calibration, 200).confidence, Confidence::High);
    let plan = plan(&of(workload(lognormal(0.1, 0.0), 4, Division::Cut)));
    let leaf = plan.inputs.iter().find(|row| row.name == "mean leaf").unwrap();
    assert_eq!((&leaf.value, leaf.source, leaf.samples), (&Value::Seconds(0.1), Source::Recording, 1_000));
    let assumed = plan.inputs.iter().find(|row| row.name == "leaf availability").unwrap();
    assert_eq!((assumed.source, assumed.confidence), (Source::Default, Confidence::Low));
    assert_eq!(plan.pieces, plan.leaves, "a leaf that is cut needs one piece a slot");
}

#[test]
fn few_samples_are_no_tail() {
    let sample = |count: u64| Distribution::Empirical(Sample::new((1..=count).map(|i| 0.1 + i as f64 / 1e6)).unwrap());
    let noted = |count: u64| {
        plan(&of(workload(sample(count), 100, Division::Fixed))).notes.iter().any(|note| note.contains("were measured"))
    };
    assert!(noted(100) && !noted(20_000));
}

#[test]
fn impossible_work_has_no_prediction() {
    for leaf in [Distribution::Pareto { min: 1.0, alpha: 1.0 }, lognormal(0.0, 1.0)] {
        let plan = plan(&of(workload(leaf, 10, Division::Divisible)));
        assert!(plan.prediction.is_none() && !plan.notes.is_empty());
    }
}

#[test]
fn a_plan_is_json_and_repeats() {
    let inputs = Inputs {
        sla: Some(Input::given(0.9)),
        deadline: Some(Input::given(1.0)),
        ..of(workload(lognormal(0.1, 1.0), 64, Division::Divisible))
    };
    let one = serde_json::to_value(plan(&inputs)).unwrap();
    assert_eq!(one, serde_json::to_value(plan(&inputs)).unwrap());
    assert_eq!((one["version"].as_u64(), one["binding"].is_string()), (Some(1), true));
    assert!(one["prediction"]["chosen"]["spread"]["p99"].as_f64().unwrap() > 0.0);
    assert!(one["curve"].as_array().unwrap().len() >= 2);
    assert_eq!(one["inputs"][0]["source"], "default");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn the_advised_number_is_nearly_the_best(
        median in 0.000_1..1.0_f64, sigma in 0.0..1.5_f64, pieces in 1_u64..500, overhead in 0.0..0.01_f64,
        slots in 1_u64..300, division in prop_oneof![Just(Division::Fixed), Just(Division::Divisible), Just(Division::Cut)],
    ) {
        let work = Workload { overhead: Input::given(overhead), ..workload(lognormal(median, sigma), pieces, division) };
        let inputs = Inputs {
            slots: Some(Input::given(slots)), efficiency: Input::given(0.0), ..of(work.clone())
        };
        let plan = plan(&inputs);
        let chosen = plan.prediction.unwrap().chosen;
        let leaf = &work.leaf.value;
        let cost = |count: u64| {
            // Larger pieces than the measured ones vary less.
            let size = if division == Division::Fixed { 1.0 } else { (pieces as f64 / count as f64).max(1.0) };
            Cost {
                fixed: 0.002, work: leaf.mean() * pieces as f64, overhead, fold: 0.000_5, fan_in: 8,
                cv: leaf.cv() / size.sqrt(), is_cut: division == Division::Cut,
            }
        };
        let per_slot: Vec<u64> = if division == Division::Divisible { (1..=1_000).collect() } else { vec![1] };
        let all = (1..=slots).flat_map(|leaves| per_slot.iter().map(move |each| (leaves, leaves * each)));
        let time = |(leaves, count): (u64, u64)| {
            cost(count).time(Layout { leaves, pieces: if division == Division::Fixed { pieces } else { count } })
        };
        let best = all.map(time).fold(f64::INFINITY, f64::min);
        prop_assert!(chosen.time <= best * 1.05, "{chosen:?} {best}");
        prop_assert!(plan.leaves >= 1 && plan.leaves <= slots);
        prop_assert!(chosen.spread.p50 <= chosen.spread.p99);
        prop_assert!((0.0..=1.0).contains(&chosen.efficiency) && (0.0..=1.0).contains(&chosen.availability));
    }

    #[test]
    fn a_plan_keeps_its_limits(sla in 0.5..0.999_f64, leaf in 0.9..0.999_9_f64, slots in 1_u64..64, efficiency in 0.1..0.9_f64) {
        let inputs = Inputs {
            sla: Some(Input::given(sla)), leaf_availability: Input::given(leaf), slots: Some(Input::given(slots)),
            efficiency: Input::given(efficiency), ..of(workload(lognormal(0.05, 0.5), 64, Division::Divisible))
        };
        let plan = plan(&inputs);
        prop_assert!(plan.leaves <= slots.max(1));
        prop_assert!(plan.leaves == 1 || plan.availability.is_met == Some(true), "{plan:?}");
        prop_assert!(plan.leaves == 1 || plan.prediction.unwrap().chosen.efficiency >= efficiency * 0.999, "{plan:?}");
        prop_assert!(plan.curve.windows(2).all(|two| two[0].leaves < two[1].leaves));
    }
}
