//! Search for a smaller world that breaks an invariant.

use frond_sim::{ArrivalsTable, Distribution, FaultsTable, QueryTable, SlowTable, World};

use crate::breach;

/// Worlds that are smaller in one way each.
fn smaller(world: &World) -> Vec<World> {
    let query = |query: QueryTable| World { query, ..world.clone() };
    let arrivals = |arrivals: ArrivalsTable| World { arrivals, ..world.clone() };
    let faults = |faults: FaultsTable| World { faults, ..world.clone() };
    let mut worlds = vec![
        arrivals(ArrivalsTable { queries: world.arrivals.queries.div_ceil(2), ..world.arrivals.clone() }),
        arrivals(ArrivalsTable { queries: (world.arrivals.queries - 1).max(1), ..world.arrivals.clone() }),
        arrivals(ArrivalsTable { tenants: 1, ..world.arrivals.clone() }),
        arrivals(ArrivalsTable { background: 0.0, ..world.arrivals.clone() }),
        arrivals(ArrivalsTable { rate: None, ..world.arrivals.clone() }),
        arrivals(ArrivalsTable { most_running: None, ..world.arrivals.clone() }),
        query(QueryTable { partitions: world.query.partitions.div_ceil(2), required: 0, ..world.query.clone() }),
        query(QueryTable { partitions: (world.query.partitions - 1).max(1), required: 0, ..world.query.clone() }),
        query(QueryTable { pieces: None, ..world.query.clone() }),
        query(QueryTable { leaf: Distribution::Constant(10.0), ..world.query.clone() }),
        query(QueryTable { slow: SlowTable::default(), ..world.query.clone() }),
        query(QueryTable { overhead_ms: 0.0, ..world.query.clone() }),
        query(QueryTable { merge_ms: 0.0, ..world.query.clone() }),
        query(QueryTable { leaf_time_ms: None, ..world.query.clone() }),
        query(QueryTable { copies: false, ..world.query.clone() }),
        faults(FaultsTable { loss: 0.0, ..world.faults }),
        faults(FaultsTable { hang: 0.0, ..world.faults }),
        faults(FaultsTable { trap: 0.0, ..world.faults }),
        faults(FaultsTable { unavailable: 0.0, ..world.faults }),
    ];
    let mut fewer = world.clone();
    fewer.cluster.workers.pop();
    worlds.push(fewer);
    let mut calm = world.clone();
    calm.cluster.workers.iter_mut().for_each(|worker| worker.stops.clear());
    worlds.push(calm);
    let mut spared = world.clone();
    spared.cluster.workers.iter_mut().for_each(|worker| worker.killed_ms = None);
    worlds.push(spared);
    let mut even = world.clone();
    even.cluster.speeds.clear();
    worlds.push(even);
    worlds.retain(|smaller| smaller != world);
    worlds
}

/// The smallest world that is found, with its breach.
pub(crate) fn smallest(mut world: World, mut why: String) -> (World, String) {
    while let Some((smaller, its_why)) =
        smaller(&world).into_iter().find_map(|smaller| Some((smaller.clone(), breach(&smaller).err()?)))
    {
        world = smaller;
        why = its_why;
    }
    (world, why)
}
