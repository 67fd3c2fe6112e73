//! Warm instances: a call in an instance that has served others, against bare wasmtime's.

use frond_root::call::{InstanceMode, Limits};

use crate::bench::Bench;
use crate::floor::{Floor, Meters};
use crate::measure::{Entrant, Series, rounds};
use crate::report::{Bound, times, us};
use crate::rig::{Merge, Rig, RigSettings};
use crate::work::{QUERY, add_samples, partitions, spans};

/// Number of leaves in a query: as many as one instance serves.
const LEAVES: usize = 4000;

pub(crate) fn run(bench: &mut Bench) -> anyhow::Result<()> {
    bench.report.section("Warm instances: trivial leaves, one slot");
    let tasks = spans(LEAVES, 1);
    let floor = Floor::new(&bench.guests.pi, Meters::Both, Limits::default())?;
    let mut bare = floor.warm()?;
    let rig = |instance| {
        let settings = RigSettings { instance, ..RigSettings::default() };
        Rig::with(&bench.guests.pi, 1, Limits::default(), settings)
    };
    let fresh = rig(InstanceMode::Fresh)?;
    let warm = rig(InstanceMode::Query)?;
    let ask = |rig: &Rig| rig.ask(&QUERY, partitions(&tasks), Merge::Native(add_samples)).map(drop);
    let series = rounds(
        bench.rounds(40),
        [
            Entrant::new("floor, one instance", || tasks.iter().try_for_each(|task| bare.leaf(&QUERY, task).map(drop))),
            Entrant::new("Frond, warm", || ask(&warm)),
            Entrant::new("Frond, fresh", || ask(&fresh)),
        ],
    )?;
    let [floor, warm, _] = &series;
    let each = |seconds: f64| us(seconds / LEAVES as f64);
    let row = |one: &Series| vec![one.name.clone(), each(one.wall()), each(one.cpu()), times(one.times(floor))];
    bench.report.table(
        &["4,000 leaves", "wall µs/leaf", "CPU µs/leaf", "wall ratio"],
        &series.iter().map(row).collect::<Vec<_>>(),
    );
    let over = (warm.wall() - floor.wall()) / LEAVES as f64 * 1e6;
    bench.report.target("a warm leaf over bare wasmtime's warm call", over, "µs", Bound::AtMost(1.5));
    Ok(())
}
