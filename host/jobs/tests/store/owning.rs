//! Owners of jobs: a job has one owner, and no other can change it.

use std::collections::HashSet;

use frond_jobs::account::Account;
use frond_jobs::store::{CancelKind, EventBatch, JobFilter, NewJob, PartitionState, PlanRecord};
use frond_jobs::{End, JobState};

use crate::kit::{Bench, Store, at, done, ended, get, id, job, job_of, name, plan, planning, rows, running, take};

on_both!(
    a_job_is_taken_once,
    the_one_that_waits_longest_is_taken_first,
    apps_take_turns_by_their_weight,
    callers_take_turns_whatever_their_weight,
    the_jobs_of_a_caller_can_be_left_out,
    only_the_apps_that_are_asked_for_are_taken,
    takers_at_once_never_get_the_same_job,
    a_cancel_and_a_take_at_once_agree,
    of_two_who_end_a_job_at_once_one_does,
    a_lapsed_lease_lets_another_go_on_with_the_plan,
    a_lapsed_lease_lets_another_plan,
    a_lease_that_is_renewed_does_not_lapse,
    what_is_given_back_keeps_its_place,
    every_write_of_an_owner_that_was_given_up_is_refused,
    every_write_of_an_owner_that_is_through_is_refused,
    moves_in_the_wrong_order_are_refused,
    an_owner_is_told_to_stop_until_it_does,
    what_others_want_of_a_job_its_owner_alone_can_read,
    who_takes_over_knows_that_it_should_stop,
    what_an_owner_had_is_there_after_a_restart,
    owners_that_are_lost_without_a_result_are_counted,
    what_owners_tell_of_their_lives_is_kept,
);

async fn owners_that_are_lost_without_a_result_are_counted(bench: Bench) {
    let store = bench.store();
    let (job, epoch) = planning(&store).await;
    assert_eq!(get(&store, job).await.strikes, 1);
    let lost = epoch;
    let epoch = take(&store, 2000).await.unwrap().epoch;
    assert_eq!(epoch, lost + 1);
    assert_eq!(get(&store, job).await.strikes, 2);
    // A plan counts as a result, and so does a partial; a late result does not.
    store.plan(job, epoch, plan(2)).await.unwrap();
    assert_eq!(get(&store, job).await.strikes, 0);
    let epoch = take(&store, 4000).await.unwrap().epoch;
    store.accept(job, epoch, vec![done(0)]).await.unwrap();
    assert_eq!(get(&store, job).await.strikes, 0);
    let epoch = take(&store, 6000).await.unwrap().epoch;
    store.accept(job, epoch, vec![done(0)]).await.unwrap();
    assert_eq!(get(&store, job).await.strikes, 1);
    // An owner that releases a job is not lost.
    store.release(job, epoch).await.unwrap();
    assert_eq!(get(&store, job).await.strikes, 0);
    let epoch = take(&store, 7000).await.unwrap().epoch;
    store.finish(job, epoch, ended(End::Failed, 7100)).await.unwrap();
    assert_eq!(get(&store, job).await.strikes, 1);
    assert_eq!(store.redrive(job, at(7200)).await.unwrap().strikes, 0);
}

async fn what_owners_tell_of_their_lives_is_kept(bench: Bench) {
    let store = bench.store();
    let (job, epoch) = running(&store, 1).await;
    let mut account = Account::default();
    account.attempts.started = 3;
    account.timings.total = 12.5;
    store.append(job, epoch, EventBatch { account: Some(account.clone()), ..EventBatch::default() }).await.unwrap();
    store.append(job, epoch, EventBatch::default()).await.unwrap();
    assert_eq!(get(&store, job).await.account, account);
    assert_eq!(take(&store, 5000).await.unwrap().job.account, account);
}

async fn a_job_is_taken_once(bench: Bench) {
    let store = bench.store();
    assert_eq!(take(&store, 1).await, None);
    store.submit(job(1)).await.unwrap();
    let taken = take(&store, 10).await.unwrap();
    assert_eq!((taken.job.state, taken.epoch, taken.job.epoch), (JobState::Planning, 1, 1));
    assert_eq!((taken.job.owner.as_deref(), taken.job.lease_until), (Some("owner"), Some(at(1010))));
    assert_eq!(taken.job.started, Some(at(10)));
    assert_eq!(get(&store, id(1)).await, taken.job);
    assert_eq!(take(&store, 1009).await, None);
}

