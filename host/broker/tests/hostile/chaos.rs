//! Random frames of a hostile worker: whatever it says, a root does not panic, and the answer of an
//! honest worker beside it is whole.

use std::time::Duration;

use bytes::Bytes;
use frond_broker::frames::{
    AttemptOf, Code, Content, Drain, Emitted, Ended, GivenBack, Join, Lease, Leave, More, Need, Open, Pull, Pulls,
    Refuse, Return, Run, Said, Span, Started, Stop, Took, Waits,
};
use frond_root::{Failure, FailureKind};
use frond_testkit::ms;
use frond_testkit::pieces::integers;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use tokio::time::sleep;

use super::bench::{Liar, Root, is_whole, patient, soon};

const COUNTS: [u64; 4] = [30, 3, 100, 12];

/// Step of a hostile worker.
#[derive(Clone, Debug)]
enum Step {
    Say(Box<Said>),
    /// It says what no frame is.
    Bytes(Vec<u8>),
    /// It waits for so many milliseconds.
    Wait(u64),
    /// It hears what has arrived.
    Hear,
}

fn small() -> impl Strategy<Value = u64> {
    prop_oneof![8 => 0_u64..40, 1 => Just(u64::MAX), 1 => any::<u64>()]
}

fn attempt() -> impl Strategy<Value = AttemptOf> {
    (prop_oneof![9 => Just(1_u64), 1 => 0_u64..3], 0_u32..4, prop_oneof![4 => Just(1_u32), 1 => 0_u32..6])
        .prop_map(|(query, partition, number)| AttemptOf { query, partition, number })
}

fn leaf() -> impl Strategy<Value = Bytes> {
    prop_oneof![Just(Bytes::from_static(b"leaf")), vec(any::<u8>(), 0..3).prop_map(Bytes::from)]
}

fn partial() -> impl Strategy<Value = Bytes> {
    prop_oneof![Just(Bytes::new()), (0_usize..1100).prop_map(|length| vec![b' '; length].into())]
}

/// A failure of any kind, or of one that is tried again.
fn failure(any_kind: bool) -> impl Strategy<Value = Bytes> {
    let kinds = if any_kind { FailureKind::ALL.to_vec() } else { vec![FailureKind::Lost, FailureKind::Unavailable] };
    let json = |kind: FailureKind| {
        let failure = Failure { retry_after_ms: Some(1), omitted: u64::MAX, ..Failure::new(kind, "a lie") };
        Bytes::from(serde_json::to_vec(&failure).unwrap())
    };
    prop_oneof![4 => proptest::sample::select(kinds).prop_map(json), 1 => Just(Bytes::from_static(b"{"))]
}

/// The begin of an attempt.
fn start() -> impl Strategy<Value = Said> {
    let begin = (attempt(), any::<u32>(), option::of(any::<u64>()), any::<u64>());
    begin.prop_map(|(of, slot, at, queued)| Said::Started(Started { of, slot, at, queued }))
}

/// The end of an attempt. Only one that `spoils` may be a success: its answer is the worker's.
fn end(spoils: bool) -> impl Strategy<Value = Said> {
    let took = (small(), any::<bool>(), any::<bool>()).prop_map(|(taken, is_skipped, has_asked)| Took {
        taken,
        is_skipped,
        has_asked,
    });
    let failure = if spoils { option::of(failure(true)).boxed() } else { failure(false).prop_map(Some).boxed() };
    let waits = vec((small(), small()).prop_map(|(began, ended)| Span { began, ended }), 0..30);
    let span = || (any::<u64>(), any::<u64>()).prop_map(|(began, ended)| Span { began, ended });
    let pulls = (span(), any::<u64>(), any::<u64>(), any::<u64>());
    let pulls = pulls.prop_map(|(span, waited, reads, bytes)| Pulls { span, waited, reads, bytes });
    let times = (small(), small(), waits, option::of(any::<u64>()), option::of(span()), option::of(pulls));
    let usage = (small(), small(), small(), small(), any::<u32>());
    let log = vec("[a-z\n]{0,10}", 0..5);
    (attempt(), partial(), failure, times, usage, log, option::weighted(0.9, took)).prop_map(
        |(
            of,
            partial,
            failure,
            (ran, waited, waits, lasted, code, pulls),
            (fuel, memory, logged, output, earlier),
            log,
            took,
        )| {
            Said::Ended(Ended {
                of,
                partial,
                failure,
                ran,
                waited,
                waits,
                fuel,
                memory,
                logged,
                log,
                earlier,
                took,
                output,
                lasted,
                code,
                pulls,
            })
        },
    )
}

/// A partial. Only one that `spoils` may be of units: it counts if its attempt fails.
fn emission(spoils: bool) -> impl Strategy<Value = Said> {
    let share = prop_oneof![Just(f64::NAN), Just(0.5), any::<f64>()];
    let share = if spoils { option::of(share).boxed() } else { share.prop_map(Some).boxed() };
    (attempt(), partial(), share, small(), any::<bool>()).prop_map(|(of, partial, share, kept, is_retracted)| {
        Said::Emitted(Emitted { of, partial, share, kept, is_retracted })
    })
}

