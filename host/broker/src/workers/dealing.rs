//! Attempts on their way to workers, and back from those that do not start them.

use std::sync::Weak;
use std::time::Duration;

use bytes::Bytes;
use frond_root::{Outcome, Usage};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::orders::{content, order};
use super::peer::Recipient;
use super::shared::{Claimed, Shared, attempt_of};
use crate::frames::{self, Run, Said};

/// The least time between two looks at all workers, however often they cause one.
const PACE: Duration = Duration::from_millis(1);

/// Gives workers their attempts each time when some may be claimable, and watches over them.
pub(super) async fn deal_when_nudged(shared: Weak<Shared>) {
    loop {
        let began = Instant::now();
        let next_look = {
            let Some(shared) = shared.upgrade() else { return };
            for number in shared.peers() {
                deal(&shared, number);
            }
            shared.watch(began)
        };
        let Some(strong) = shared.upgrade() else { return };
        // Woken again soon, so that it ends once nobody else has the workers.
        let _ = timeout_at(next_look, strong.nudged.notified()).await;
        drop(strong);
        sleep_until(began + PACE).await;
    }
}

/// Gives a worker its attempts, as long as it takes them.
pub(super) fn deal(shared: &Shared, number: u64) {
    let Some(worker) = shared.recipient(number) else { return };
    loop {
        let claimed = shared.claim(number);
        if claimed.is_empty() {
            return;
        }
        claimed.into_iter().for_each(|claimed| run(shared, &worker, claimed));
    }
}

/// Has a worker run attempts.
fn run(shared: &Shared, worker: &Recipient, (query, tickets): Claimed) {
    let mut orders = Vec::with_capacity(tickets.len());
    let mut sent = Vec::with_capacity(tickets.len());
    for ticket in tickets {
        let now = Instant::now();
        let of = attempt_of(&query, &ticket);
        match content(&*ticket.partition.content) {
            Ok(content) => {
                sent.push(of);
                orders.push(order(&query, &ticket, content, worker, now));
            }
            Err(failure) => {
                if shared.release(worker.number, &of, None).is_some() {
                    query.work.start(&ticket, now);
                    let outcome = Outcome {
                        result: Err(Box::new(failure)),
                        ..Outcome::succeeded(Bytes::new(), Duration::ZERO, Usage::default())
                    };
                    query.work.end(ticket, outcome, now);
                }
            }
        }
    }
    if !orders.is_empty() {
        worker.sender.post(frames::encoded(Said::Run(Run { query: query.number, orders })));
        shared.sent(worker.number, &sent, Instant::now());
    }
}
