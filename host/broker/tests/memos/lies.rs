//! Workers that hand over what they cannot have kept.

use std::time::Duration;

use bytes::Bytes;
use frond_broker::frames::{Held, KeptPartial, MEMO_ID, Order, RangeOf, Said, TOKEN};
use frond_broker::session::{Lost, Settings};
use frond_broker::{HeldPartials, Workers};
use frond_testkit::ms;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::bench::{KEY, Root, Store, Stranger, Worker, until};

/// Partial of a whole partition, as a worker would keep it.
fn kept(order: &Order) -> KeptPartial {
    KeptPartial {
        number: u64::from(order.partition),
        epoch: 1,
        partition: order.partition,
        attempt: order.number,
        partial: Bytes::from_static(b"x"),
        has_ended: true,
        token: order.token.clone(),
        ..KeptPartial::default()
    }
}

fn range(begin: u64, end: u64, until: u64, of: u64) -> Option<RangeOf> {
    Some(RangeOf { begin, end, until, of })
}

/// Orders that a worker gets from a root that then dies, of a query under this key.
async fn orders(key: &'static [u8], counts: &[u64]) -> Vec<Order> {
    let root = Root::ask_under(key, &[], &Store::default(), counts, Vec::new()).await;
    let orders = Stranger::join(&root.workers, true).await.orders(counts.len()).await;
    root.die().await;
    orders
}

/// Order of a part of a partition, which a busy worker has lost to an idle one.
async fn order_of_part() -> Order {
    let pool = [Worker::new(1, 0)];
    let root = Root::ask(&pool, &Store::default(), &[100_000], Vec::new()).await;
    until(async || root.workers.list()[0].attempts == 1).await;
    sleep(ms(100)).await;
    let order = Stranger::join(&root.workers, true).await.orders(1).await.remove(0);
    root.die().await;
    order
}

/// Recalls in a task.
fn recall(workers: &Workers, time: Duration) -> JoinHandle<HeldPartials> {
    let workers = workers.clone();
    tokio::spawn(async move { workers.recall(Bytes::from_static(KEY), time).await })
}

/// Answers a recall with these partials, and with the end of the answer.
async fn answer(stranger: &mut Stranger, partials: impl IntoIterator<Item = KeptPartial>) {
    let Said::Recall(recall) = stranger.hear().await else { panic!("a recall is next") };
    let partials = partials.into_iter().map(Some).chain([None]);
    partials.for_each(|partial| stranger.say(Said::Held(Held { recall: recall.recall, partial })));
}

/// Partials that the next root takes of a worker that hands these over, and why the worker is
/// dropped, if it is.
async fn taken(partials: impl IntoIterator<Item = KeptPartial>) -> (HeldPartials, Option<String>) {
    let workers = Workers::new(0, Settings::default());
    let mut stranger = Stranger::join(&workers, true).await;
    let recall = recall(&workers, Duration::from_secs(60));
    answer(&mut stranger, partials).await;
    let held = recall.await.unwrap();
    if !workers.list().is_empty() {
        return (held, None);
    }
    match stranger.task.await.unwrap() {
        Lost::Protocol(why) => (held, Some(why)),
        lost => panic!("dropped for another reason: {lost}"),
    }
}

/// Asserts that the next root drops a worker that hands these partials over, and takes nothing.
async fn is_refused(partials: impl IntoIterator<Item = KeptPartial>) {
    let (held, why) = taken(partials).await;
    assert_eq!(why.as_deref(), Some("kept a partial of an attempt that it was not given"));
    assert!(held.partials.is_empty(), "{held:?}");
}