async fn the_one_that_waits_longest_is_taken_first(bench: Bench) {
    let store = bench.store();
    for number in [2, 3, 1] {
        store.submit(job(number)).await.unwrap();
    }
    for number in 1..=3 {
        assert_eq!(take(&store, 10).await.unwrap().job.id, id(number));
    }
}

async fn apps_take_turns_by_their_weight(bench: Bench) {
    let store = bench.store();
    for number in 1..=6 {
        store.submit(NewJob { weight: 2, ..job_of(number, "heavy") }).await.unwrap();
        store.submit(job_of(100 + number, "light")).await.unwrap();
    }
    let mut apps = Vec::new();
    for _ in 0..9 {
        apps.push(take(&store, 200).await.unwrap().job.app);
    }
    // The oldest wins a tie; after that, each app gets its share: 2 to 1.
    assert_eq!(apps, ["heavy", "light", "heavy", "heavy", "light", "heavy", "heavy", "light", "heavy"]);
}

fn of(caller: Option<&str>, number: u64) -> NewJob {
    NewJob { caller: caller.map(str::to_owned), ..job(number) }
}

async fn callers_take_turns_whatever_their_weight(bench: Bench) {
    let store = bench.store();
    for number in 1..=4 {
        store.submit(NewJob { weight: 1000, ..of(Some("ann"), number) }).await.unwrap();
    }
    for (number, caller) in [(5, Some("bob")), (6, Some("bob")), (7, None)] {
        store.submit(of(caller, number)).await.unwrap();
    }
    let mut callers = Vec::new();
    for _ in 0..7 {
        callers.push(take(&store, 200).await.unwrap().job.caller.unwrap_or_default());
    }
    // Among callers with as many jobs, the weight decides, and then the wait.
    assert_eq!(callers, ["ann", "bob", "", "ann", "bob", "ann", "ann"]);
}

async fn the_jobs_of_a_caller_can_be_left_out(bench: Bench) {
    let store = bench.store();
    for (number, caller) in [(1, Some("ann")), (2, Some("bob")), (3, None)] {
        store.submit(of(caller, number)).await.unwrap();
    }
    let not_of = |caller: Option<&str>, among: JobFilter| JobFilter::NotOf {
        caller: caller.map(str::to_owned),
        among: Box::new(among),
    };
    let taken = async |filter: JobFilter| {
        let taken = store.take("owner", &filter, at(9), at(99)).await.unwrap();
        taken.map(|taken| taken.job.caller.unwrap_or_default())
    };
    let rail = || JobFilter::Only(vec!["rail".to_owned()]);
    assert_eq!(taken(not_of(Some("ann"), JobFilter::Except(vec!["rail".to_owned()]))).await, None);
    assert_eq!(taken(not_of(Some("ann"), not_of(Some("bob"), rail()))).await.as_deref(), Some(""));
    assert_eq!(taken(not_of(Some("ann"), rail())).await.as_deref(), Some("bob"));
    assert_eq!(taken(not_of(Some("ann"), JobFilter::All)).await, None);
    assert_eq!(taken(not_of(None, JobFilter::All)).await.as_deref(), Some("ann"));
}

async fn only_the_apps_that_are_asked_for_are_taken(bench: Bench) {
    let store = bench.store();
    for (number, app) in [(1, "a"), (2, "b"), (3, "c")] {
        store.submit(job_of(number, app)).await.unwrap();
    }
    let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let taken =
        async |apps: JobFilter| store.take("owner", &apps, at(9), at(99)).await.unwrap().map(|taken| taken.job.app);
    assert_eq!(taken(JobFilter::Only(list(&[]))).await, None);
    assert_eq!(taken(JobFilter::Only(list(&["b", "z"]))).await.as_deref(), Some("b"));
    assert_eq!(taken(JobFilter::Only(list(&["b", "z"]))).await, None);
    assert_eq!(taken(JobFilter::Except(list(&["a", "b"]))).await.as_deref(), Some("c"));
    assert_eq!(taken(JobFilter::Except(list(&["a"]))).await, None);
    assert_eq!(taken(JobFilter::Except(list(&[]))).await.as_deref(), Some("a"));
}

