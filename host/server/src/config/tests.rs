//! Settings files: errors, printing, and reloads.

use std::collections::BTreeMap;
use std::time::Duration;

use frond_testkit::limits::{self as listed, LISTED, Listed, number};
use proptest::prelude::*;

use super::*;

/// Settings in which every key is set, none to its default.
fn full() -> Config {
    toml::from_str(FULL).unwrap()
}

const FULL: &str = r#"
listen = "127.0.0.2:1"
insecure = true
slots = 3
waiting = 31
waiting-memory = "32KiB"
leaves-step-back = false
state = "/state"
watch = false
cors = ["https://page.example"]
traces = "http://127.0.0.1:4318"

[limits]
query = "1KiB"
component = "2KiB"
load = "3s"
headers = "9KiB"
connections = 4
peer-connections = 3
idle-time = "22s"
bodies = "23KiB"
memory = "24KiB"
partitions = 25
queries = 5
deadline = "6s"
header-time = "7s"
body-time = "8s"
read-time = "9s"
recent = 10
recent-memory = "11KiB"
drain = "12s"

[jobs]
role = "dispatcher"
store = "elsewhere"
password-file = "/password"
store-wait = "14s"
at-once = 15
waiting = 16
lease = "17s"
timeout = "18s"
retention = "19s"
quota = "20KiB"
token-quota = "24KiB"
token-jobs = 25
lives = 21

[workers]
local = false
local-slots = 0
processes = 28
spare-processes = 29
nats = "nats://127.0.0.1:4222"
pool = "big"
user = "root-a"
password-file = "/nats-password"
credentials = "/root.creds"
ca = "/nats.pem"

[[token]]
name = "one"
role = "admin"
sha256 = "0000000000000000000000000000000000000000000000000000000000000000"
concurrency = 13
rate = 14
job-quota = "26KiB"
jobs = 27

[tls]
certificate = "/certificate.pem"
key = "/key.pem"

[log]
format = "json"
level = "debug"
"#;

/// Every key with its value; keys of nested tables as `outer.inner`.
fn keys(config: &Config) -> BTreeMap<String, toml::Value> {
    fn walk(prefix: &str, value: toml::Value, all: &mut BTreeMap<String, toml::Value>) {
        match value {
            toml::Value::Table(table) if prefix != "tls" && prefix != "log" => {
                for (key, value) in table {
                    let key = if prefix.is_empty() { key } else { format!("{prefix}.{key}") };
                    walk(&key, value, all);
                }
            }
            value => drop(all.insert(prefix.to_owned(), value)),
        }
    }
    let mut all = BTreeMap::new();
    walk("", toml::Value::try_from(config).unwrap(), &mut all);
    all
}

/// The error message for a text.
#[track_caller]
fn wrong(text: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("server.toml");
    std::fs::write(&path, text).unwrap();
    let error = Config::read(&path).expect_err("it is wrong").to_string();
    error.strip_prefix(&format!("{}: ", path.display())).expect("the file is named").to_owned()
}

/// The error of settings that contradict each other.
#[track_caller]
fn refused(change: impl Fn(&mut Config)) -> String {
    let mut config = full();
    config.check().unwrap();
    change(&mut config);
    config.check().expect_err("it is refused").to_string()
}

#[test]
fn an_empty_file_is_the_defaults() {
    assert_eq!(toml::from_str::<Config>("").unwrap(), Config::default());
    assert_eq!(toml::from_str::<Config>("[limits]\n[log]\n").unwrap(), Config::default());
    Config::default().check().unwrap();
}

