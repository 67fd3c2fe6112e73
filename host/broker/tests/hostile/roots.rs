//! Hostile roots: a worker leaves them, or nothing happens.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use frond_broker::carrier::in_process;
use frond_broker::frames::{
    self, AttemptOf, Code, Content, FileOf, Lease, Open, Order, Return, Run, Said, ShareOf, Stop,
};
use frond_broker::session::{self, FrameReceiver, FrameSender, Lost, Settings};
use frond_broker::worker::{Introduction, Loaded, serve};
use frond_broker::{LeafCode, LeafLoader};
use frond_root::{CancellationToken, LeafRunner};
use frond_testkit::ms;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::bench::{leaves, soon};

/// Loader that counts what it loads.
#[derive(Default)]
struct Counting(AtomicUsize);

impl LeafLoader for Counting {
    fn known(&self, _leaf: &[u8]) -> Option<Arc<dyn LeafRunner>> {
        None
    }

    fn load(&self, _code: LeafCode) -> Loaded {
        self.0.fetch_add(1, Ordering::SeqCst);
        Box::pin(async { Ok(Arc::new(leaves(2)) as Arc<dyn LeafRunner>) })
    }
}

/// A root by hand, of a worker with two slots.
struct Liar {
    sender: FrameSender,
    receiver: FrameReceiver,
    worker: JoinHandle<Lost>,
    loader: Arc<Counting>,
}

impl Liar {
    fn new() -> Self {
        let (root, worker) = in_process();
        let (sender, receiver) = session::accept(root, Settings::default());
        let introduction = Introduction { name: "honest\nworker".to_owned(), slots: 2, ..Introduction::default() };
        let loader = Arc::new(Counting::default());
        let own = loader.clone();
        let worker = tokio::spawn(async move {
            serve(worker, Settings::default(), &introduction, own, CancellationToken::new()).await
        });
        Self { sender, receiver, worker, loader }
    }

    fn say(&self, said: Said) {
        self.sender.post(frames::encoded(said));
    }

    async fn hear(&mut self) -> Said {
        frames::decoded(soon(self.receiver.recv()).await.unwrap()).unwrap().unwrap()
    }

    /// Opens a query whose leaf is ready.
    async fn open(&mut self) {
        assert!(matches!(self.hear().await, Said::Join(join) if join.name == "honest worker"));
        self.say(open(1));
        assert!(matches!(self.hear().await, Said::Need(_)));
        self.say(code());
    }

    /// Reason for which the worker left.
    async fn left(self) -> String {
        match soon(self.worker).await.unwrap() {
            Lost::Protocol(why) => why,
            lost => panic!("left for another reason: {lost}"),
        }
    }
}

fn open(query: u64) -> Said {
    Said::Open(Open { query, leaf: Bytes::from_static(b"leaf"), ..Open::default() })
}

fn code() -> Said {
    Said::Code(Code { leaf: Bytes::from_static(b"leaf"), ..Code::default() })
}

fn order(partition: u32) -> Order {
    let share = Some(ShareOf { begin: 0, end: 4, leased: 4, is_fixed: false });
    Order {
        partition,
        number: 1,
        left: u64::MAX,
        units: 4,
        unit: 1,
        share,
        content: Some(Bytes::new()),
        ..Order::default()
    }
}

fn run(orders: Vec<Order>) -> Said {
    Said::Run(Run { query: 1, orders })
}

