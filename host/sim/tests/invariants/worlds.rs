//! Random worlds.

use frond_root::Floor;
use frond_sim::{
    ArrivalsTable, ClusterTable, Distribution, FaultsTable, PiecesTable, QueryTable, Random, SlowTable, StopTable,
    Weight, WorkerTable, World,
};

/// Makes the world of a seed.
pub(crate) fn world_of(seed: u64) -> World {
    let mut random = Random::of(seed, &[0xf04d]);
    let cluster = cluster(&mut random);
    World {
        seed,
        query: query(&mut random),
        cluster,
        arrivals: arrivals(&mut random),
        faults: if random.chance(0.4) { FaultsTable::default() } else { faults(&mut random) },
    }
}

/// A number of a log-uniform distribution.
fn between(random: &mut Random, least: f64, most: f64) -> f64 {
    least * (most / least).powf(random.unit())
}

fn leaf(random: &mut Random) -> Distribution {
    let mean = between(random, 0.05, 60.0);
    match random.within(0, 6) {
        0 => Distribution::Constant(mean),
        1 => Distribution::Exponential(mean),
        2 => Distribution::Lognormal { median: mean, sigma: random.unit() * 1.5 },
        3 => Distribution::Pareto { least: mean / 3.0, alpha: 1.1 + random.unit() },
        4 => Distribution::Empirical((0..5).map(|_| between(random, 0.1, 100.0)).collect()),
        _ => Distribution::List((0..7).map(|_| between(random, 0.1, 50.0)).collect()),
    }
}

fn query(random: &mut Random) -> QueryTable {
    let partitions = between(random, 1.0, 40.0) as u32;
    let units = between(random, 1.0, 1e7) as u64;
    let keep = random.within(0, 20) as u32;
    let floor = match random.within(0, 3) {
        0 => Floor::All,
        1 => Floor::AtLeast(0.05 + 0.95 * random.unit()),
        _ => Floor::BestEffort,
    };
    QueryTable {
        partitions,
        leaf: leaf(random),
        slow: SlowTable { share: if random.chance(0.5) { 0.0 } else { random.unit() * 0.2 }, times: 10.0 },
        pieces: random.chance(0.5).then_some(PiecesTable { units, keep }),
        overhead_ms: if random.chance(0.5) { 0.0 } else { between(random, 0.01, 5.0) },
        merge_ms: if random.chance(0.7) { 0.0 } else { between(random, 0.01, 5.0) },
        weight: if random.chance(0.3) { Weight::Time } else { Weight::Equal },
        deadline_ms: between(random, 20.0, 9000.0),
        floor,
        required: if random.chance(0.2) { random.within(0, 3).min(u64::from(partitions)) as u32 } else { 0 },
        attempts: random.within(1, 5) as u32,
        leaf_time_ms: random.chance(0.2).then(|| between(random, 2.0, 500.0)),
        copies: random.chance(0.7),
    }
}

fn cluster(random: &mut Random) -> ClusterTable {
    let slots = between(random, 1.0, 12.0) as u32;
    let speeds: Vec<f64> = if random.chance(0.5) {
        Vec::new()
    } else {
        (0..random.within(0, u64::from(slots) + 1)).map(|_| between(random, 0.2, 4.0)).collect()
    };
    let count = if random.chance(0.5) { 0 } else { random.within(1, 6) };
    let workers = (0..count).map(|_| worker(random)).collect();
    let round_trip_ms = if random.chance(0.2) { 0.0 } else { between(random, 0.05, 40.0) };
    ClusterTable { slots, speeds, workers, round_trip_ms }
}

fn worker(random: &mut Random) -> WorkerTable {
    let count = if random.chance(0.7) { 0 } else { random.within(1, 4) };
    let mut at = 0.0;
    let mut stops = Vec::new();
    for _ in 0..count {
        let at_ms = at + between(random, 1.0, 500.0);
        let for_ms = between(random, 1.0, 300.0);
        at = at_ms + for_ms;
        stops.push(StopTable { at_ms, for_ms });
    }
    WorkerTable {
        slots: random.within(1, 5) as u32,
        speed: if random.chance(0.5) { 1.0 } else { between(random, 0.2, 4.0) },
        stops,
        killed_ms: random.chance(0.25).then(|| between(random, 1.0, 2000.0)),
    }
}

fn arrivals(random: &mut Random) -> ArrivalsTable {
    ArrivalsTable {
        queries: random.within(1, 30),
        rate: random.chance(0.5).then(|| between(random, 1.0, 200.0)),
        tenants: random.within(1, 5) as u32,
        background: if random.chance(0.6) { 0.0 } else { random.unit() },
        most_running: random.chance(0.2).then(|| random.within(1, 9) as u32),
    }
}

fn faults(random: &mut Random) -> FaultsTable {
    let mut share = || if random.chance(0.5) { 0.0 } else { between(random, 0.001, 0.2) };
    FaultsTable { loss: share(), hang: share(), trap: share(), unavailable: share() }
}
