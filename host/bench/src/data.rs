//! Cost of passing a partition's data to a leaf: as a list, or pulled in pieces of 1 MiB.

use bytes::Bytes;
use frond_root::Partition;
use frond_root::call::Limits;

use crate::bench::Bench;
use crate::floor::{Floor, Meters, Task};
use crate::measure::{Entrant, Series, rounds};
use crate::report::{Bound, figure, times, us};
use crate::rig::{Merge, Rig};
use crate::work::{QUERY, keep_first, partitions};

const MIB: usize = 1 << 20;

pub(crate) fn run(bench: &mut Bench) -> anyhow::Result<()> {
    bench.report.section("Data: into a leaf, one slot");
    let mut rows = Vec::new();
    let list = bench.guests.intake_list.clone();
    let pull = bench.guests.intake_pull.clone();
    for (size, wanted) in [(1, Some(5.0)), (16, None), (64, None)] {
        measure(bench, "list", &list, size, wanted, &mut rows)?;
    }
    for (size, wanted) in [(1, Some(8.0)), (64, Some(8.0))] {
        measure(bench, "pulled", &pull, size, wanted, &mut rows)?;
    }
    let head = ["way", "µs/leaf", "GB/s", "bare wasmtime GB/s", "memcpy GB/s", "over bare"];
    bench.report.table(&head, &rows);
    Ok(())
}

fn limits() -> Limits {
    Limits { memory: 256 << 20, partition: 128 << 20, ..Limits::default() }
}

fn measure(
    bench: &mut Bench,
    way: &str,
    component: &[u8],
    mib: usize,
    wanted: Option<f64>,
    rows: &mut Vec<Vec<String>>,
) -> anyhow::Result<()> {
    let size = mib * MIB;
    let count = (if bench.quick { 64 } else { 512 } / mib).max(2);
    let data = Bytes::from(vec![7; size]);
    let task = |index: u32| Task { key: format!("{index}"), index, data: data.clone() };
    let tasks: Vec<Task> = (0_u32..).take(count).map(task).collect();
    let floor = Floor::new(component, Meters::Both, limits())?;
    let rig = Rig::new(component, 1, limits())?;
    let plan = || -> Vec<Partition> { partitions(&tasks) };
    let mut copy = vec![0_u8; size];
    let series = rounds(
        bench.rounds(11),
        [
            Entrant::new("Frond", || rig.ask(&QUERY, plan(), Merge::Native(keep_first)).map(drop)),
            Entrant::new("bare", || tasks.iter().try_for_each(|task| floor.leaf(&QUERY, task).map(drop))),
            Entrant::new("memcpy", || {
                for task in &tasks {
                    copy.copy_from_slice(&task.data);
                    std::hint::black_box(&mut copy);
                }
                Ok(())
            }),
        ],
    )?;
    let [frond, bare, memcpy] = &series;
    let speed = |one: &Series| (size * count) as f64 / one.wall() / 1e9;
    rows.push(vec![
        format!("{way}, {mib} MiB"),
        us(frond.wall() / count as f64),
        figure(speed(frond)),
        figure(speed(bare)),
        figure(speed(memcpy)),
        times(frond.times(bare)),
    ]);
    if let Some(wanted) = wanted {
        bench.report.target(format!("{way}, {mib} MiB"), speed(frond), "GB/s", Bound::AtLeast(wanted));
    }
    Ok(())
}
