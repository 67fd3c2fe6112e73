//! Tests of sessions: over carriers with faults, against hostile peers, and by parts.

mod chaotic;
mod flow;
mod hostile;
mod life;
mod parts;
mod speed;

use std::time::Duration;

use bytes::Bytes;
use rand::rngs::ChaCha12Rng;
use rand::{Rng, RngExt, SeedableRng};

use super::{FrameReceiver, FrameSender, Settings, accept, open};
use crate::carrier::{Carrier, in_process};
use crate::chaos::{Chaos, ChaosLink, chaos};

/// Both halves of a session.
type Ends = (FrameSender, FrameReceiver);

/// Longest time of a step under paused time: a test that hangs fails, and says where.
const PATIENCE: Duration = Duration::from_secs(600);

/// Waits for a step that must end.
async fn soon<T>(step: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, step).await.expect("the step ends")
}

/// Two ends of a session within this process.
fn pair(settings: &Settings) -> (Ends, Ends) {
    let (worker, root) = in_process();
    (open(worker, settings.clone()), accept(root, settings.clone()))
}

/// Two ends of a session over a carrier with faults.
fn chaotic_pair(settings: &Settings, with: Chaos) -> (Ends, Ends, ChaosLink) {
    let (worker, root) = in_process();
    let (worker, link) = chaos(worker, with);
    (open(worker, settings.clone()), accept(root, settings.clone()), link)
}

/// Settings of a session that losses alone never end.
fn patient() -> Settings {
    Settings { missed: 1_000, open_within: PATIENCE, close_within: PATIENCE, ..Settings::default() }
}

/// Random frames, the same for the same seed, of mixed sizes up to this one.
fn frames(seed: u64, count: usize, largest: usize) -> Vec<Bytes> {
    let mut random = ChaCha12Rng::seed_from_u64(seed);
    let frame = |_| {
        let most = [1, 100, 20 << 10, largest][random.random_range(0..4)].min(largest);
        let mut frame = vec![0; random.random_range(0..=most)];
        random.fill_bytes(&mut frame);
        Bytes::from(frame)
    };
    (0..count).map(frame).collect()
}

/// Receives as many frames as are expected, and compares them.
async fn expect(receiver: &mut FrameReceiver, expected: &[Bytes]) {
    for (index, frame) in expected.iter().enumerate() {
        let got = soon(receiver.recv()).await.expect("the session lives");
        assert!(got == *frame, "frame {index}: {} bytes instead of {}", got.len(), frame.len());
    }
}

/// Waits until a session is open: one frame goes there and back.
async fn greet(one: &mut Ends, other: &mut Ends) {
    one.0.post(Bytes::from_static(b"greeting"));
    other.0.post(Bytes::from_static(b"answer"));
    expect(&mut other.1, &[Bytes::from_static(b"greeting")]).await;
    expect(&mut one.1, &[Bytes::from_static(b"answer")]).await;
}

/// A carrier whose other end the test holds, to be a peer by hand.
fn by_hand() -> (Carrier, Carrier) {
    in_process()
}

#[tokio::test(start_paused = true)]
async fn a_carrier_is_dropped_once_nobody_receives_although_a_sender_lives() {
    let (carrier, _other) = in_process();
    let (inlet, receiver) = tokio::sync::mpsc::channel(1);
    let (sender, frames) = accept(Carrier { receiver, ..carrier }, Settings::default());
    drop(frames);
    sender.close();
    // The maker of the carrier sees that its user is gone, and can make another one.
    soon(inlet.closed()).await;
    drop(sender);
}
