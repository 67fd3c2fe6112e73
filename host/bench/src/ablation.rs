//! Ablation: the gain of each mechanism for tiny leaves, measured by turning it off.

use frond_root::call::Limits;
use frond_sandbox::FastPaths;

use crate::bench::Bench;
use crate::machine::cores;
use crate::measure::{Entrant, Series, rounds};
use crate::report::{times, us};
use crate::rig::{Merge, Rig, RigSettings};
use crate::scaling::MILLISECOND;
use crate::work::{QUERY, partitions, spans};

/// Queries of a measured run that have a single leaf.
const SINGLES: usize = 200;

const ALL: FastPaths = FastPaths { inline: true, slot_engines: true, placement: true };
/// The rigs, by what is turned off.
const VARIANTS: [(&str, FastPaths); 5] = [
    ("nothing", ALL),
    ("inline calls", FastPaths { inline: false, ..ALL }),
    ("slot engines", FastPaths { slot_engines: false, ..ALL }),
    ("placement", FastPaths { placement: false, ..ALL }),
    ("all three", FastPaths { inline: false, slot_engines: false, placement: false }),
];

pub(crate) fn run(bench: &mut Bench) -> anyhow::Result<()> {
    bench.report.section("Ablation: mechanisms for tiny leaves, each turned off in turn");
    let mut rigs = Vec::new();
    for (_, fast) in VARIANTS {
        rigs.push(Rig::with(
            &bench.guests.pi,
            cores(),
            Limits::default(),
            RigSettings { fast, ..RigSettings::default() },
        )?);
    }
    let trivial = measure(bench, &rigs, 1, 1000, 1)?;
    let long = measure(bench, &rigs, 1, 100, MILLISECOND)?;
    let single = measure(bench, &rigs, SINGLES, 1, 1)?;
    let [(base, each), (long_base, long_each), (single_base, single_each)] =
        [(&trivial, 1000), (&long, 100), (&single, SINGLES)].map(|(series, leaves)| (&series[0], leaves as f64));
    let row = |((trivial, long), single): ((&Series, &Series), &Series)| {
        vec![
            trivial.name.clone(),
            us(trivial.wall() / each),
            times(trivial.times(base)),
            us(long.wall() / long_each),
            times(long.times(long_base)),
            us(single.wall() / single_each),
            times(single.times(single_base)),
        ]
    };
    let rows: Vec<_> = trivial.iter().zip(&long).zip(&single).map(row).collect();
    let head =
        ["turned off", "trivial leaves, µs", "ratio", "leaves of 1 ms, µs", "ratio", "one leaf a query, µs", "ratio"];
    bench.report.table(&head, &rows);
    Ok(())
}

/// Measures `queries` queries of `leaves` leaves on each rig, in alternating rounds.
fn measure(
    bench: &Bench,
    rigs: &[Rig],
    queries: usize,
    leaves: usize,
    samples: u64,
) -> anyhow::Result<[Series; VARIANTS.len()]> {
    let tasks = spans(leaves, samples);
    let mut rigs = rigs.iter();
    let entrants = VARIANTS.map(|(name, _)| {
        let rig = rigs.next();
        let tasks = &tasks;
        Entrant::new(name, move || {
            let mut asked = rig.into_iter().cycle().take(queries);
            asked.try_for_each(|rig| rig.ask(&QUERY, partitions(tasks), Merge::Component).map(drop))
        })
    });
    rounds(bench.rounds(31), entrants)
}