#[tokio::test(start_paused = true)]
async fn a_worker_hands_over_what_it_was_given() {
    let orders = orders(KEY, &[5, 10, 15]).await;
    let (held, why) = taken(orders.iter().map(kept)).await;
    assert_eq!(why, None);
    let mut partitions: Vec<_> = held.partials.iter().map(|one| one.kept.partition).collect();
    partitions.sort_unstable();
    assert_eq!(partitions, [0, 1, 2]);
    let order = &orders[0];
    let count = order.units;
    for units in [range(0, 1, 1, count), range(0, 1, count, count), range(0, count, count, count)] {
        let (held, why) = taken([KeptPartial { units, ..kept(order) }]).await;
        assert_eq!((held.partials.len(), why), (1, None), "a cut may have moved the end: {units:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_worker_hands_over_nothing_of_other_attempts() {
    let orders = orders(KEY, &[5, 10, 15]).await;
    let order = &orders[0];
    let honest = kept(order);
    for wrong in [
        KeptPartial { partition: 7, ..honest.clone() },
        KeptPartial { partition: orders[1].partition, ..honest.clone() },
        KeptPartial { attempt: order.number + 1, ..honest.clone() },
        KeptPartial { attempt: 0, ..honest.clone() },
        KeptPartial { epoch: 2, ..honest.clone() },
        KeptPartial { units: range(1, 5, 5, 5), ..honest.clone() },
        KeptPartial { token: orders[1].token.clone(), ..honest.clone() },
    ] {
        is_refused([wrong.clone()]).await;
        is_refused([honest.clone(), kept(&orders[1]), wrong]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_worker_with_a_part_hands_over_nothing_before_it() {
    let order = order_of_part().await;
    let begin = order.share.unwrap().begin;
    let of = order.units;
    assert!(begin > 1 && of == 100_000);
    let (held, why) = taken([KeptPartial { units: range(begin, begin + 1, begin + 1, of), ..kept(&order) }]).await;
    assert_eq!((held.partials.len(), why), (1, None));
    for units in [None, range(0, of, of, of), range(begin - 1, of, of, of), range(begin + 1, of, of, of)] {
        is_refused([KeptPartial { units, ..kept(&order) }]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn tokens_cannot_be_made_up_or_come_from_other_jobs() {
    let own = orders(KEY, &[5]).await.remove(0);
    let other = orders(b"a secret of another job", &[5]).await.remove(0);
    assert_eq!((own.partition, own.number), (other.partition, other.number));
    assert_eq!(own.token.len(), TOKEN);
    is_refused([kept(&other)]).await;
    let mut flipped = own.token.to_vec();
    flipped[0] ^= 1;
    let longer = [&*own.token, b"x"].concat();
    for token in [Vec::new(), vec![0; TOKEN], own.token[1..].to_vec(), flipped, longer] {
        is_refused([KeptPartial { token: token.into(), ..kept(&own) }]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_liar_costs_others_nothing() {
    let orders = orders(KEY, &[5, 10]).await;
    let workers = Workers::new(0, Settings::default());
    let mut honest = Stranger::join(&workers, true).await;
    let mut liar = Stranger::join(&workers, true).await;
    let recall = recall(&workers, Duration::from_secs(60));
    answer(&mut liar, [kept(&orders[1]), KeptPartial { partition: 9, ..kept(&orders[1]) }]).await;
    assert!(matches!(liar.task.await.unwrap(), Lost::Protocol(_)));
    answer(&mut honest, [kept(&orders[0])]).await;
    let held = recall.await.unwrap();
    let partitions: Vec<_> = held.partials.iter().map(|one| one.kept.partition).collect();
    assert_eq!(partitions, [orders[0].partition]);
    workers.forget(&held);
    assert!(matches!(honest.hear().await, Said::Forget(forget) if forget.partials == [u64::from(orders[0].partition)]));
}

#[tokio::test(start_paused = true)]
async fn the_key_stays_at_roots() {
    let root = Root::ask(&[], &Store::default(), &[5, 10], Vec::new()).await;
    let mut stranger = Stranger::join(&root.workers, true).await;
    let Said::Open(open) = stranger.hear().await else { panic!("a query is first") };
    let id = open.memo.unwrap().id;
    assert_eq!(id.len(), MEMO_ID);
    let orders = stranger.orders(2).await;
    let recall = recall(&root.workers, Duration::from_secs(60));
    let Said::Recall(asked) = stranger.hear().await else { panic!("a recall is next") };
    assert_eq!(asked.id, id);
    for partial in [Some(kept(&orders[0])), None] {
        stranger.say(Said::Held(Held { recall: asked.recall, partial }));
    }
    root.workers.forget(&recall.await.unwrap());
    assert!(matches!(stranger.hear().await, Said::Forget(forget) if forget.id == id));
    let has_key = |frame: &Bytes| frame.windows(KEY.len()).any(|bytes| bytes == KEY);
    assert!(!stranger.heard.iter().any(has_key));
}

#[tokio::test(start_paused = true)]
async fn a_recall_waits_for_those_that_may_answer_and_not_for_ever() {
    let order = orders(KEY, &[5]).await.remove(0);
    let workers = Workers::new(0, Settings::default());
    let began = Instant::now();
    let _old = Stranger::join(&workers, false).await;
    assert!(recall(&workers, Duration::from_secs(60)).await.unwrap().partials.is_empty());
    assert!(began.elapsed() < Duration::from_secs(1), "nobody was asked");
    let stranger = Stranger::join(&workers, true).await;
    let held = || Said::Held(Held { recall: 2, partial: Some(kept(&order)) });
    stranger.say(held());
    // Not asked for yet.
    sleep(ms(10)).await;
    let recalled = recall(&workers, Duration::from_secs(60));
    sleep(ms(10)).await;
    stranger.say(held());
    assert_eq!(recalled.await.unwrap().partials.len(), 1, "what has come is there");
    assert!(began.elapsed() > Duration::from_secs(60));
    stranger.sender.close();
    until(async || workers.list().len() == 1).await;
    assert!(recall(&workers, Duration::from_secs(60)).await.unwrap().partials.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_worker_cannot_hand_over_what_cannot_be() {
    let order = orders(KEY, &[5]).await.remove(0);
    for units in [range(3, 2, 2, 5), range(0, 3, 2, 5), range(0, 2, 6, 5), range(2, 2, 2, 5), range(u64::MAX, 0, 0, 0)]
    {
        let (held, why) = taken([KeptPartial { units, ..kept(&order) }]).await;
        assert_eq!(why.as_deref(), Some("kept units that cannot be"));
        assert!(held.partials.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_recall_gathers_has_a_bound() {
    let order = orders(KEY, &[5]).await.remove(0);
    let (held, why) = taken((0..5000).map(|number| KeptPartial { number, ..kept(&order) })).await;
    assert_eq!((held.partials.len(), why), (4096, None));
}
