//! Tests of plans that are refused, and of the messages.

use bytes::Bytes;
use frond_root::flow::run;
use frond_root::plan::{MAX_PARTITIONS, MAX_WEIGHT};
use frond_root::{Answer, CancellationToken, Error, EventKind, Partition, Plan, Reason, Request};
use frond_testkit::{Script, Stage, Turn, plan, request};

fn partition(key: &str) -> Partition {
    Partition::new(key, Bytes::from_static(b"text"))
}

async fn refused(request: Request, plan: Result<Plan, Error>) -> (Error, Stage) {
    let stage = Stage::new(Script::all(Turn::succeed()));
    let error = run(request, async { plan }, stage.root(), CancellationToken::new()).await.unwrap_err();
    assert!(stage.leaves.counts().begun.is_empty());
    (error, stage)
}

#[test]
fn two_partitions_with_one_key_are_refused() {
    let error = Plan::new(vec![partition("a"), partition("b"), partition("a")]).unwrap_err();
    assert!(matches!(&error, Error::DuplicateKey(key) if key.as_str() == "a"));
    insta::assert_snapshot!(error, @r"
    two partitions have the key `a`
    (keys name what is missing from an answer, so each must be unique)
    ");
}

#[test]
fn a_key_with_a_nul_is_refused() {
    let error = Plan::new(vec![partition("a"), partition("b\0c")]).unwrap_err();
    insta::assert_snapshot!(error, @r"
    a partition's key contains a NUL character: `b\0c`
    (leave it out: keys are texts)
    ");
}

#[test]
fn too_many_partitions_are_refused() {
    let partitions = vec![partition("a"); MAX_PARTITIONS + 1];
    let error = Plan::new(partitions).unwrap_err();
    insta::assert_snapshot!(error, @r"
    1000001 partitions are more than the 1000000 that one query may have
    (make the pieces larger)
    ");
}

#[tokio::test(start_paused = true)]
async fn a_required_key_that_is_not_planned_is_refused() {
    let mut request = request();
    request.required = vec!["p3".into(), "north".into()];
    let (error, _) = refused(request, Ok(plan(12))).await;
    insta::assert_snapshot!(error, @r"
    the required partition `north` is not in the plan
    (the plan has: `p0`, `p1`, `p2`, `p3`, `p4`, `p5`, `p6`, `p7`, and 4 more)
    ");
}

#[tokio::test(start_paused = true)]
async fn partials_that_could_not_fit_are_refused_before_anything_runs() {
    let stage = Stage::new(Script::all(Turn::succeed())).on_slots(64);
    let mut request = request();
    request.leaf_output = 4 << 20;
    request.partials_memory = 256 << 20;
    let error = run(request, async { Ok(plan(1)) }, stage.root(), CancellationToken::new()).await.unwrap_err();
    assert!(matches!(error, Error::PartialsTooLarge { slots: 64, .. }));
    assert!(stage.record.events().is_empty());
}

#[tokio::test(start_paused = true)]
async fn whoever_saw_a_refused_query_start_sees_it_end() {
    let (error, stage) = refused(request(), Err(Error::Source("no such folder".into()))).await;
    assert!(matches!(error, Error::Source(_)));
    let kinds = stage.record.kinds();
    assert_eq!(kinds.len(), 2);
    assert!(matches!(kinds[0], EventKind::QueryStarted { .. }));
    let EventKind::QueryEnded { outcome, reason, coverage } = &kinds[1] else {
        panic!("{kinds:?}");
    };
    assert_eq!((outcome.as_str(), reason), ("failed", &None));
    assert!(!coverage.complete);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_is_cut_off_by_the_deadline_is_not_to_blame() {
    let stage = Stage::new(Script::all(Turn::succeed()));
    let request = request();
    let late = request.deadline * 2;
    let planning = async move {
        // Advances the clock without polling any other task.
        tokio::time::advance(late).await;
        Err(Error::Source("the query ended while its files were being looked for".into()))
    };
    let answer = run(request, planning, stage.root(), CancellationToken::new()).await.unwrap();
    assert!(matches!(answer, Answer::Failed { reason: Reason::Deadline, .. }), "{answer:?}");
}

#[test]
fn weights_are_never_nothing_and_always_add_up() {
    let mut light = partition("light");
    light.weight = 0;
    let heavy = (0..1000).map(|index| partition(&format!("h{index}")).weighing(MAX_WEIGHT));
    let plan = Plan::new(heavy.chain([light]).collect()).unwrap();
    assert_eq!(plan.get(1000).unwrap().weight, 1);
    assert_eq!(plan.weight(), 1000 * MAX_WEIGHT + 1);
    assert!(MAX_WEIGHT.checked_mul(MAX_PARTITIONS as u64).is_some());
}

#[test]
fn a_weight_above_the_largest_is_refused() {
    for weight in [MAX_WEIGHT + 1, u64::MAX] {
        let error = Plan::new(vec![partition("a"), partition("b").weighing(weight)]).unwrap_err();
        assert!(matches!(&error, Error::TooHeavy { key, .. } if key.as_str() == "b"), "{error}");
    }
    let error = Plan::new(vec![partition("b").weighing(MAX_WEIGHT + 1)]).unwrap_err();
    insta::assert_snapshot!(error, @r"
    the partition `b` weighs 17592186044417, and a weight is 1 to 17592186044416
    (weigh it in a larger unit, or leave the weight out to weigh its bytes)
    ");
}

#[test]
fn content_is_read_within_its_bounds() {
    use frond_root::Content;
    let content = Bytes::from_static(b"hello");
    assert_eq!(content.size(), 5);
    for (offset, len, text) in [(0, 5, "hello"), (1, 3, "ell"), (3, 100, "lo"), (5, 1, ""), (u64::MAX, usize::MAX, "")]
    {
        assert_eq!(content.read(offset, len).unwrap(), text.as_bytes());
    }
    assert_eq!(Partition::new("empty", Bytes::new()).weight, 1);
}
