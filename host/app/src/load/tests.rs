//! Defaults, and refusals of contradictions.

use std::path::Path;
use std::time::Duration;

use frond_root::call::InstanceMode;
use frond_root::call::{Directory, Grants};
use frond_root::{Floor, MergeOrder};

use crate::app::App;
use crate::limits::AppLimits;
use crate::package::Package;
use crate::source::{CutMode, Glob, PieceSize, Source};
use crate::testing::{COMPONENTS, Folder, refused};

const QUERY: &str = "[source]\nkind = \"query\"\n";

/// An app with `before` in front of its sections.
fn headed(before: &str) -> Folder {
    let folder = Folder::new();
    folder.write("frond.toml", format!("{before}\n{COMPONENTS}{QUERY}"));
    folder
}

fn refused_head(before: &str) -> String {
    let folder = headed(before);
    folder.show(&folder.load().unwrap_err())
}

#[test]
fn what_is_not_written_has_its_default() {
    let folder = Folder::app(QUERY);
    let app = folder.load().unwrap();
    assert_eq!(app.dir, folder.dir());
    assert_eq!(app.name, folder.dir().file_name().unwrap().to_str().unwrap());
    assert_eq!(app.content_type, "application/octet-stream");
    assert_eq!((app.instance, app.order, app.floor), (InstanceMode::Fresh, MergeOrder::Any, Floor::All));
    assert_eq!((app.deadline, app.max_deadline), (Duration::from_secs(10), Duration::from_secs(60)));
    assert_eq!((app.leaf_time(), app.job_leaf_time()), (Duration::from_secs(60), Duration::from_secs(600)));
    assert_eq!(app.limits, AppLimits::default());
    assert!(app.required.is_empty() && app.split.is_none());
    insta::assert_debug_snapshot!(app.limits);
}

#[test]
fn what_is_written_is_taken() {
    let folder = Folder::new();
    folder.write("frond.toml", include_str!("tests/full.toml"));
    let app = folder.load().unwrap();
    assert_eq!((app.name.as_str(), app.content_type.as_str()), ("wordcount", "application/json"));
    assert_eq!((app.order, app.floor), (MergeOrder::Partition, Floor::AtLeast(0.9)));
    assert_eq!(app.instance, InstanceMode::Query);
    assert_eq!(app.deadline, Duration::from_millis(2500));
    assert_eq!(app.required, ["a.txt".into(), "b.txt".into()]);
    assert_eq!(app.leaf.build.as_deref(), Some("make"));
    assert_eq!(app.leaf.sha256, Some(frond_root::Digest([0xAB; 32])));
    assert_eq!(app.merge.path, Path::new("/opt/merge.wasm"));
    let Source::Files { globs, piece, cut, .. } = &app.source else { panic!("{:?}", app.source) };
    assert_eq!(globs.iter().map(Glob::as_str).collect::<Vec<_>>(), ["a.txt", "data/**/*.txt"]);
    assert_eq!((*piece, *cut), (PieceSize::Bytes(1 << 20), CutMode::Bytes));
    insta::assert_debug_snapshot!(app.limits);
}

#[test]
fn an_app_is_its_folder_or_its_file() {
    let folder = headed("name = \"one\"");
    for path in [folder.dir().to_path_buf(), folder.path("frond.toml")] {
        let app = App::load(&path).unwrap();
        assert_eq!((app.name.as_str(), app.dir.as_path()), ("one", folder.dir()));
        assert_eq!(app.leaf.path, folder.path("leaf.wasm"));
        assert_eq!(app.leaf.at.to_string(), format!("{}:3: leaf.component", folder.path("frond.toml").display()));
    }
}

