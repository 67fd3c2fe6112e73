//! Worlds in files, and recorded runs as worlds.
#![allow(clippy::unwrap_used, reason = "a mistake in a test stops it where it is")]

use std::path::Path;

use frond_sim::{Distribution, PiecesTable, Random, RecordedRun, World, parse, record, replayed, simulate};

#[test]
fn the_worlds_of_the_documentation_can_be_simulated() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/simulate");
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let mut world = parse(&text).unwrap_or_else(|why| panic!("{}: {why}", path.display()));
        world.arrivals.queries = world.arrivals.queries.min(200);
        let report = simulate(&world).unwrap();
        assert!(report.outcomes.complete > 0, "{}: {:?}", path.display(), report.outcomes);
        names.push(path.file_name().unwrap().to_owned());
    }
    assert_eq!(names.len(), 3);
}

#[test]
fn every_key_of_the_documentation_is_one_of_a_world() {
    let text = include_str!("../../docs/simulate.md");
    let keys = text.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let keys: Vec<&str> = keys.filter(|key| key.contains('.') && !key.contains(' ')).collect();
    assert!(keys.len() > 15);
    for key in keys {
        let (table, name) = key.split_once('.').unwrap();
        // A value of a wrong type is refused otherwise than an unknown key.
        let told = parse(&format!("[{table}]\n{name} = {{ wrong = {{}} }}\n")).unwrap_err();
        assert!(!told.contains(&format!("unknown field `{name}`")), "{key}: {told}");
    }
}

/// The world of the events of a world's first query.
fn replay_of(world: &World) -> World {
    let mut run = RecordedRun::default();
    record(world, 0).unwrap().iter().for_each(|event| run.add(event));
    replayed(&run).unwrap()
}

#[test]
fn a_recorded_run_takes_as_long_again() {
    let mut world = parse("[query]\npartitions = 30\nleaf = { exponential = 40 }\n[cluster]\nslots = 4\n").unwrap();
    for pieces in [None, Some(PiecesTable { units: 1_000_000, keep: 0 })] {
        world.query.pieces = pieces;
        let again = replay_of(&world);
        let first = simulate(&world).unwrap();
        let second = simulate(&again).unwrap();
        let difference = (first.ms.most - second.ms.most).abs();
        assert!(difference < 0.02 * first.ms.most, "{} and {}", first.ms.most, second.ms.most);
        let Distribution::List(times) = again.query.leaf else { panic!("a recorded run has a list of times") };
        assert_eq!(times.len(), 30);
        assert_eq!(again.cluster.slots, 4);
    }
}

#[test]
fn a_recorded_run_on_twice_the_slots_takes_about_half_as_long() {
    let text =
        "[query]\npartitions = 64\nleaf = { constant = 40 }\npieces = { units = 100_000 }\n[cluster]\nslots = 4\n";
    let mut again = replay_of(&parse(text).unwrap());
    let four = simulate(&again).unwrap().ms.most;
    again.set_slots(8);
    let eight = simulate(&again).unwrap().ms.most;
    assert!((eight / four - 0.5).abs() < 0.03, "{four} and {eight}");
    again.set_workers(4);
    let workers = simulate(&again).unwrap();
    assert_eq!((workers.slots, workers.outcomes.complete), (8, 1));
}

#[test]
fn a_recording_without_a_success_is_refused() {
    let problem = replayed(&RecordedRun::default()).unwrap_err();
    assert_eq!(problem.to_string(), "`recording` must have a leaf that succeeded");
}

#[test]
fn a_seed_gives_the_same_times_on_every_machine() {
    let distributions = [
        Distribution::Constant(10.0),
        Distribution::Exponential(10.0),
        Distribution::Lognormal { median: 20.0, sigma: 0.5 },
        Distribution::Pareto { least: 5.0, alpha: 1.5 },
        Distribution::Empirical(vec![3.0, 4.0, 90.0]),
        Distribution::List(vec![3.0, 4.0, 90.0]),
    ];
    let mut random = Random::of(7, &[1, 2, 3]);
    let times = distributions.map(|one| format!("{:?}", [0, 1, 2].map(|index| one.sample(index, &mut random))));
    insta::assert_snapshot!(times.join("\n"), @r"
    [10.0, 10.0, 10.0]
    [1.3416164687413001, 0.9465920834271512, 4.142497578684324]
    [16.716182884121757, 17.298055463191652, 38.095864345747]
    [21.73247193145159, 13.387278164172205, 6.634825655340871]
    [90.0, 3.0, 90.0]
    [3.0, 4.0, 90.0]
    ");
}
