//! Tests of the view of a plan.

use frond_plan::{Distribution, Division, Input, Inputs, Source, Workload};

use super::*;

fn view(inputs: &Inputs) -> String {
    plan(&frond_plan::plan(inputs), "a test", TermStyle::plain(100))
}

#[test]
fn availability_alone() {
    let inputs = Inputs { sla: Some(Input::given(0.97)), leaf_availability: Input::given(0.99), ..Inputs::default() };
    let text = view(&inputs);
    for line in ["plan   a test", "leaves                     3   limited by the promised availability"] {
        assert!(text.contains(line), "{text}");
    }
    assert!(text.contains("with one more         0.9606"), "{text}");
    let leaf = ["leaf", "availability", "0.9900", "command", "line", "high"];
    assert!(text.lines().any(|line| line.split_whitespace().eq(leaf)), "{text}");
}

#[test]
fn an_app_has_a_curve_and_inputs_with_sources() {
    let workload = Workload {
        leaf: Input::measured(Distribution::Exponential { mean: 0.05 }, Source::Recording, 40),
        pieces: Input::measured(20, Source::Recording, 1),
        division: Input::certain(Division::Divisible, Source::App),
        fixed: Input::measured(0.001, Source::Recording, 1),
        overhead: Input::measured(0.000_01, Source::Recording, 1),
        fold: Input::assumed(0.0),
        fan_in: Input::assumed(8),
        leaf_memory: None,
        memory: None,
    };
    let inputs =
        Inputs { workload: Some(workload), slots: Some(Input::certain(8, Source::Machine)), ..Inputs::default() };
    let text = view(&inputs);
    assert!(text.contains("limited by the slots"), "{text}");
    let leaf = ["mean", "leaf", "50.0", "ms", "recording", "medium", "(40", "samples)"];
    assert!(text.lines().any(|line| line.split_whitespace().eq(leaf)), "{text}");
    assert!(text.lines().any(|line| line.trim_start().starts_with("leaves  pieces")), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
}