async fn takers_at_once_never_get_the_same_job(bench: Bench) {
    const JOBS: u64 = 60;
    for number in 1..=JOBS {
        bench.store().submit(job(number)).await.unwrap();
    }
    let mut takers = tokio::task::JoinSet::new();
    for taker in 0..6 {
        let store = bench.store();
        takers.spawn(async move {
            let mut mine = Vec::new();
            while let Some(taken) =
                store.take(&format!("taker {taker}"), &JobFilter::All, at(100), at(9999)).await.unwrap()
            {
                assert_eq!(taken.epoch, 1);
                mine.push(taken.job.id);
            }
            mine
        });
    }
    let all = takers.join_all().await.concat();
    assert_eq!(all.len() as u64, JOBS);
    assert_eq!(all.iter().collect::<HashSet<_>>().len() as u64, JOBS);
}

async fn a_cancel_and_a_take_at_once_agree(bench: Bench) {
    for number in 1..=40 {
        bench.store().submit(job(number)).await.unwrap();
        let canceller = bench.store();
        let taker = bench.store();
        let cancelling = tokio::spawn(async move { canceller.cancel(id(number), false, at(100)).await.unwrap() });
        let taking = tokio::spawn(async move { take(&taker, 100).await });
        let cancelled = cancelling.await.unwrap();
        let taken = taking.await.unwrap();
        match taken {
            None => assert_eq!(cancelled.state, JobState::Cancelled),
            Some(taken) => {
                assert_eq!(cancelled.state, JobState::Planning);
                let told = bench.store().renew(id(number), taken.epoch, at(9000)).await.unwrap();
                assert_eq!(told.cancel, Some(CancelKind { keep_partial: false }));
            }
        }
    }
}

async fn of_two_who_end_a_job_at_once_one_does(bench: Bench) {
    for number in 1..=20 {
        bench.store().submit(job(number)).await.unwrap();
        let epoch = take(&bench.store(), 100).await.unwrap().epoch;
        let mut ending = tokio::task::JoinSet::new();
        for end in [End::Failed, End::Cancelled] {
            let store = bench.store();
            ending.spawn(async move { store.finish(id(number), epoch, ended(end, 200)).await });
        }
        let mut all = ending.join_all().await;
        all.sort_by_key(Result::is_err);
        assert_eq!(get(&bench.store(), id(number)).await, *all[0].as_ref().unwrap());
        assert_eq!(name(&all[1]), "fenced");
    }
}

async fn a_lapsed_lease_lets_another_go_on_with_the_plan(bench: Bench) {
    let store = bench.store();
    let (job, epoch) = running(&store, 3).await;
    store.accept(job, epoch, vec![done(1)]).await.unwrap();
    let until = get(&store, job).await.lease_until.unwrap();
    let next = store.take("next", &JobFilter::All, until, at(9000)).await.unwrap().unwrap();
    assert_eq!((next.job.id, next.job.state, next.epoch), (job, JobState::Running, epoch + 1));
    assert_eq!(next.job.started, Some(at(10)));
    let states: Vec<_> = rows(&store, job).await.iter().map(|row| row.state).collect();
    assert_eq!(states, [PartitionState::Pending, PartitionState::Done, PartitionState::Pending]);
    assert_eq!(store.asked(job).await.unwrap().planned.as_deref(), Some(&b"planned"[..]));
    // The job comes to its end.
    store.accept(job, next.epoch, vec![done(0), done(2)]).await.unwrap();
    store.merge(job, next.epoch).await.unwrap();
    store.finish(job, next.epoch, ended(End::Succeeded, 2000)).await.unwrap();
}

