//! Tests of pulled contents, with a root that answers as the test says.

use std::collections::BTreeSet;
use std::time::Duration;

use frond_root::share::{PieceSizes, Stretch};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::timeout;

use super::*;
use crate::carrier::in_process;
use crate::frames::MAX_PULL;
use crate::outcome::failure_to_bytes;
use crate::session::{FrameReceiver, Settings, accept, open};

const SIZE: u64 = 8 << 20;

/// The worker's side of a session, with the root's side in a test's hands.
struct Bench {
    pulls: Arc<Pulls>,
    root: FrameSender,
    asked: FrameReceiver,
}

impl Bench {
    fn new() -> Self {
        let (root, worker) = in_process();
        let (root, asked) = accept(root, Settings::default());
        let (sender, mut answers) = open(worker, Settings::default());
        let pulls = Pulls::new(sender);
        let own = pulls.clone();
        tokio::spawn(async move {
            while let Ok(frame) = answers.recv().await {
                if let Ok(Some(Said::Content(content))) = frames::decoded(frame) {
                    own.answered(content);
                }
            }
            own.close();
        });
        Self { pulls, root, asked }
    }

    fn content(&self, share: Option<Arc<Share>>) -> Arc<PulledContent> {
        let units = Units { count: SIZE, grain: Grain::Byte };
        Arc::new(PulledContent::new(self.pulls.clone(), AttemptOf::default(), SIZE, units, share))
    }

    /// The next pull.
    async fn pull(&mut self) -> Pull {
        let frame = timeout(Duration::from_secs(60), self.asked.recv()).await.unwrap().unwrap();
        match frames::decoded(frame).unwrap() {
            Some(Said::Pull(pull)) => {
                assert!(pull.len <= MAX_PULL && pull.offset + pull.len <= SIZE, "{pull:?}");
                pull
            }
            said => panic!("no pull: {said:?}"),
        }
    }

    fn answer(&self, pull: &Pull) {
        let bytes = expected(pull.offset, pull.len);
        self.say(frames::Content { pull: pull.pull, bytes, failure: None });
    }

    fn fail(&self, pull: &Pull) {
        let failure = Some(failure_to_bytes(&Failure::new(FailureKind::Unavailable, "the disk is gone")));
        self.say(frames::Content { pull: pull.pull, bytes: Bytes::new(), failure });
    }

    fn say(&self, content: frames::Content) {
        self.root.post(frames::encoded(Said::Content(content)));
    }

    /// Runs a leaf to its end, and answers each pull. Returns the pulls.
    async fn serve(&mut self, mut leaf: JoinHandle<()>) -> Vec<Pull> {
        let mut pulls = Vec::new();
        loop {
            tokio::select! {
                pull = self.pull() => {
                    self.answer(&pull);
                    pulls.push(pull);
                }
                ended = &mut leaf => {
                    ended.unwrap();
                    return pulls;
                }
            }
        }
    }

    fn open_pulls(&self) -> usize {
        self.pulls.open.lock().as_ref().map_or(0, HashMap::len)
    }
}

/// Bytes of the content.
fn expected(offset: u64, len: u64) -> Bytes {
    (offset..offset + len).map(|at| (at % 251) as u8).collect::<Vec<_>>().into()
}

/// A leaf that reads these ranges, and finds what it expects.
fn leaf(content: &Arc<PulledContent>, reads: Vec<Range<u64>>) -> JoinHandle<()> {
    let content = content.clone();
    spawn_blocking(move || {
        for Range { start, end } in reads {
            let read = content.read(start, usize::try_from(end - start).unwrap()).unwrap();
            assert!(read == expected(start, end.min(SIZE) - start), "{start}..{end}");
        }
    })
}

fn in_order(piece: u64) -> Vec<Range<u64>> {
    (0..SIZE / piece).map(|at| at * piece..(at + 1) * piece).collect()
}

#[tokio::test]
async fn a_content_in_order_arrives_whole_and_once() {
    for piece in [16 << 10, 100_000, 1 << 20, 3 << 20] {
        let mut bench = Bench::new();
        let content = bench.content(None);
        let reads = in_order(piece);
        let read: u64 = reads.iter().map(|range| range.end - range.start).sum();
        let leaf = leaf(&content, reads);
        let pulls = bench.serve(leaf).await;
        let pulled: u64 = pulls.iter().map(|pull| pull.len).sum();
        assert!(read <= pulled && pulled <= SIZE, "{pulled} for {read}");
        assert!(pulls.len() < 60, "{} pulls", pulls.len());
    }
}

#[tokio::test]
async fn the_next_blocks_are_asked_for_before_the_leaf_wants_them() {
    let mut bench = Bench::new();
    let content = bench.content(None);
    let two = leaf(&content, in_order(1 << 20).into_iter().take(2).collect());
    let first = bench.pull().await;
    bench.answer(&first);
    let mut ahead = BTreeSet::new();
    let second = bench.pull().await;
    while ahead.len() < 4 {
        let pull = bench.pull().await;
        ahead.insert((pull.offset, pull.len));
    }
    // None of them is answered: the leaf does not wait for them.
    bench.answer(&second);
    two.await.unwrap();
    let block = 256 << 10;
    assert_eq!(ahead, (8..12).map(|at| (at * block, block)).collect());
}

