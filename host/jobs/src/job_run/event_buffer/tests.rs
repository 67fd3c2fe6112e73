//! Texts of a job's failures, over all its lives.

use frond_root::{FailureKind, Status, Usage};

use super::*;

/// End of an attempt that failed with this many bytes of texts.
fn ended(partition: u32, texts: usize) -> Event {
    let failure = Failure { log: vec!["l".repeat(texts - 4)], ..Failure::new(FailureKind::Trap, "fell") };
    let usage = Usage::default();
    let kind = EventKind::AttemptEnded {
        partition,
        attempt: 1,
        slot: 0,
        failure: Some(failure),
        usage,
        log: Vec::new(),
        earlier: 0,
        waited: 0,
        waits: Vec::new(),
        part: None,
        on_worker: None,
        beaten: false,
    };
    Event { at: 1, kind }
}

fn missing(partition: u32) -> Event {
    let key = format!("part-{partition}").as_str().into();
    Event { at: 2, kind: EventKind::PartitionMissing { partition, key, status: Status::Failed, slug: None } }
}

#[tokio::test]
async fn failures_of_all_lives_share_one_budget() {
    let earlier = Account { texts: MAX_EVENT_TEXTS - 1000, ..Account::default() };
    let buffer = EventBuffer::new(earlier);
    for partition in 0..3 {
        buffer.event(&ended(partition, 600));
        buffer.event(&missing(partition));
    }
    let news = buffer.take().unwrap();
    let account = news.account.unwrap();
    assert_eq!(account.texts, MAX_EVENT_TEXTS - 400);
    // The counts stay exact.
    assert_eq!((account.failures[&FailureKind::Trap], news.failing), (3, 3));
    let omitted: Vec<bool> = news.lines.iter().map(|line| line.contains("\"omitted\":596")).collect();
    assert_eq!(omitted, [false, false, true, false, true, false]);
    let failed: Vec<u64> = buffer.failed().into_iter().map(|(_, _, failure)| failure.omitted).collect();
    assert_eq!(failed, [0, 596, 596]);
}