async fn a_lapsed_lease_lets_another_plan(bench: Bench) {
    let store = bench.store();
    let (job, epoch) = planning(&store).await;
    let next = take(&store, 5000).await.unwrap();
    assert_eq!((next.job.state, next.epoch), (JobState::Planning, epoch + 1));
    store.plan(job, next.epoch, plan(1)).await.unwrap();
}

async fn a_lease_that_is_renewed_does_not_lapse(bench: Bench) {
    let store = bench.store();
    let (job, epoch) = planning(&store).await;
    store.renew(job, epoch, at(5000)).await.unwrap();
    assert_eq!(get(&store, job).await.lease_until, Some(at(5000)));
    assert_eq!(take(&store, 4999).await, None);
    assert!(take(&store, 5000).await.is_some());
}

async fn what_is_given_back_keeps_its_place(bench: Bench) {
    let store = bench.store();
    let (first, epoch) = running(&store, 2).await;
    store.submit(job(2)).await.unwrap();
    store.release(first, epoch).await.unwrap();
    let back = get(&store, first).await;
    assert_eq!((back.state, back.owner, back.lease_until), (JobState::Queued, None, None));
    let again = take(&store, 20).await.unwrap();
    assert_eq!((again.job.id, again.job.state, again.epoch), (first, JobState::Running, 2));
}

/// Tries all calls of an owner: each is refused without an effect.
async fn refused(store: &Store, job: frond_jobs::JobId, epoch: u64) {
    let before = (get(store, job).await, rows(store, job).await, store.events(job, 0, 100).await.unwrap());
    assert_eq!(name(&store.renew(job, epoch, at(9000)).await), "fenced");
    assert_eq!(name(&store.wanted(job, epoch).await), "fenced");
    assert_eq!(name(&store.release(job, epoch).await), "fenced");
    assert_eq!(name(&store.plan(job, epoch, plan(3)).await), "fenced");
    assert_eq!(name(&store.accept(job, epoch, vec![done(0)]).await), "fenced");
    assert_eq!(name(&store.accept(job, epoch, Vec::new()).await), "fenced");
    assert_eq!(name(&store.merge(job, epoch).await), "fenced");
    assert_eq!(name(&store.append(job, epoch, news("{}")).await), "fenced");
    for end in End::ALL {
        assert_eq!(name(&store.finish(job, epoch, ended(end, 50)).await), "fenced");
    }
    let after = (get(store, job).await, rows(store, job).await, store.events(job, 0, 100).await.unwrap());
    assert_eq!(before, after);
}

async fn every_write_of_an_owner_that_was_given_up_is_refused(bench: Bench) {
    let store = bench.store();
    let (job, stale) = planning(&store).await;
    let next = take(&store, 5000).await.unwrap().epoch;
    refused(&store, job, stale).await;
    store.plan(job, next, plan(2)).await.unwrap();
    refused(&store, job, stale).await;
    // Nor are those of a future epoch.
    refused(&store, job, next + 1).await;
    store.merge(job, next).await.unwrap();
    refused(&store, job, stale).await;
}

async fn every_write_of_an_owner_that_is_through_is_refused(bench: Bench) {
    let store = bench.store();
    let (job, epoch) = running(&store, 2).await;
    store.release(job, epoch).await.unwrap();
    refused(&store, job, epoch).await;
    let epoch = take(&store, 20).await.unwrap().epoch;
    store.finish(job, epoch, ended(End::Failed, 30)).await.unwrap();
    refused(&store, job, epoch).await;
    store.redrive(job, at(40)).await.unwrap();
    refused(&store, job, epoch).await;
    store.cancel(job, false, at(50)).await.unwrap();
    refused(&store, job, epoch).await;
}