#[tokio::test]
async fn reads_without_order_pull_no_more_than_they_read() {
    let mut bench = Bench::new();
    let content = bench.content(None);
    let reads: Vec<_> = (0..100_u64).map(|at| at * 37 % 101 * 80_000).map(|at| at..at + 5000).collect();
    let leaf = leaf(&content, reads);
    let pulls = bench.serve(leaf).await;
    assert_eq!(pulls.len(), 100);
    assert!(pulls.iter().all(|pull| pull.len == 5000));
}

#[tokio::test]
async fn a_failure_of_a_block_fails_the_read_that_needs_it() {
    let mut bench = Bench::new();
    let content = bench.content(None);
    let reader = content.clone();
    let reading = spawn_blocking(move || {
        let piece = 64 << 10;
        let read = |at: u64| reader.read(at * piece, 64 << 10);
        assert!(read(0).is_ok() && read(1).is_ok());
        // The block behind it fails, which nobody wants.
        assert!(read(100).is_ok());
        assert!(read(3).is_ok() && read(4).is_ok());
        assert_eq!(read(5).unwrap_err().kind, FailureKind::Unavailable);
        assert!(read(5).is_ok(), "it is asked for again");
    });
    let mut seen = BTreeSet::new();
    let fails = |pull: &Pull| [128 << 10, 320 << 10].contains(&pull.offset);
    let mut reading = std::pin::pin!(reading);
    loop {
        tokio::select! {
            pull = bench.pull() => {
                if fails(&pull) && seen.insert(pull.offset) {
                    bench.fail(&pull);
                } else {
                    bench.answer(&pull);
                }
            }
            ended = &mut reading => break ended.unwrap(),
        }
    }
}

#[tokio::test]
async fn nothing_is_left_of_an_attempt_that_has_ended() {
    let mut bench = Bench::new();
    let content = bench.content(None);
    let leaf = leaf(&content, in_order(256 << 10).into_iter().take(6).collect());
    bench.serve(leaf).await;
    assert!(bench.pulls.ahead.load(Ordering::SeqCst) > 0, "blocks were read ahead");
    drop(content);
    assert_eq!((bench.pulls.ahead.load(Ordering::SeqCst), bench.open_pulls()), (0, 0));
}

#[tokio::test]
async fn a_read_that_outlives_its_attempt_asks_for_nothing_more() {
    let mut bench = Bench::new();
    let content = bench.content(None);
    let reader = content.clone();
    let reading = spawn_blocking(move || reader.read(0, 8 << 20).unwrap_err().kind);
    let first = bench.pull().await;
    let second = bench.pull().await;
    content.close();
    bench.answer(&first);
    bench.answer(&second);
    assert_eq!(reading.await.unwrap(), FailureKind::Cancelled);
    // The next that the root hears is the end of the attempt.
    let ended = AttemptOf { partition: 7, ..AttemptOf::default() };
    bench.pulls.ask(ended, 0..1, false);
    assert_eq!(bench.pull().await.of, ended);
}

#[tokio::test]
async fn a_lost_session_ends_all_reads() {
    let mut bench = Bench::new();
    let content = bench.content(None);
    let reader = content.clone();
    let reading = spawn_blocking(move || reader.read(0, 4 << 20).unwrap_err().kind);
    bench.pull().await;
    bench.root.close();
    assert_eq!(reading.await.unwrap(), FailureKind::Lost);
    let reader = content.clone();
    assert_eq!(spawn_blocking(move || reader.read(5, 5).unwrap_err().kind).await.unwrap(), FailureKind::Lost);
    drop(content);
    assert_eq!((bench.pulls.ahead.load(Ordering::SeqCst), bench.open_pulls()), (0, 0));
}

#[tokio::test]
async fn all_contents_of_a_session_read_ahead_within_its_bound() {
    let mut bench = Bench::new();
    let contents: Vec<_> = (0..60).map(|_| bench.content(None)).collect();
    for content in &contents {
        let leaf = leaf(content, in_order(1 << 20).into_iter().take(3).collect());
        bench.serve(leaf).await;
        assert!(bench.pulls.ahead.load(Ordering::SeqCst) <= MOST_PULLED_AHEAD);
    }
    assert_eq!(bench.pulls.ahead.load(Ordering::SeqCst), MOST_PULLED_AHEAD);
}

#[tokio::test]
async fn little_is_read_ahead_beyond_the_end_of_a_share() {
    let mut bench = Bench::new();
    let units = Units { count: SIZE, grain: Grain::Byte };
    let share = Share::new(units, Stretch { end: 2 << 20, ..Stretch::whole(SIZE) }, PieceSizes::Timed);
    let content = bench.content(Some(Arc::new(share)));
    let leaf = leaf(&content, in_order(512 << 10).into_iter().take(4).collect());
    let pulls = bench.serve(leaf).await;
    assert!(pulls.iter().all(|pull| pull.offset + pull.len <= (2 << 20) + BEYOND), "{pulls:?}");
}