#[test]
fn no_key_of_these_tests_has_its_default() {
    let full = keys(&full());
    let default = keys(&Config::default());
    for (key, value) in &full {
        assert_ne!(default.get(key), Some(value), "{key}");
    }
    let missing: Vec<_> = default.keys().filter(|key| !full.contains_key(*key)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn an_unknown_key_is_named_with_its_line_and_those_that_there_are() {
    for (table, known) in
        [("", "`leaves-step-back`"), ("limits", "`header-time`"), ("log", "`level`"), ("tls", "`key`")]
    {
        let head = if table.is_empty() { String::new() } else { format!("[{table}]\n") };
        let told = wrong(&format!("{head}surprise = 1\n"));
        let line = if table.is_empty() { "line 1" } else { "line 2" };
        for part in [line, "unknown field `surprise`", known] {
            assert!(told.contains(part), "{table}: {told}");
        }
    }
    let told = wrong("[[token]]\nname = \"one\"\nrole = \"query\"\nsha265 = \"\"\n");
    assert!(told.contains("line 4") && told.contains("unknown field `sha265`") && told.contains("`sha256`"), "{told}");
}

#[test]
fn a_key_that_is_given_twice_is_an_error() {
    assert!(wrong("slots = 1\nslots = 2\n").contains("line 2"));
}

#[test]
fn a_value_of_the_wrong_kind_is_told_with_its_line() {
    let lines: Vec<_> = FULL.lines().collect();
    let mut tried = 0;
    for (at, line) in lines.iter().enumerate() {
        let Some((key, _)) = line.split_once(" = ") else { continue };
        for other in ["1979-05-27", "{}", "-1", "[[[]]]", "1.5", "nan"] {
            let changed = format!("{key} = {other}");
            let mut lines = lines.clone();
            lines[at] = &changed;
            let told = wrong(&lines.join("\n"));
            assert!(told.contains(&format!("line {}", at + 1)) && told.contains(&changed), "{changed}: {told}");
            tried += 1;
        }
    }
    assert_eq!(tried, 6 * FULL.matches(" = ").count());
}

#[test]
fn a_value_that_is_none_is_told_what_one_looks_like() {
    for (text, hint) in [
        ("listen = \"localhost\"", "invalid socket address"),
        ("limits.query = \"64M\"", "the units are B, KB"),
        ("limits.query = \"lots\"", "write a number of bytes"),
        ("limits.query = true", "expected a size such as \"64MiB\""),
        ("limits.drain = \"30\"", "write a number with a unit"),
        ("limits.drain = 30", "expected a duration such as"),
        ("limits.drain = \"2 weeks\"", "the units are ns, us, ms"),
        ("limits.deadline = \"400d\"", "more than a year"),
        ("log.level = \"loud\"", "expected one of `error`, `warn`, `info`, `debug`"),
        ("log.format = \"xml\"", "expected `text` or `json`"),
        ("[[token]]\nname = \"one\"\nrole = \"root\"\nsha256 = \"\"", "expected one of `query`, `observer`, `admin`"),
        ("[[token]]\nname = \"one\"\nrole = \"query\"", "missing field `sha256`"),
        ("[tls]\nkey = \"key.pem\"", "missing field `certificate`"),
    ] {
        let told = wrong(text);
        assert!(told.contains(hint), "{text}: {told}");
    }
}

#[test]
fn sizes_may_be_bare_numbers() {
    let config: Config = toml::from_str("[limits]\nquery = 0\nrecent-memory = 1_000\n").unwrap();
    assert_eq!((config.limits.query, config.limits.recent_memory), (Size(0), Size(1000)));
}

#[test]
fn a_file_that_cannot_be_read_is_told_as_such() {
    let folder = tempfile::tempdir().unwrap();
    let none = folder.path().join("none.toml");
    let error = Config::read(&none).unwrap_err();
    assert_eq!(error.to_string(), format!("cannot read `{}`", none.display()));
    assert!(std::error::Error::source(&error).is_some());
    let latin = folder.path().join("latin.toml");
    std::fs::write(&latin, b"state = \"caf\xe9\"\n").unwrap();
    assert!(matches!(Config::read(&latin), Err(ConfigError::Unreadable { .. })));
    assert!(matches!(Config::read(folder.path()), Err(ConfigError::Unreadable { .. })));
}

#[test]
fn paths_are_relative_to_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("server.toml");
    std::fs::write(&path, "state = \"state\"\n[tls]\ncertificate = \"/abs/c.pem\"\nkey = \"../k.pem\"\n").unwrap();
    let config = Config::read(&path).unwrap();
    let tls = Tls { certificate: "/abs/c.pem".into(), key: folder.path().join("../k.pem") };
    assert_eq!((config.state, config.tls), (Some(folder.path().join("state")), Some(tls)));
}

#[test]
fn a_line_with_a_token_in_it_is_not_shown() {
    let (token, _) = fresh_token("one", Role::Query);
    for text in [
        format!("token = \"{token}\""),
        format!("[[token]]\ntoken = \"{token}\""),
        format!("[[token]]\nname = \"one\"\nrole = \"{token}\""),
        format!("{token} = 1"),
        token.clone(),
    ] {
        let told = wrong(&text);
        assert!(!told.contains(&token[6..]) && told.contains("frond_…"), "{told}");
    }
    let told = refused(|config| config.tokens[0].sha256.clone_from(&token));
    assert!(!told.contains(&token[6..]) && told.contains("`one`"), "{told}");
}

#[test]
fn a_server_that_others_reach_has_tokens_or_is_told_to_do_without() {
    let reachable = ["0.0.0.0:1", "[::]:1", "10.0.0.1:1", "[2001:db8::1]:1"];
    for listen in reachable {
        let listen: SocketAddr = listen.parse().unwrap();
        let with = |tokens: &[Token], insecure| {
            Config { listen, insecure, tokens: tokens.to_vec(), ..Config::default() }.check().is_ok()
        };
        let tokens = full().tokens;
        assert!(!with(&[], false) && with(&tokens, false) && with(&[], true), "{listen}");
    }
    for listen in ["127.0.0.1:1", "127.9.9.9:1", "[::1]:1"] {
        Config { listen: listen.parse().unwrap(), ..Config::default() }.check().unwrap();
    }
}

#[test]
fn what_would_serve_nothing_is_refused_by_name() {
    assert!(refused(|config| config.slots = 0).contains("slots is 0"));
    assert!(refused(|config| config.limits.connections = 0).contains("limits.connections is 0"));
    assert!(refused(|config| config.limits.queries = 0).contains("limits.queries is 0"));
    assert!(refused(|config| config.limits.recent = 0).contains("limits.recent is 0"));
    assert!(refused(|config| config.limits.query = Size(0)).contains("limits.query is 0"));
    assert!(refused(|config| config.limits.deadline = Time(Duration::ZERO)).contains("limits.deadline is 0"));
    assert!(refused(|config| config.slots = 1025).contains("slots is more than 1024"));
    assert!(refused(|config| config.jobs.at_once = 0).contains("jobs.at-once must be more than 0"));
    assert!(refused(|config| config.jobs.lives = 0).contains("jobs.lives must be more than 0"));
    assert!(refused(|config| config.jobs.timeout = Time(Duration::ZERO)).contains("jobs.timeout must be more than 0"));
    assert!(
        refused(|config| config.jobs.lease = Time(Duration::from_millis(999))).contains("jobs.lease must be at least")
    );
    assert!(refused(|config| config.limits.headers = Size(8191)).contains("limits.headers"));
    assert!(refused(|config| config.tokens[0].rate = 0).contains("`one` allows nothing"));
    assert!(refused(|config| config.tokens[0].concurrency = 0).contains("`one` allows nothing"));
    let mut least = full();
    (least.limits.headers, least.limits.recent) = (Size(8192), 1);
    least.check().unwrap();
}

#[test]
fn two_holders_of_one_token_are_refused() {
    let twice = |config: &mut Config| {
        let second = Token {
            name: "two".to_owned(),
            sha256: config.tokens[0].sha256.to_uppercase(),
            ..config.tokens[0].clone()
        };
        config.tokens[0].sha256 = "ab".repeat(32);
        config.tokens.push(Token { sha256: "AB".repeat(32), ..second });
    };
    let told = refused(twice);
    assert!(told.contains("`one` and `two` have the same token"), "{told}");
    // During a token's rotation one name has two tokens.
    let mut renewed = full();
    renewed.tokens.push(Token { sha256: "1".repeat(64), ..renewed.tokens[0].clone() });
    renewed.check().unwrap();
}

#[test]
fn a_reload_takes_what_it_may_and_says_what_it_may_not() {
    let old = Config::default();
    let mut taken = full();
    let changed = taken.fix(&old);
    assert_eq!(
        changed,
        [
            "listen",
            "slots",
            "waiting",
            "waiting-memory",
            "leaves-step-back",
            "state",
            "watch",
            "tls",
            "traces",
            "log",
            "jobs.role",
            "jobs.store",
            "jobs.password-file",
            "jobs.store-wait",
            "jobs.at-once",
            "jobs.waiting",
            "jobs.lease",
            "jobs.timeout",
            "jobs.retention",
            "jobs.quota",
            "jobs.token-quota",
            "jobs.token-jobs",
            "jobs.lives",
            "workers.local",
            "workers.local-slots",
            "workers.processes",
            "workers.spare-processes",
            "workers.nats",
            "workers.pool",
            "workers.user",
            "workers.password-file",
            "workers.credentials",
            "workers.ca",
            "limits.component",
            "limits.load",
            "limits.headers",
            "limits.connections",
            "limits.peer-connections",
            "limits.idle-time",
            "limits.bodies",
            "limits.memory",
            "limits.header-time",
            "limits.read-time",
            "limits.recent",
            "limits.recent-memory"
        ]
    );
    let old = keys(&old);
    let new = keys(&full());
    let taken = keys(&taken);
    for key in new.keys() {
        let from = if changed.contains(key) { &old } else { &new };
        assert_eq!(taken.get(key), from.get(key), "{key}");
    }
}

#[test]
fn a_reload_of_the_same_changes_nothing() {
    let mut same = full();
    assert!(same.fix(&full()).is_empty());
    assert_eq!(same, full());
}

#[test]
fn an_empty_list_of_tokens_is_not_printed() {
    let text = toml::to_string(&Config::default()).unwrap();
    let (_, lines) = fresh_token("one", Role::Query);
    assert_eq!(toml::from_str::<Config>(&format!("{text}{lines}")).unwrap().tokens.len(), 1, "{text}");
}

fn time() -> impl Strategy<Value = Time> {
    let nanos = prop_oneof![
        0..=365 * 24 * 3600 * 1_000_000_000_u64,
        (0..100_000_u64).prop_map(|ms| ms * 1_000_000),
        (0..100_000_u64).prop_map(|s| s * 1_000_000_000),
    ];
    nanos.prop_map(|nanos| Time(Duration::from_nanos(nanos)))
}

fn size() -> impl Strategy<Value = Size> {
    prop_oneof![any::<u64>(), (0..1000_u64, 0..50).prop_map(|(bytes, by)| bytes << by)].prop_map(Size)
}

prop_compose! {
    fn config()(
        listen: SocketAddr,
        flags: [bool; 3],
        sizes in [size(), size(), size(), size()],
        times in [time(), time(), time(), time(), time()],
        counts in [0..=u32::MAX as usize, 0..=9, 0..=9],
        texts in [".{0,12}", ".{0,12}", ".{0,12}"],
        tokens in prop::collection::vec((".{0,12}", ".{0,12}", any::<u32>(), any::<bool>()), 0..3),
        parts: [bool; 4],
    ) -> Config {
        let [query, component, headers, recent_memory] = sizes;
        let [deadline, header_time, body_time, read_time, drain] = times;
        let [slots, connections, queries] = counts;
        let [path, origin, address] = texts;
        let limits = Limits {
            query, component, load: drain, headers, connections, peer_connections: queries, idle_time: drain, bodies: headers, memory: query, partitions: queries, queries, deadline, header_time, body_time, read_time,
            recent: queries, recent_memory, drain,
        };
        let token = |(name, sha256, rate, admin)| Token {
            name, sha256, rate, concurrency: slots, role: if admin { Role::Admin } else { Role::Observer },
            job_quota: admin.then_some(query), jobs: admin.then_some(u64::from(rate)),
        };
        let format = if parts[3] { LogFormat::Json } else { LogFormat::Text };
        Config {
            listen, slots, waiting: slots, waiting_memory: component, limits,
            jobs: Jobs {
                role: if parts[0] { JobRole::All } else { JobRole::Processor },
                store: parts[1].then(|| path.clone()),
                password_file: parts[2].then(|| PathBuf::from(&path)),
                store_wait: drain,
                at_once: queries,
                waiting: 7,
                lease: drain,
                timeout: deadline,
                retention: read_time,
                quota: query,
                token_quota: component,
                token_jobs: 9,
                lives: 8,
            },
            workers: Workers {
                local: parts[0].then_some(parts[1]),
                local_slots: parts[3].then_some(slots),
                processes: queries,
                spare_processes: slots,
                nats: parts[2].then(|| address.clone()),
                pool: origin.clone(),
                user: parts[1].then(|| origin.clone()),
                password_file: parts[2].then(|| PathBuf::from(&path)),
                credentials: parts[3].then(|| PathBuf::from(&path)),
                ca: parts[0].then(|| PathBuf::from(&path)),
            },
            insecure: flags[0], leaves_step_back: flags[1], watch: flags[2],
            state: parts[0].then(|| PathBuf::from(&path)),
            tokens: tokens.into_iter().map(token).collect(),
            tls: parts[1].then(|| Tls { certificate: path.clone().into(), key: origin.clone().into() }),
            roots: parts[3].then(|| path.clone().into()),
            cors: vec![origin],
            traces: parts[2].then_some(address),
            log: Log { format, level: LogLevel::Warn },
        }
    }
}

/// Keys that are no limits.
const UNBOUNDING: [&str; 26] = [
    "listen",
    "insecure",
    "leaves-step-back",
    "state",
    "watch",
    "cors",
    "roots",
    "traces",
    "log",
    "tls",
    "limits",
    "jobs",
    "token",
    "jobs.role",
    "jobs.store",
    "jobs.password-file",
    "workers",
    "workers.local",
    "workers.local-slots",
    "workers.nats",
    "workers.pool",
    "workers.user",
    "workers.password-file",
    "workers.credentials",
    "workers.ca",
    "token.role",
];

/// The default of a key, as `host/docs/limits.md` writes it.
fn spelled(table: &toml::Table, key: &str) -> String {
    match table.get(key) {
        None => "none".to_owned(),
        Some(toml::Value::Integer(count)) => number(u64::try_from(*count).unwrap()),
        Some(toml::Value::String(text)) => {
            let value = toml::Value::String(text.clone());
            match (value.clone().try_into::<Time>(), value.try_into::<Size>()) {
                (Ok(Time(of)), _) => listed::time(of),
                (_, Ok(Size(of))) => listed::size(of),
                _ => text.clone(),
            }
        }
        Some(other) => other.to_string(),
    }
}

#[test]
fn settings_that_are_printed_only_if_they_are_set_are_named_in_the_docs() {
    let printed = toml::Table::try_from(Config::default()).unwrap();
    let table = |name: &str| printed[name].as_table().unwrap().clone();
    let tables = [(listed::keys::<Jobs>(), table("jobs")), (listed::keys::<Workers>(), table("workers"))];
    let (_, docs) = include_str!("../../../docs/operations.md").split_once("printed only if they are set: ").unwrap();
    let (docs, _) = docs.split_once("\n\n").unwrap();
    for (keys, printed) in [(listed::keys::<Config>(), printed)].into_iter().chain(tables) {
        for key in keys.iter().filter(|key| !printed.contains_key(**key)) {
            let spellings = [format!("`{key}`"), format!("`[{key}]`"), format!("`[[{key}]]`")];
            assert!(spellings.iter().any(|spelling| docs.contains(spelling)), "host/docs/operations.md lacks {key}");
        }
    }
}

#[test]
fn every_bound_of_the_settings_is_listed_with_its_default() {
    let config = toml::Table::try_from(Config::default()).unwrap();
    let table = |name: &str| config[name].as_table().unwrap().clone();
    let token = toml::from_str::<Token>("name = \"a\"\nrole = \"query\"\nsha256 = \"b\"").unwrap();
    let token = toml::Table::try_from(token).unwrap();
    let sections = [
        ("", listed::keys::<Config>(), config.clone()),
        ("limits.", listed::keys::<Limits>(), table("limits")),
        ("jobs.", listed::keys::<Jobs>(), table("jobs")),
        ("workers.", listed::keys::<Workers>(), table("workers")),
        ("token.", listed::keys::<Token>(), token),
    ];
    let mut bounds = Vec::new();
    for (section, keys, defaults) in sections {
        for key in keys.iter().filter(|key| !["name", "sha256"].contains(key)) {
            let whole = format!("{section}{key}");
            // The default is the number of cores.
            let default = if whole == "slots" { "cores, at least 2".to_owned() } else { spelled(&defaults, key) };
            if !UNBOUNDING.contains(&whole.as_str()) {
                bounds.push((whole, default));
            }
        }
    }
    let missing = Listed::read().missing(bounds.clone());
    assert!(missing.is_empty(), "write into {LISTED}:\n{}", missing.join("\n"));
    let known: Vec<String> = bounds.into_iter().map(|(key, _)| key).collect();
    for prefix in ["jobs.", "workers.", "token."] {
        assert_eq!(Listed::read().unknown(prefix, &known), Vec::<String>::new(), "no such settings");
    }
}

proptest! {
    #[test]
    fn what_is_printed_is_read_as_the_same(config in config()) {
        let text = toml::to_string(&config).unwrap();
        // Flow labels of an address are not printed.
        let listen = config.listen.to_string().parse().unwrap();
        prop_assert_eq!(toml::from_str::<Config>(&text).unwrap(), Config { listen, ..config });
    }

    #[test]
    fn no_settings_bring_the_check_or_a_reload_down(mut one in config(), other in config()) {
        let _ = one.check();
        one.fix(&other);
        prop_assert_eq!(one.fix(&other), Vec::<&str>::new());
    }
}