#[tokio::test(start_paused = true)]
async fn code_that_nobody_asked_for_is_not_loaded() {
    let mut liar = Liar::new();
    liar.say(Said::Code(Code { leaf: Bytes::from_static(b"other"), ..Code::default() }));
    liar.open().await;
    (0..100).for_each(|_| liar.say(code()));
    liar.say(run(vec![order(0)]));
    assert!(matches!(liar.hear().await, Said::Started(_)));
    assert!(matches!(liar.hear().await, Said::Ended(_)));
    assert_eq!(liar.loader.0.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn code_whose_query_was_over_is_asked_for_again() {
    let mut liar = Liar::new();
    assert!(matches!(liar.hear().await, Said::Join(_)));
    let over = || Said::Code(Code { leaf: Bytes::from_static(b"leaf"), is_over: true, ..Code::default() });
    for query in 1..5 {
        liar.say(open(query));
        assert!(matches!(liar.hear().await, Said::Need(_)));
        liar.say(Said::Stop(Stop { query, ..Stop::default() }));
        liar.say(over());
    }
    // The next query was opened before the root's answer about the last one arrived.
    liar.say(open(7));
    assert!(matches!(liar.hear().await, Said::Need(_)));
    liar.say(over());
    assert!(matches!(liar.hear().await, Said::Need(_)));
    liar.say(code());
    liar.say(Said::Run(Run { query: 7, orders: vec![order(0)] }));
    assert!(matches!(liar.hear().await, Said::Started(_)));
}

#[tokio::test(start_paused = true)]
async fn attempts_have_bounds() {
    let mut liar = Liar::new();
    liar.open().await;
    liar.say(run((0..200).map(order).collect()));
    assert_eq!(liar.left().await, "gave more than 131 attempts at once");
    let large = Order { content: Some(vec![0; (256 << 10) + 1].into()), ..order(0) };
    let key = Order { key: "x".repeat(2 << 20), ..order(0) };
    let path = Order { file: Some(FileOf { path: "x".repeat(4097), ..FileOf::default() }), ..order(0) };
    let share = |begin, end| Order { share: Some(ShareOf { begin, end, leased: 1, is_fixed: false }), ..order(0) };
    let token = |length| Order { token: vec![0; length].into(), ..order(0) };
    for wrong in [large, key, path, token(1), token(1 << 20), share(3, 2), share(0, 5), share(u64::MAX, u64::MAX)] {
        let mut liar = Liar::new();
        liar.open().await;
        liar.say(run(vec![wrong]));
        assert_eq!(liar.left().await, "gave an attempt that cannot be");
    }
    let liar = Liar::new();
    liar.say(run(vec![Order::default(); 100_000]));
    assert_eq!(liar.left().await, "sent a frame of too many fields");
}

#[tokio::test(start_paused = true)]
async fn attempts_that_ended_make_room_for_others() {
    let mut liar = Liar::new();
    liar.open().await;
    for _ in 0..10 {
        liar.say(run((0..100).map(order).collect()));
        let mut ended = 0;
        while ended < 100 {
            ended += usize::from(matches!(liar.hear().await, Said::Ended(_)));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn queries_and_leaves_have_bounds() {
    let liar = Liar::new();
    liar.say(open(1));
    liar.say(open(1));
    assert_eq!(liar.left().await, "opened a query twice");
    let liar = Liar::new();
    (0..10_001).for_each(|query| liar.say(open(query)));
    assert_eq!(liar.left().await, "has too many queries at once");
    let liar = Liar::new();
    for number in 0..10_001_u64 {
        let leaf = Bytes::copy_from_slice(&number.to_le_bytes());
        liar.say(Said::Open(Open { query: number, leaf, ..Open::default() }));
        liar.say(Said::Stop(Stop { query: number, ..Stop::default() }));
    }
    assert_eq!(liar.left().await, "has too many leaves");
}

#[tokio::test(start_paused = true)]
async fn harmless_lies_change_nothing() {
    let mut liar = Liar::new();
    liar.open().await;
    let of = AttemptOf { query: 1, partition: 9, number: 1 };
    liar.say(Said::Lease(Lease { of, leased: u64::MAX, end: 0 }));
    liar.say(Said::Lease(Lease { of: AttemptOf { query: 9, ..of }, leased: u64::MAX, end: 0 }));
    liar.say(Said::Content(Content { pull: 7, bytes: vec![0; 1 << 20].into(), failure: None }));
    liar.say(Said::Return(Return { query: 1 }));
    liar.say(Said::Return(Return { query: 9 }));
    liar.say(Said::Stop(Stop { query: 9, ..Stop::default() }));
    liar.say(Said::Started(frames::Started::default()));
    liar.say(run(vec![order(0)]));
    assert!(matches!(liar.hear().await, Said::Started(_)));
    // Leases that take units away, or add some, in the midst of it.
    let of = AttemptOf { partition: 0, ..of };
    for (leased, end) in [(0, 0), (u64::MAX, u64::MAX), (1, 2), (3, 1)] {
        liar.say(Said::Lease(Lease { of, leased, end }));
    }
    assert!(matches!(liar.hear().await, Said::Ended(_)));
}

#[tokio::test(start_paused = true)]
async fn what_no_slot_has_claimed_is_returned() {
    let mut liar = Liar::new();
    liar.open().await;
    liar.say(run((0..10).map(order).collect()));
    sleep(ms(1)).await;
    liar.say(Said::Return(Return { query: 1 }));
    let mut begun = 0;
    let mut returned = 0;
    let mut ended = 0;
    while begun + returned < 10 || ended < begun {
        match liar.hear().await {
            Said::Started(_) => begun += 1,
            Said::Ended(_) => ended += 1,
            Said::GivenBack(given_back) => returned += given_back.of.len(),
            said => panic!("unexpected: {said:?}"),
        }
    }
    assert_eq!((begun, returned), (2, 8));
}