async fn moves_in_the_wrong_order_are_refused(bench: Bench) {
    let store = bench.store();
    let (job, epoch) = planning(&store).await;
    assert_eq!(name(&store.merge(job, epoch).await), "illegal");
    assert_eq!(name(&store.finish(job, epoch, ended(End::Succeeded, 20)).await), "illegal");
    assert_eq!(name(&store.redrive(job, at(20)).await), "illegal");
    store.plan(job, epoch, PlanRecord { version: "v2".to_owned(), ..plan(2) }).await.unwrap();
    assert_eq!(store.get(job).await.unwrap().version, "v2");
    assert_eq!(name(&store.plan(job, epoch, plan(3)).await), "illegal");
    assert_eq!(rows(&store, job).await.len(), 2);
    assert_eq!(name(&store.finish(job, epoch, ended(End::Partial, 20)).await), "illegal");
    store.merge(job, epoch).await.unwrap();
    assert_eq!(name(&store.merge(job, epoch).await), "illegal");
    assert_eq!(name(&store.plan(job, epoch, plan(3)).await), "illegal");
}

async fn an_owner_is_told_to_stop_until_it_does(bench: Bench) {
    let store = bench.store();
    let (job, epoch) = running(&store, 2).await;
    assert_eq!(store.renew(job, epoch, at(2000)).await.unwrap().cancel, None);
    let told = store.cancel(job, true, at(20)).await.unwrap();
    assert_eq!((told.state, told.cancel), (JobState::Running, Some(CancelKind { keep_partial: true })));
    for _ in 0..2 {
        let told = store.renew(job, epoch, at(2000)).await.unwrap();
        assert_eq!(told.cancel, Some(CancelKind { keep_partial: true }));
    }
    store.cancel(job, false, at(30)).await.unwrap();
    assert_eq!(store.renew(job, epoch, at(2000)).await.unwrap().cancel, Some(CancelKind { keep_partial: false }));
    let over = store.finish(job, epoch, ended(End::Cancelled, 40)).await.unwrap();
    assert_eq!((over.state, over.cancel), (JobState::Cancelled, Some(CancelKind { keep_partial: false })));
}

async fn what_others_want_of_a_job_its_owner_alone_can_read(bench: Bench) {
    let store = bench.store();
    let (job, stale) = running(&store, 2).await;
    let taken = take(&store, 5000).await.unwrap();
    let epoch = taken.epoch;
    assert_eq!(store.wanted(job, epoch).await.unwrap().cancel, None);
    for keep_partial in [true, false] {
        store.cancel(job, keep_partial, at(5010)).await.unwrap();
        for _ in 0..2 {
            assert_eq!(store.wanted(job, epoch).await.unwrap().cancel, Some(CancelKind { keep_partial }));
        }
    }
    assert_eq!(get(&store, job).await.lease_until, taken.job.lease_until, "it is read, and nothing is renewed");
    for other in [stale, epoch + 1] {
        assert_eq!(name(&store.wanted(job, other).await), "fenced");
    }
    assert_eq!(name(&store.wanted(id(9), epoch).await), "not found");
    store.finish(job, epoch, ended(End::Cancelled, 5020)).await.unwrap();
    assert_eq!(name(&store.wanted(job, epoch).await), "fenced");
}

async fn who_takes_over_knows_that_it_should_stop(bench: Bench) {
    let store = bench.store();
    let (job, epoch) = running(&store, 2).await;
    store.cancel(job, true, at(20)).await.unwrap();
    store.release(job, epoch).await.unwrap();
    let next = take(&store, 30).await.unwrap();
    assert_eq!(next.job.cancel, Some(CancelKind { keep_partial: true }));
}

async fn what_an_owner_had_is_there_after_a_restart(mut bench: Bench) {
    let (job, epoch) = running(&bench.store(), 3).await;
    bench.store().accept(job, epoch, vec![done(2)]).await.unwrap();
    bench.store().append(job, epoch, news("{\"a\":1}")).await.unwrap();
    let before = (get(&bench.store(), job).await, rows(&bench.store(), job).await);
    bench.reopen().await;
    let store = bench.store();
    assert_eq!((get(&store, job).await, rows(&store, job).await), before);
    assert_eq!(store.events(job, 0, 9).await.unwrap().events, [(1, "{\"a\":1}".to_owned())]);
    assert_eq!(store.partials(job, None, 99).await.unwrap().len(), 1);
    // The owner continues in the new process.
    store.accept(job, epoch, vec![done(0)]).await.unwrap();
}

fn news(line: &str) -> EventBatch {
    EventBatch { lines: vec![line.to_owned()], ..EventBatch::default() }
}
