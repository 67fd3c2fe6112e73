//! Tests that the tables in `examples/rail/data` agree with each other, with their README and with
//! the app's floor.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use crate::place::{exact_km, km_from_charing_cross};
use crate::service::{self, HEADER, Service};

const REGIONS: [(&str, &str); 5] = [
    ("Eastern", "data/eastern.csv"),
    ("North West & Central", "data/north-west-and-central.csv"),
    ("Wales & Western", "data/wales-and-western.csv"),
    ("Scotland", "data/scotland.csv"),
    ("Southern", "data/southern.csv"),
];

const TERMINALS: [&str; 14] =
    ["BFR", "CHX", "CST", "EUS", "FST", "KGX", "LBG", "LST", "MOG", "MYB", "PAD", "STP", "VIC", "WAT"];

fn read(file: &str) -> String {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/rail")).join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn services() -> Vec<Service> {
    REGIONS.iter().flat_map(|(_, file)| service::parse(&read(file)).unwrap()).collect()
}

/// Returns the fields of each line, without comments and the header.
fn rows<const N: usize>(table: &str) -> Vec<[&str; N]> {
    let lines = table.lines().filter(|line| !line.starts_with('#')).skip(1);
    lines.map(|line| <[&str; N]>::try_from(line.split(',').collect::<Vec<_>>()).unwrap()).collect()
}

#[test]
fn each_region_is_the_join_of_its_services_and_their_stations() {
    let stations = read("data/stations.csv");
    let direct = read("data/direct-services.csv");
    let places: BTreeMap<&str, [&str; 6]> =
        rows(&stations).into_iter().map(|station: [&str; 6]| (station[3], station)).collect();
    let comment = direct.lines().next().unwrap();
    let services: Vec<[&str; 6]> = rows(&direct);
    let mut joined = 0;
    for (region, file) in REGIONS {
        let mut lines: Vec<[&str; 8]> = Vec::new();
        for [crs, _, terminal, operator, minutes, fare] in services.iter().filter(|service| service[1] == region) {
            let [name, lat, long, ..] = places[crs];
            lines.push([name, crs, lat, long, terminal, operator, minutes, fare]);
        }
        lines.sort_by_key(|[name, crs, _, _, terminal, operator, ..]| [*name, *crs, *operator, *terminal]);
        joined += lines.len();
        let lines: String = lines.iter().map(|line| line.join(",") + "\n").collect();
        assert_eq!(read(file), format!("{comment}\n{HEADER}\n{lines}"), "{file}");
    }
    assert_eq!(joined, services.len(), "every service has one of the five regions");
}

#[test]
fn a_station_has_one_region_and_each_service_one_line() {
    let direct = read("data/direct-services.csv");
    let mut regions = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for [crs, region, terminal, operator, ..] in rows::<6>(&direct) {
        assert_eq!(*regions.entry(crs).or_insert(region), region, "{crs}");
        assert!(seen.insert((crs, terminal, operator)), "{crs} {terminal} {operator} is there twice");
        assert!(TERMINALS.contains(&terminal), "{crs} {terminal}");
    }
}

#[test]
fn fares_follow_the_formula_of_the_readme() {
    for service in services() {
        let percent = match service.operator.as_str() {
            "Lumo" | "London Northwestern Railway" => 80,
            "Grand Central" | "Hull Trains" => 90,
            "Gatwick Express" => 120,
            "Caledonian Sleeper" => 130,
            _ => 100,
        };
        let km = km_from_charing_cross(service.lat, service.long);
        let pence = ((500 + 10 * km) * percent).div_ceil(1000) * 10;
        assert_eq!(service.pence, pence, "{} by {}", service.station, service.operator);
    }
}

#[test]
fn no_station_lies_between_two_whole_kilometres() {
    for service in services() {
        let edge = (exact_km(service.lat, service.long).fract() - 0.5).abs();
        assert!(edge > 1e-6, "{} is {edge} km from the edge", service.station);
    }
}

#[test]
fn any_four_regions_meet_the_floor() {
    let toml = read("frond.toml");
    let floor: f64 = toml.lines().find_map(|line| line.strip_prefix("floor = ")).unwrap().parse().unwrap();
    let sizes = REGIONS.map(|(_, file)| read(file).len() as f64);
    let whole: f64 = sizes.iter().sum();
    for ((region, _), size) in REGIONS.iter().zip(sizes) {
        assert!((whole - size) / whole >= floor, "without {region} the floor is not met");
    }
}