fn said(spoils: bool) -> impl Strategy<Value = Said> {
    prop_oneof![
        8 => start(),
        6 => end(spoils),
        3 => (attempt(), any::<bool>()).prop_map(|(of, is_waiting)| Said::Waits(Waits { of, is_waiting })),
        3 => emission(spoils),
        3 => (attempt(), prop_oneof![Just(None), any::<f64>().prop_map(Some)])
            .prop_map(|(of, rate)| Said::More(More { of, rate })),
        3 => vec(attempt(), 0..4).prop_map(|of| Said::GivenBack(GivenBack { of })),
        2 => (attempt(), small(), small(), small()).prop_map(|(of, pull, offset, len)| {
            Said::Pull(Pull { pull, of, offset, len })
        }),
        1 => leaf().prop_map(|leaf| Said::Need(Need { leaf })),
        1 => (leaf(), ".{0,10}").prop_map(|(leaf, why)| Said::Refuse(Refuse { leaf, why })),
        1 => prop_oneof![
            Just(Said::Drain(Drain {})),
            Just(Said::Join(Join::default())),
            Just(Said::Leave(Leave {})),
            Just(Said::Open(Open::default())),
            Just(Said::Code(Code::default())),
            Just(Said::Run(Run::default())),
            Just(Said::Content(Content::default())),
            attempt().prop_map(|of| Said::Lease(Lease { of, leased: 1, end: 1 })),
            (any::<bool>(), any::<bool>())
                .prop_map(|(is_late, is_abandoned)| Said::Stop(Stop { query: 1, is_late, is_abandoned })),
            Just(Said::Return(Return { query: 1 })),
        ],
    ]
}

fn steps(spoils: bool) -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        30 => said(spoils).prop_map(|said| Step::Say(Box::new(said))),
        1 => vec(any::<u8>(), 0..20).prop_map(Step::Bytes),
        6 => (0_u64..700).prop_map(Step::Wait),
        6 => Just(Step::Hear),
    ];
    vec(step, 0..60)
}

/// Plays the steps. Each time when the worker is dropped it joins again.
async fn play(root: &Root, mut liar: Liar, steps: Vec<Step>, slots: u32) -> Liar {
    for step in steps {
        if liar.task.is_finished() {
            (&mut liar.task).await.expect("the root does not panic");
            liar = root.liar(slots).await;
        }
        match step {
            Step::Say(said) => liar.say(*said),
            Step::Bytes(bytes) => liar.sender.post(bytes.into()),
            Step::Wait(time) => sleep(ms(time)).await,
            Step::Hear => {
                let _ = tokio::time::timeout(ms(1), liar.receiver.recv()).await;
            }
        }
        is_bounded(root);
    }
    liar
}

fn is_bounded(root: &Root) {
    for worker in root.workers.list() {
        let most = worker.slots as usize * 65;
        assert!(worker.attempts <= most && worker.waiting <= worker.attempts, "{worker:?}");
        assert!(worker.refusals.len() <= 1, "there is one leaf: {worker:?}");
    }
}

/// A worker that says nothing more, and so has nothing more after a while.
async fn fades(root: &Root) {
    let holds = |root: &Root| root.workers.list().iter().any(|worker| worker.attempts > 0);
    root.until(|root| !holds(root)).await;
}

fn paused(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(test);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    /// Whatever a worker says that has no answer of its own, the answer is whole.
    #[test]
    fn random_lies_leave_the_answer_whole(steps in steps(false), slots in 1_u32..4) {
        paused(async move {
            let root = Root::new();
            let liar = root.liar(slots).await;
            root.honest(1).await;
            let answer = root.ask(patient(), integers(&COUNTS));
            let liar = play(&root, liar, steps, slots).await;
            // Attempts that have begun are its own until their time is up: it leaves.
            liar.sender.close();
            is_whole(answer, &COUNTS).await;
            fades(&root).await;
        });
    }

    /// Whatever a worker says at all, a root does not panic, keeps its account, and frees all.
    #[test]
    fn random_frames_do_no_harm(steps in steps(true), slots in 1_u32..4) {
        paused(async move {
            let root = Root::new();
            let liar = root.liar(slots).await;
            root.honest(1).await;
            let request = frond_root::Request { leaf_time: Some(Duration::from_secs(60)), ..patient() };
            let answer = root.ask(request, integers(&COUNTS));
            let liar = play(&root, liar, steps, slots).await;
            let answer = soon(answer).await.unwrap().unwrap();
            let coverage = answer.coverage();
            assert!(coverage.partitions.is_closed() && coverage.weight.is_closed(), "{coverage:?}");
            fades(&root).await;
            assert!(root.has("honest"));
            drop(liar);
        });
    }
}
