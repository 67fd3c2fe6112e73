//! Fair shares of the slot threads, simulated: tenants with leaves of any duration, on any number
//! of threads.

use proptest::prelude::*;

use super::*;

const MS: Duration = Duration::from_millis(1);

/// Returns the tenant of a text such as `caller/app`; without a slash, the app is the caller.
fn named(text: &str) -> Name {
    match text.split_once('/') {
        Some((caller, app)) => Name { caller: Arc::from(caller), app: Arc::from(app) },
        None => Name::of_app(text),
    }
}

/// Simulation: queue, clock, and for each thread the tenant and duration of its running leaf and
/// the leaf's end.
struct Rig {
    tenants: Tenants<(&'static str, Duration)>,
    now: Instant,
    threads: Vec<Option<(&'static str, Duration, Instant)>>,
}

impl Rig {
    fn new(threads: usize) -> Self {
        Self { tenants: Tenants::new(threads), now: Instant::now(), threads: vec![None; threads] }
    }

    /// Adds a query with an endless supply of leaves, each of duration `leaf`.
    fn ask(&mut self, tenant: &'static str, leaf: Duration) {
        self.tenants.push(&named(tenant), (tenant, leaf), self.now);
    }

    /// Claims a leaf for each free thread.
    fn fill(&mut self) {
        for at in 0..self.threads.len() {
            if self.threads[at].is_none() {
                let claimed = self.tenants.claim(self.now, |query| Some(*query));
                self.threads[at] = claimed.map(|(tenant, leaf)| (tenant, leaf, self.now + leaf));
            }
        }
    }

    /// Simulates `time`, leaf after leaf, and returns the leaf time of each tenant.
    fn run(&mut self, time: Duration) -> std::collections::BTreeMap<&'static str, Duration> {
        let end = self.now + time;
        let mut leaf_times = std::collections::BTreeMap::new();
        loop {
            self.fill();
            let next = self.threads.iter().flatten().map(|leaf| leaf.2).min();
            let Some(next) = next.filter(|next| *next <= end) else {
                self.now = end;
                return leaf_times;
            };
            self.now = next;
            for thread in &mut self.threads {
                if let Some((tenant, leaf, _)) = thread.take_if(|leaf| leaf.2 == next) {
                    *leaf_times.entry(tenant).or_insert(Duration::ZERO) += leaf;
                    self.tenants.ended(&named(tenant), leaf, leaf, next);
                }
            }
        }
    }
}

#[test]
fn a_tenant_with_many_queries_has_no_more_than_one_with_few() {
    let mut rig = Rig::new(2);
    (0..60).for_each(|_| rig.ask("crowd", MS));
    rig.ask("quiet", MS);
    let leaf_times = rig.run(1000 * MS);
    assert_eq!((leaf_times["crowd"], leaf_times["quiet"]), (1000 * MS, 1000 * MS));
}

#[test]
fn three_tenants_on_two_threads_share_the_time_whatever_their_leaves_last() {
    let mut rig = Rig::new(2);
    rig.ask("a", MS);
    rig.ask("b", 10 * MS);
    rig.ask("c", 3 * MS);
    let leaf_times = rig.run(6000 * MS);
    for time in leaf_times.values() {
        assert!((3900..=4100).contains(&time.as_millis()), "{leaf_times:?}");
    }
}

#[test]
fn a_tenant_with_long_leaves_is_not_kept_out_by_those_with_brief_ones() {
    let mut rig = Rig::new(2);
    (0..60).for_each(|_| rig.ask("brief", MS));
    rig.run(10 * MS);
    rig.ask("long", 1000 * MS);
    let leaf_times = rig.run(10_000 * MS);
    assert!(leaf_times["long"] >= 9000 * MS, "{leaf_times:?}");
    assert!(leaf_times["brief"] >= 9000 * MS, "{leaf_times:?}");
}

#[test]
fn a_tenant_that_comes_is_served_at_once_beside_long_leaves() {
    let mut rig = Rig::new(3);
    rig.ask("known", MS);
    rig.run(MS);
    rig.ask("long", 1000 * MS);
    rig.run(1500 * MS);
    rig.ask("new", 2 * MS);
    let leaf_times = rig.run(100 * MS);
    assert!(leaf_times["new"] > 90 * MS, "{leaf_times:?}");
}

#[test]
fn long_leaves_leave_a_thread_to_others_that_ask() {
    let mut rig = Rig::new(2);
    rig.ask("quiet", MS);
    rig.run(10 * MS);
    rig.tenants.remove(|query| query.0 == "quiet");
    rig.run(10 * MS);
    (0..60).for_each(|_| rig.ask("spins", 10_000 * MS));
    rig.run(100 * MS);
    assert_eq!(rig.threads.iter().flatten().count(), 1);
    rig.ask("quiet", MS);
    let leaf_times = rig.run(5 * MS);
    assert_eq!(leaf_times["quiet"], 5 * MS);
}

#[test]
fn a_tenant_alone_has_all_threads_however_long_its_leaves_are() {
    let mut rig = Rig::new(4);
    rig.ask("spins", 10_000 * MS);
    rig.run(MS);
    assert_eq!(rig.threads.iter().flatten().count(), 4);
}

#[test]
fn a_tenant_without_queries_for_a_minute_has_nothing_reserved() {
    let mut rig = Rig::new(2);
    rig.ask("quiet", MS);
    rig.run(10 * MS);
    rig.tenants.remove(|_| true);
    rig.run(10 * MS);
    rig.now += LATELY;
    rig.ask("spins", 10_000 * MS);
    rig.run(MS);
    assert_eq!(rig.threads.iter().flatten().count(), 2);
}

#[test]
fn a_tenant_is_brief_again_a_minute_after_its_last_long_leaf() {
    let mut rig = Rig::new(2);
    rig.ask("other", MS);
    rig.run(MS);
    rig.ask("mixed", MS);
    rig.run(10 * MS);
    let now = rig.now;
    let name = named("mixed");
    let brief = |rig: &Rig, now| rig.tenants.tenants().any(|one| one.app == name.app && one.is_brief(now));
    assert!(brief(&rig, now));
    rig.tenants.ended(&name, 2 * LONG, 2 * LONG, now);
    assert!(!brief(&rig, now + LATELY - MS));
    assert!(brief(&rig, now + LATELY));
}

#[test]
fn a_caller_with_many_apps_has_no_more_than_one_with_one() {
    let mut rig = Rig::new(2);
    for app in ["crowd/a", "crowd/b", "crowd/c", "crowd/d"] {
        rig.ask(app, MS);
    }
    rig.ask("quiet/a", MS);
    let leaf_times = rig.run(1000 * MS);
    assert_eq!(leaf_times["quiet/a"], 1000 * MS);
    for app in ["crowd/a", "crowd/b", "crowd/c", "crowd/d"] {
        assert!((240..=260).contains(&leaf_times[app].as_millis()), "{leaf_times:?}");
    }
}

#[test]
fn new_apps_of_one_caller_do_not_take_every_thread() {
    let mut rig = Rig::new(2);
    rig.ask("quiet/a", MS);
    rig.run(10 * MS);
    rig.tenants.remove(|_| true);
    rig.run(10 * MS);
    for app in ["crowd/a", "crowd/b", "crowd/c"] {
        rig.ask(app, 10_000 * MS);
    }
    rig.run(100 * MS);
    assert_eq!(rig.threads.iter().flatten().count(), 1);
    rig.ask("quiet/a", MS);
    assert_eq!(rig.run(5 * MS)["quiet/a"], 5 * MS);
}

#[test]
fn tenants_that_are_gone_are_forgotten() {
    let mut tenants: Tenants<u32> = Tenants::new(2);
    let start = Instant::now();
    for number in 0..1000_u32 {
        let now = start + LATELY * number;
        tenants.push(&named(&number.to_string()), number, now);
        tenants.remove(|_| true);
    }
    assert_eq!(tenants.all.len(), 1);
}

proptest! {
    /// Work conservation: a thread idles only if it is the reserved one.
    #[test]
    fn no_more_than_one_thread_idles(
        asks in proptest::collection::vec((0..4_usize, 1..1000_u64), 1..30),
        threads in 1..6_usize,
    ) {
        let mut rig = Rig::new(threads);
        for (tenant, leaf) in asks {
            rig.ask(["a", "b", "c", "d"][tenant], Duration::from_millis(leaf));
            rig.run(50 * MS);
            prop_assert!(rig.threads.iter().flatten().count() + usize::from(threads > 1) >= threads);
        }
    }
}
