//! All frames arrive once and in order, whatever the carrier does.

use std::time::Duration;

use proptest::prelude::*;

use super::{chaotic_pair, expect, frames, greet, pair, patient, soon};
use crate::chaos::{Chaos, Faults};
use crate::session::{Lost, Settings};

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
}

/// Sends frames both ways, closes, and returns what happened to the messages.
fn exchange(with: Chaos, settings: Settings, there: usize, back: usize, largest: usize) -> Faults {
    runtime().block_on(async {
        let seed = with.seed;
        let (one, other, link) = chaotic_pair(&settings, with);
        let flows = [(one.0.clone(), frames(seed, there, largest)), (other.0.clone(), frames(!seed, back, largest))];
        for (sender, frames) in flows {
            tokio::spawn(async move {
                for (index, frame) in frames.into_iter().enumerate() {
                    match index % 3 {
                        0 => sender.send(frame).await.unwrap(),
                        _ => sender.post(frame),
                    }
                }
            });
        }
        let (one_sends, mut one_receives) = one;
        let (other_sends, mut other_receives) = other;
        let sent = [frames(seed, there, largest), frames(!seed, back, largest)];
        tokio::join!(expect(&mut other_receives, &sent[0]), expect(&mut one_receives, &sent[1]));
        one_sends.close();
        assert_eq!(soon(other_receives.recv()).await, Err(Lost::Closed));
        assert_eq!(soon(one_receives.recv()).await, Err(Lost::Closed));
        assert_eq!((one_sends.queued(), other_sends.queued()), (0, 0));
        link.faults()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, rng_seed: prop::test_runner::RngSeed::Fixed(7), ..ProptestConfig::default() })]

    #[test]
    fn frames_arrive_once_and_in_order(
        drop in 0.0..0.35,
        double in 0.0..0.3,
        reorder in 0.0..0.5,
        delay in 0..40_u64,
        seed: u64,
        there in 0..120_usize,
        back in 0..120_usize,
        large in prop::bool::weighted(0.3),
    ) {
        let delay = Duration::ZERO..Duration::from_millis(delay);
        let largest = if large { 3 << 20 } else { 60 << 10 };
        let (there, back) = if large { (there / 8, back / 8) } else { (there, back) };
        exchange(Chaos { drop, double, reorder, delay, seed }, patient(), there, back, largest);
    }

    #[test]
    fn small_windows_stall_nothing(drop in 0.0..0.3, reorder in 0.0..0.3, seed: u64, there in 0..60_usize, back in 0..60_usize) {
        let settings = Settings { window: 1, ..patient() };
        let delay = Duration::ZERO..Duration::from_millis(3);
        exchange(Chaos { drop, reorder, delay, seed, ..Chaos::default() }, settings, there, back, 200 << 10);
    }
}

#[test]
fn every_fault_happens_and_is_counted() {
    let delay = Duration::from_millis(1)..Duration::from_millis(5);
    let with = Chaos { drop: 0.2, double: 0.2, reorder: 0.2, delay, seed: 3 };
    let first = exchange(with, patient(), 3_000, 3_000, 4 << 10);
    let Faults { delivered, dropped, doubled, reordered, delayed, cut } = first;
    assert!([delivered, dropped, doubled, reordered, delayed].iter().all(|count| *count > 5), "{first:?}");
    assert_eq!(cut, 0);
    let none = exchange(Chaos::default(), patient(), 300, 300, 4 << 10);
    assert_eq!(Faults { delivered: none.delivered, ..Faults::default() }, none);
}

#[tokio::test(start_paused = true)]
async fn both_ends_may_send_more_than_the_carrier_holds() {
    let (mut one, mut other) = pair(&patient());
    let sent = frames(1, 3_000, 40 << 10);
    for frame in &sent {
        one.0.post(frame.clone());
        other.0.post(frame.clone());
    }
    tokio::join!(expect(&mut one.1, &sent), expect(&mut other.1, &sent));
}

#[tokio::test(start_paused = true)]
async fn a_link_that_heals_in_time_loses_nothing() {
    let (mut one, mut other, link) = chaotic_pair(&Settings::default(), Chaos::default());
    greet(&mut one, &mut other).await;
    for (sender, is_busy, cut) in [(&one.0, false, 1_450), (&one.0, true, 145), (&other.0, true, 145)] {
        sender.set_busy(is_busy);
        tokio::time::sleep(Duration::from_secs(5)).await;
        let sent = frames(cut, 60, 1 << 20);
        link.cut();
        for frame in &sent {
            one.0.post(frame.clone());
        }
        tokio::time::sleep(Duration::from_millis(cut)).await;
        assert!(one.0.queued() > 0);
        link.heal();
        expect(&mut other.1, &sent).await;
        assert_eq!((one.0.lost(), other.0.lost()), (None, None));
    }
    assert!(link.faults().cut > 0);
}