#[test]
fn where_there_is_no_app_it_is_said() {
    let folder = Folder::new();
    let refused = |path: &str| folder.show(&App::load(&folder.path(path)).unwrap_err());
    std::fs::create_dir(folder.path("empty")).unwrap();
    insta::assert_snapshot!(refused("empty"), @r"
    no app at `APP/empty`: the folder has no frond.toml
    (give the folder that holds the app's frond.toml)
    ");
    insta::assert_snapshot!(refused("nowhere"), @r"
    no app at `APP/nowhere`: there is no such file or folder
    (give the folder that holds the app's frond.toml)
    ");
    insta::assert_snapshot!(refused("empty/frond.toml"), @r"
    no app at `APP/empty/frond.toml`: there is no such file or folder
    (give the folder that holds the app's frond.toml)
    ");
}

#[test]
fn names_and_media_types_are_checked() {
    insta::assert_snapshot!(refused_head("name = \" \""), @r"
    APP/frond.toml:1: name: the name is empty
    (leave the key out to use the folder's name)
    ");
    insta::assert_snapshot!(refused_head("name = \"a\\u001b[2J\""), @r"
    APP/frond.toml:1: name: the name has control characters in it
    (leave the key out to use the folder's name)
    ");
    insta::assert_snapshot!(refused_head(&format!("name = \"{}\"", "a".repeat(101))), @r"
    APP/frond.toml:1: name: the name is longer than 100 bytes
    (leave the key out to use the folder's name)
    ");
    insta::assert_snapshot!(refused_head("content-type = \"json\""), @r"
    APP/frond.toml:1: content-type: `json` is not a media type
    (such as application/json or text/plain)
    ");
    insta::assert_snapshot!(refused_head("content-type = \"text/plain\\r\\nX: y\""), @r"
    APP/frond.toml:1: content-type: `text/plain\r\nX: y` is not a media type
    (such as application/json or text/plain)
    ");
}

#[test]
fn a_floor_is_a_fraction_above_nothing() {
    let floor = |written: &str| refused(&format!("{QUERY}[query]\nfloor = {written}\n"));
    insta::assert_snapshot!(floor("0"), @r#"
    APP/frond.toml:8: query.floor: 0 is not above 0 and at most 1
    (a floor is a fraction of the work, "all" or "best-effort"; 90 % is 0.9)
    "#);
    insta::assert_snapshot!(floor("90"), @r#"
    APP/frond.toml:8: query.floor: 90 is not above 0 and at most 1
    (a floor is a fraction of the work, "all" or "best-effort"; 90 % is 0.9)
    "#);
    insta::assert_snapshot!(floor("-0.5"), @r#"
    APP/frond.toml:8: query.floor: -0.5 is not above 0 and at most 1
    (a floor is a fraction of the work, "all" or "best-effort"; 90 % is 0.9)
    "#);
    insta::assert_snapshot!(floor("nan"), @r#"
    APP/frond.toml:8: query.floor: NaN is not above 0 and at most 1
    (a floor is a fraction of the work, "all" or "best-effort"; 90 % is 0.9)
    "#);
    assert_eq!(floor("1"), "accepted");
    assert_eq!(floor("0.001"), "accepted");
    assert_eq!(floor("\"best-effort\""), "accepted");
}

#[test]
fn a_deadline_is_above_nothing() {
    insta::assert_snapshot!(refused(&format!("{QUERY}[query]\ndeadline = \"0s\"\n")), @r#"
    APP/frond.toml:8: query.deadline: a deadline must be above 0
    (write a duration above 0, such as "10s")
    "#);
}

#[test]
fn a_client_may_ask_for_as_long_as_the_app_itself_and_a_leaf_may_take_as_long() {
    let times = |written: &str| {
        let app = Folder::app(&format!("{QUERY}{written}\n")).load().unwrap();
        [app.max_deadline, app.leaf_time(), app.job_leaf_time()].map(|time| time.as_secs())
    };
    assert_eq!(times("[query]\ndeadline = \"20m\""), [1200, 1200, 1200]);
    assert_eq!(times("[query]\nmax-deadline = \"2m\""), [120, 120, 600]);
    assert_eq!(times("[query]\nmax-deadline = \"10s\""), [10, 60, 600]);
    assert_eq!(times("[limits.leaf]\ntime = \"5s\""), [60, 5, 5]);
    assert_eq!(times("[limits.leaf]\ntime = \"2h\""), [60, 7200, 7200]);
    insta::assert_snapshot!(refused(&format!("{QUERY}[query]\nmax-deadline = \"9s\"\n")), @r"
    APP/frond.toml:8: query.max-deadline: is shorter than the app's own deadline of 10s
    (write a longer one, or a shorter query.deadline)
    ");
}

#[test]
fn limits_leave_room_to_run() {
    let limit = |written: &str| refused(&format!("{QUERY}[limits]\n{written}\n"));
    insta::assert_snapshot!(limit("leaf.memory = 0"), @r"
    APP/frond.toml:8: limits.leaf.memory: nothing can run under a limit of 0
    (only `fuel` takes 0 for no limit; leave the key out for the default)
    ");
    insta::assert_snapshot!(limit("merge.memory = \"5GiB\""), @r#"
    APP/frond.toml:8: limits.merge.memory: more than 4 GiB, all that a guest can address
    (write at most "4GiB")
    "#);
    insta::assert_snapshot!(limit("split.output = \"0 B\""), @r"
    APP/frond.toml:8: limits.split.output: nothing can run under a limit of 0
    (only `fuel` takes 0 for no limit; leave the key out for the default)
    ");
    insta::assert_snapshot!(limit("leaf.host-calls = 0"), @r"
    APP/frond.toml:8: limits.leaf.host-calls: nothing can run under a limit of 0
    (only `fuel` takes 0 for no limit; leave the key out for the default)
    ");
    insta::assert_snapshot!(limit("leaf.time = \"0ms\""), @r"
    APP/frond.toml:8: limits.leaf.time: nothing can run under a limit of 0
    (leave the key out for the default)
    ");
    insta::assert_snapshot!(limit("leaf.partition = 0"), @r"
    APP/frond.toml:8: limits.leaf.partition: nothing can run under a limit of 0
    (only `fuel` takes 0 for no limit; leave the key out for the default)
    ");
    insta::assert_snapshot!(limit("merge.partials = 0"), @r"
    APP/frond.toml:8: limits.merge.partials: nothing can run under a limit of 0
    (only `fuel` takes 0 for no limit; leave the key out for the default)
    ");
    assert_eq!(limit("leaf = { fuel = 0, memory = \"4GiB\", log = 0 }"), "accepted");
}

#[test]
fn zero_fuel_is_unmetered() {
    let app = Folder::app(&format!("{QUERY}[limits.leaf]\nfuel = 0\n")).load().unwrap();
    assert_eq!((app.limits.leaf.fuel, app.limits.merge.fuel), (0, 10_000_000_000));
}

/// An app with `grants`, and with a folder `data` and a file `file`.
fn granting(grants: &str) -> Folder {
    let folder = Folder::app(&format!("{QUERY}{grants}"));
    folder.write("data/a.csv", "1");
    folder.write("file", "1");
    folder
}

#[test]
fn grants_are_taken_with_their_defaults() {
    assert_eq!(granting("").load().unwrap().grants, Grants::default());
    assert_eq!(granting("[grants]\n").load().unwrap().grants, Grants::default());
    let folder = granting(include_str!("tests/grants.toml"));
    let grants = folder.load().unwrap().grants;
    assert_eq!(grants.directories, [Directory { host: folder.path("data"), guest: "/data".to_owned() }]);
    assert_eq!((grants.env.as_slice(), &grants.config["currency"]), (&["LANG".to_owned()][..], &"GBP".to_owned()));
    insta::assert_debug_snapshot!(grants.http);
}

#[test]
fn grants_that_cannot_be_are_refused() {
    let refused = |grants: &str| {
        let folder = granting(grants);
        folder.load().map_or_else(|error| folder.show(&error), |_| "accepted".to_owned())
    };
    let http = |rest: &str| refused(&format!("[[grants.http]]\n{rest}\n"));
    let directory = |host: &str, guest: &str| {
        refused(&format!("[grants]\ndirectories = [{{ host = \"{host}\", guest = \"{guest}\" }}]\n"))
    };
    let cases = [
        refused("[grants]\nfiles = [\"data\"]\n"),
        refused("[grants]\nenv = \"LANG\"\n"),
        refused("[grants]\nenv = [\"LANG=C\"]\n"),
        refused("[grants.config]\nretries = 3\n"),
        refused("[grants.http]\nhost = \"a.example\"\n"),
        refused("[grants]\ndirectories = [{ host = \"data\" }]\n"),
        directory("nowhere", "/data"),
        directory("file", "/data"),
        directory(" ", "/data"),
        directory("data", "data"),
        directory("data", "/a/../b"),
        refused(
            "[grants]\ndirectories = [\n{ host = \"data\", guest = \"/a\" },\n{ host = \".\", guest = \"/a\" },\n]\n",
        ),
        http("methods = [\"GET\"]"),
        http("host = \"https://a.example/\""),
        http("host = \"*\""),
        http("host = \"a.example\"\nmethod = \"GET\""),
        http("host = \"a.example\"\nmethods = []"),
        http("host = \"a.example\"\nmethods = [\"GET\", \"post\"]"),
        http("host = \"a.example\"\nmethods = [\"CONNECT\"]"),
        http("host = \"a.example\"\ntime = \"0s\""),
        http("host = \"a.example\"\ntime = 5"),
        http("host = \"a.example\"\nbody = 0"),
        http("host = \"a.example\"\nprivate = \"yes\""),
    ];
    insta::assert_snapshot!(cases.join("\n\n"));
}

#[test]
fn a_split_component_is_there_if_and_only_if_it_runs() {
    insta::assert_snapshot!(refused("[source]\nkind = \"split\"\n"), @r#"
    APP/frond.toml:6: source.kind: "split" needs a component that splits
    (add a [split] section with its `component`)
    "#);
    insta::assert_snapshot!(refused(&format!("[split]\ncomponent = \"split.wasm\"\n{QUERY}")), @r#"
    APP/frond.toml:5: split: a source of the kind "query" runs no split component
    (remove the section, or set source.kind = "split")
    "#);
    let app = Folder::app("[split]\ncomponent = \"split.wasm\"\n[source]\nkind = \"split\"\n").load().unwrap();
    assert_eq!(Package::from(&app).components().count(), 3);
}

#[test]
fn a_source_has_the_keys_of_its_kind_and_no_others() {
    insta::assert_snapshot!(refused("[source]\nkind = \"files\"\n"), @r#"APP/frond.toml:6: source.kind: the kind "files" needs the key `glob`"#);
    insta::assert_snapshot!(refused("[source]\nkind = \"range\"\nstart = 1\n"), @r#"APP/frond.toml:6: source.kind: the kind "range" needs the key `end`"#);
    insta::assert_snapshot!(refused("[source]\nkind = \"files\"\nglob = \"*\"\nstep = 4\n"), @r#"
    APP/frond.toml:8: source.step: not a key of the kind "files"
    (it belongs to "range")
    "#);
    insta::assert_snapshot!(refused("[source]\nkind = \"range\"\nstart = 1\nend = 2\ncut = \"lines\"\n"), @r#"
    APP/frond.toml:9: source.cut: not a key of the kind "range"
    (it belongs to "files" and "stdin")
    "#);
}

#[test]
fn globs_and_pieces_are_not_empty() {
    insta::assert_snapshot!(refused("[source]\nkind = \"files\"\nglob = []\n"), @r#"
    APP/frond.toml:7: source.glob: there are no globs in the list
    (such as "data/**/*.txt", relative to frond.toml)
    "#);
    insta::assert_snapshot!(refused("[source]\nkind = \"files\"\nglob = [\"a\", \"\"]\n"), @r#"
    APP/frond.toml:7: source.glob: a glob is empty
    (such as "data/**/*.txt", relative to frond.toml)
    "#);
    insta::assert_snapshot!(refused("[source]\nkind = \"stdin\"\npiece-size = 0\n"), @r#"
    APP/frond.toml:7: source.piece-size: pieces of 0 bytes never reach the end
    (write a size above 0, or "auto")
    "#);
    insta::assert_snapshot!(refused("[source]\nkind = \"stdin\"\npiece-size = \"17MiB\"\n"), @r"
    APP/frond.toml:7: source.piece-size: pieces of 17 MiB are larger than a partition may be
    (limits.leaf.partition is 16 MiB: raise it, or make the pieces smaller)
    ");
    assert_eq!(
        refused("[source]\nkind = \"stdin\"\npiece-size = \"17MiB\"\n[limits.leaf]\npartition = \"17MiB\"\n"),
        "accepted"
    );
}

#[test]
fn a_range_goes_forward_in_steps() {
    insta::assert_snapshot!(refused("[source]\nkind = \"range\"\nstart = 3\nend = 2\n"), @r"
    APP/frond.toml:8: source.end: the range ends at 2, before its start at 3
    (a range includes its start and excludes its end)
    ");
    insta::assert_snapshot!(refused("[source]\nkind = \"range\"\nstart = 1\nend = 2\nstep = 0\n"), @r#"
    APP/frond.toml:9: source.step: a step of 0 never reaches the end
    (write a whole number above 0, or "auto")
    "#);
    insta::assert_snapshot!(refused("[source]\nkind = \"range\"\nstart = 1\nend = 2\nstep = -1\n"), @r#"
    APP/frond.toml:9: source.step: a step of -1 never reaches the end
    (write a whole number above 0, or "auto")
    "#);
    assert_eq!(refused("[source]\nkind = \"range\"\nstart = 2\nend = 2\n"), "accepted");
}

#[test]
fn lists_have_a_bound() {
    let each = |count: usize, entry: fn(usize) -> String| (0..count).map(entry).collect::<Vec<_>>().join(",\n");
    let list = |count| {
        format!(
            "[source]\nkind = \"list\"\npartitions = [\n{}\n]\n",
            each(count, |at| format!("{{ key = \"{at}\", data = \"\" }}"))
        )
    };
    assert_eq!(refused(&list(10_000)), "accepted");
    insta::assert_snapshot!(refused(&list(10_001)), @r#"
    APP/frond.toml:10008: source.partitions: there are more than 10000
    (put the data into files, with source.kind = "files", or let a component split the query)
    "#);
    let names =
        |count| format!("[source]\nkind = \"files\"\nglob = [\n{}\n]\n", each(count, |at| format!("\"{at}.txt\"")));
    assert_eq!(refused(&names(10_000)), "accepted");
    insta::assert_snapshot!(refused(&names(10_001)), @r"
    APP/frond.toml:7: source.glob: there are more than 10000
    (one glob matches many files: `data/**/*.txt`)
    ");
    type Entry = fn(usize) -> String;
    let lists: [(&str, Entry, &str); 4] = [
        ("[query]\nrequire = [", |at| format!("\"{at}\""), "]"),
        ("[grants]\nenv = [", |at| format!("\"E{at}\""), "]"),
        ("[grants]\nconfig = { ", |at| format!("k{at} = \"\""), " }"),
        ("[grants]\nhttp = [", |at| format!("{{ host = \"h{at}.example\" }}"), "]"),
    ];
    for (before, entry, after) in lists {
        let text = |count| refused(&format!("{QUERY}{before}{}{after}\n", each(count, entry).replace('\n', " ")));
        assert_eq!(text(1_000), "accepted", "{before}");
        assert!(text(1_001).ends_with("there are more than 1000"), "{before}: {}", text(1_001));
    }
}

#[test]
fn a_list_s_entries_are_whole_and_unlike() {
    let list = |entries: &str| refused(&format!("[source]\nkind = \"list\"\npartitions = [\n{entries}\n]\n"));
    insta::assert_snapshot!(list(""), @r#"
    APP/frond.toml:7: source.partitions: the list is empty
    (such as { key = "a", file = "data/a.csv" })
    "#);
    insta::assert_snapshot!(list("{ key = \"a\", data = \"1\" },\n{ key = \"a\", data = \"2\" },"), @r"
    APP/frond.toml:9: source.partitions[1].key: the key `a` is already on line 8
    (keys name what is missing from an answer, so each must be unique)
    ");
    insta::assert_snapshot!(list("{ key = \"a\" },"), @r#"
    APP/frond.toml:8: source.partitions[0]: the partition `a` has neither `data` nor `file`
    (give it one of them; data = "" is empty)
    "#);
    insta::assert_snapshot!(list("{ key = \"a\", data = \"1\", file = \"a.csv\" },"), @r"
    APP/frond.toml:8: source.partitions[0]: the partition `a` has both `data` and `file`
    (remove one of them)
    ");
    insta::assert_snapshot!(list("{ key = \"\", data = \"1\" },"), @"APP/frond.toml:8: source.partitions[0].key: the key is empty");
    insta::assert_snapshot!(list("{ key = \"a\", data = \"1\", weight = 0 },"), @r"
    APP/frond.toml:8: source.partitions[0].weight: a partition of weight 0 could be missing unnoticed
    (write a weight of 1 or more, or leave the key out to weigh the partition by its bytes)
    ");
    insta::assert_snapshot!(list("{ key = \"a\", data = \"1\", weight = 17592186044417 },"), @r"
    APP/frond.toml:8: source.partitions[0].weight: a weight is 1 to 17592186044416
    (weigh it in a larger unit, or leave the key out to weigh its bytes)
    ");
    insta::assert_snapshot!(
        refused("[limits.leaf]\npartition = 2\n[source]\nkind = \"list\"\npartitions = [{ key = \"a\", data = \"123\" }]\n"),
        @r"
    APP/frond.toml:9: source.partitions[0].data: 3 bytes are more than a partition may have: 2 bytes
    (raise limits.leaf.partition)
    "
    );
}

fn retrying(rest: &str) -> Result<crate::Retries, String> {
    let folder = Folder::app(&format!("{QUERY}[retry]\n{rest}"));
    folder.load().map(|app| app.retry).map_err(|error| folder.show(&error))
}

#[test]
fn retries_are_read_with_their_defaults() {
    let retries = retrying("attempts = 7\nfirst = \"2s\"\nwithin = \"1h\"\n").unwrap();
    let query = retries.query();
    let job = retries.job();
    assert_eq!((query.attempts, job.attempts), (7, 7));
    assert_eq!((query.first, query.most), (Duration::from_secs(2), Duration::from_secs(2)));
    assert_eq!((job.most, job.within), (Duration::from_secs(60), Some(Duration::from_secs(3600))));
}

#[test]
fn leaves_are_copied_unless_that_may_do_harm() {
    let allows = |rest: &str| {
        let app = Folder::app(&format!("{QUERY}{rest}")).load().unwrap();
        app.retry.allows_copies(&app.grants)
    };
    let grant = |methods: &str| format!("[[grants.http]]\nhost = \"a\"\nmethods = [{methods}]\n");
    assert!(allows("") && allows("[retry]\nattempts = 1\n"));
    assert!(!allows("[retry]\ncopies = false\n"));
    assert!(allows(&grant("\"GET\", \"HEAD\", \"OPTIONS\"")));
    assert!(!allows(&grant("\"GET\", \"POST\"")));
    assert!(!allows(&format!("[retry]\ncopies = true\n{}", grant("\"PUT\""))));
    assert!(allows(&format!("[retry]\nidempotent = true\n{}", grant("\"PUT\""))));
    assert!(!allows(&format!("[retry]\nidempotent = true\ncopies = false\n{}", grant("\"GET\""))));
}

#[test]
fn retries_without_an_end_or_a_pause_are_refused() {
    insta::assert_snapshot!(retrying("attempts = 0\n").unwrap_err(), @r"
    APP/frond.toml:8: retry.attempts: `attempts` must be a number from 1 to 1000
    (1 means no retries)
    ");
    insta::assert_snapshot!(retrying("first = \"0s\"\n").unwrap_err(), @r#"
    APP/frond.toml:8: retry.first: `first` must be at least 1ms
    (such as "500ms" or "1m")
    "#);
    insta::assert_snapshot!(retrying("first = \"1m\"\nmost = \"1s\"\n").unwrap_err(), @r"
    APP/frond.toml:9: retry.most: `most` must be at least as long as `first`
    (`most` is the longest pause, and `first` the shortest)
    ");
    insta::assert_snapshot!(retrying("attempts = \"many\"\n").unwrap_err(), @r#"APP/frond.toml:8: retry.attempts: expected a whole number, 0 or more, found string "many""#);
}
