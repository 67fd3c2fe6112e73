//! Tests of copies of slow attempts: they make queries with stragglers faster, are bounded, and
//! change no answer.

mod answers;
mod parts;

use std::sync::Arc;
use std::time::Duration;

use frond_root::policy::hedge::{CopyHistory, MAX_SAVED};
use frond_root::{Answer, CancellationToken, CopySettings, Events, Request, Services, flow};
use frond_testkit::{Leaves, Merges, Script, Turn, plan, request};
use serde_json::Value;
use tokio::time::Instant;

/// Median time of a leaf.
const MEDIAN: Duration = Duration::from_secs(1);

/// Pseudo-random numbers (SplitMix64).
#[derive(Clone, Copy)]
struct Draws(u64);

impl Draws {
    /// Numbers of their own for one attempt of a query.
    fn of(query: u64, partition: u32, attempt: u32) -> Self {
        Self((query << 32 | u64::from(partition)) << 8 | u64::from(attempt))
    }

    /// Number above 0 and at most 1.
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (((mixed ^ (mixed >> 31)) >> 11) + 1) as f64 / (1_u64 << 53) as f64
    }

    /// Time of an attempt: lognormal, and now and then many times as long.
    fn time(&mut self, times: &Times) -> Duration {
        // The first numbers of neighbouring seeds are alike.
        self.next();
        let normal = (-2.0 * self.next().ln()).sqrt() * (std::f64::consts::TAU * self.next()).cos();
        let slow = if self.next() <= times.slow_share { times.slow_times } else { 1.0 };
        MEDIAN.mul_f64((times.sigma * normal).exp() * slow)
    }
}

/// Distribution of a leaf's times.
#[derive(Clone, Copy)]
struct Times {
    sigma: f64,
    slow_share: f64,
    slow_times: f64,
}

impl Times {
    fn measured() -> Self {
        let data = data();
        let number = |name: &str| data[name].as_f64().unwrap();
        Self { sigma: number("sigma"), slow_share: number("slow_share"), slow_times: number("slow_times") }
    }
}

fn data() -> Value {
    serde_json::from_str(include_str!("data/copies.json")).unwrap()
}

fn with_copies() -> Request {
    Request { deadline: Duration::from_secs(1000), copies: CopySettings::ON, ..request() }
}

/// Answer of a query of `partitions` on 128 slots, without events.
async fn answer(script: Script, partitions: usize, request: Request) -> Answer {
    let services = Services {
        runner: Arc::new(Leaves::new(script, 128)),
        merger: Arc::new(Merges::sorted()),
        events: Events::default(),
        journal: None,
        memory: None,
    };
    flow::run(request, async { Ok(plan(partitions)) }, services, CancellationToken::new()).await.unwrap()
}

/// Median and 99th percentile of a query's time in medians of a leaf, and the share of copies.
async fn measured(copies: CopySettings, queries: u64) -> (f64, f64, f64) {
    let partitions = data()["partitions"].as_u64().unwrap() as usize;
    let leaf = Times::measured();
    let mut times = Vec::new();
    let mut hedges = 0;
    for query in 0..queries {
        let time = move |partition, attempt| Draws::of(query, partition, attempt).time(&leaf);
        let script = Script::by(move |partition, attempt| Turn::succeed().after(time(partition, attempt)));
        let start = Instant::now();
        let answer = answer(script, partitions, Request { copies: copies.clone(), ..with_copies() }).await;
        times.push(start.elapsed().as_secs_f64() / MEDIAN.as_secs_f64());
        assert!(answer.coverage().complete);
        hedges += answer.coverage().attempts.hedges;
    }
    times.sort_by(f64::total_cmp);
    let quantile = |share: f64| times[(times.len() as f64 * share) as usize];
    (quantile(0.5), quantile(0.99), hedges as f64 / (queries * partitions as u64) as f64)
}

fn check(name: &str, found: (f64, f64, f64)) {
    let data = data();
    for (key, found) in [("p50", found.0), ("p99", found.1), ("extra", found.2)] {
        let bounds = &data[name][key];
        let within = bounds[0].as_f64().unwrap()..=bounds[1].as_f64().unwrap();
        assert!(within.contains(&found), "{name}: {key} is {found}, not within {within:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_copies_a_query_waits_for_its_slowest_leaf() {
    check("none", measured(CopySettings::OFF, 2_000).await);
}

#[tokio::test(start_paused = true)]
async fn copies_shorten_the_tail_at_few_more_attempts() {
    let history = Some(Arc::new(CopyHistory::default()));
    check("copies", measured(CopySettings { history, ..CopySettings::ON }, 2_000).await);
}

#[tokio::test(start_paused = true)]
async fn when_all_leaves_are_slow_few_are_copied() {
    const PARTITIONS: u32 = 40;
    let history = Arc::new(CopyHistory::default());
    let leaf = Times::measured();
    let mut started = [0, 0];
    let mut hedges = [0, 0];
    for query in 0..60 {
        let is_slow = query >= 30;
        let times = if is_slow { 10.0 } else { 1.0 };
        let time = move |partition, attempt| Draws::of(query, partition, attempt).time(&leaf).mul_f64(times);
        let script = Script::by(move |partition, attempt| Turn::succeed().after(time(partition, attempt)));
        let copies = CopySettings { history: Some(history.clone()), ..CopySettings::ON };
        let answer = answer(script, PARTITIONS as usize, Request { copies, ..with_copies() }).await;
        let attempts = answer.coverage().attempts;
        started[usize::from(is_slow)] += attempts.started - attempts.hedges;
        hedges[usize::from(is_slow)] += attempts.hedges;
    }
    assert!(history.times().unwrap().p95 > 2 * MEDIAN, "the app's times have followed");
    assert!(hedges[0] > 0 && hedges[0] * 20 <= started[0], "{hedges:?} of {started:?}");
    assert!(hedges[1] <= started[1] / 20 + MAX_SAVED, "{hedges:?} of {started:?}");
}
