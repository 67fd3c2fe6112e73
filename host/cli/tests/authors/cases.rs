//! Cases: their calls and comparisons, and the difference between failing plugins and wrong cases.

use std::fs;

use crate::kit::plain;
use crate::{faulty, frond, test, told};

#[test]
fn each_call_is_made_by_what_a_case_gives() {
    let folder = faulty();
    folder.write(
        "app/cases/leaf.toml",
        "partition = \"\"\nkey = \"a\"\n[expect]\njson = { count = 1, keys = [\"a\"] }\n",
    );
    folder.write(
        "app/cases/merge.toml",
        "query = '{}'\npartials = ['{\"count\":1,\"keys\":[\"a\"]}', '{\"count\":2,\"keys\":[\"b\"]}']\n\
         [expect]\njson = { count = 3, keys = [\"a\", \"b\"] }\n",
    );
    folder.write(
        "app/cases/finish.toml",
        "query = '{}'\nmerged = '{\"count\":1,\"keys\":[]}'\ncovered = { planned = 4, covered = 1 }\n\
         [expect]\njson = { count = 1, keys = [], planned = 4, covered = 1, complete = false }\n",
    );
    folder.write(
        "app/cases/query.toml",
        "query = '{\"query\":{},\"partitions\":[{\"key\":\"ok-1\",\"data\":\"\"},{\"key\":\"trap-1\",\"data\":\"\"}]}'\n\
         [expect]\noutcome = \"partial\"\ncoverage = { planned = 2, succeeded = 1, failed = 1 }\n",
    );
    let ended = test(&folder, "--no-laws").expect(0);
    let out = ended.out();
    for call in ["leaf    leaf", "merge   merge", "finish  finish", "query   query"] {
        assert!(out.contains(&format!("PASS  {call}")), "{call}: {out}");
    }
    assert!(out.contains("4 passed, 0 failed"), "{out}");
}

#[test]
fn a_failing_case_shows_what_differs_and_what_it_used() {
    let folder = faulty();
    folder.write(
        "app/cases/wrong.toml",
        "partition = \"\"\nkey = \"a\"\n[expect]\njson = { count = 2, keys = [\"a\"] }\n",
    );
    let ended = test(&folder, "--no-laws").expect(1);
    let out = plain(&ended.out());
    assert!(out.contains("FAIL  leaf    wrong"), "{out}");
    assert!(out.contains("-   \"count\": 2,") && out.contains("+   \"count\": 1,"), "{out}");
    assert!(out.contains("fuel") && out.contains("mem") && out.contains("out"), "{out}");
    assert!(out.trim_end().lines().last().unwrap().starts_with("0 passed, 1 failed"), "{out}");
}

#[test]
fn failures_can_be_expected_by_slug_message_and_log() {
    let folder = faulty();
    let case = |fault: &str, expect: &str| format!("partition = \"\"\nkey = \"{fault}\"\n[expect]\n{expect}\n");
    folder.write(
        "app/cases/panic.toml",
        case("panic", "failure = \"trap\"\nmessage = \"as the query asked\"\nlog = \"panicked\""),
    );
    folder.write("app/cases/memory.toml", case("grow-memory", "failure = \"out-of-memory\""));
    folder.write("app/cases/other.toml", case("panic", "failure = \"out-of-fuel\""));
    folder.write("app/cases/words.toml", case("panic", "failure = \"trap\"\nmessage = \"something else\""));
    folder.write("app/cases/none.toml", case("ok", "failure = \"trap\""));
    let ended = test(&folder, "--no-laws").expect(1);
    let out = ended.out();
    assert!(out.contains("2 passed, 3 failed"), "{out}");
    assert_eq!(
        told(&folder, "other")["wrong"][0]["what"].as_str().unwrap().split(':').next().unwrap(),
        "failed otherwise than with out-of-fuel"
    );
    assert_eq!(told(&folder, "none")["wrong"][0]["what"], "succeeded where a failure is expected");
    assert_eq!(told(&folder, "panic")["verdict"], "passed");
}

#[test]
fn limits_are_those_of_the_package_and_a_case_only_lowers_them() {
    let folder = faulty();
    let spend = |rest: &str| format!("partition = \"\"\nkey = \"burn:5\"\n{rest}\n");
    folder.write("app/cases/plenty.toml", spend("[expect]\njson = { count = 1, keys = [\"burn:5\"] }"));
    folder.write("app/cases/lowered.toml", spend("[limits]\nfuel = 1_000_000\n[expect]\nfailure = \"out-of-fuel\""));
    test(&folder, "--no-laws --filter plenty").expect(0);
    test(&folder, "--no-laws --filter lowered").expect(0);
}

/// Cases with a limit above the app's: the call, the limit, and the error.
const RAISED: [(&str, &str, &str); 6] = [
    (
        "partition = \"\"",
        "fuel = 1_000_000_001",
        "`limits.fuel` of a case must not be above the app's\n\
         (limits.leaf.fuel is 1,000,000,000; raise it with `[limits.leaf] fuel = …`)",
    ),
    (
        "partials = ['{\"count\":1,\"keys\":[\"a\"]}']",
        "memory = \"1GiB\"",
        "`limits.memory` of a case must not be above the app's\n\
         (limits.merge.memory is 256 MiB; raise it with `[limits.merge] memory = …`)",
    ),
    (
        "merged = '{\"count\":1,\"keys\":[]}'",
        "output = \"65MiB\"",
        "`limits.output` of a case must not be above the app's\n\
         (limits.merge.output is 64 MiB; raise it with `[limits.merge] output = …`)",
    ),
    (
        "query = '{\"query\":{},\"partitions\":[]}'",
        "host-calls = 1_000_001",
        "`limits.host-calls` of a case must not be above the app's\n\
         (limits.leaf.host-calls is 1,000,000; raise it with `[limits.leaf] host-calls = …`)",
    ),
    (
        "partition = \"\"",
        "time = \"31s\"",
        "`limits.time` of a case must not be above the app's\n(query.deadline is 30 s)",
    ),
    (
        "query = '{\"query\":{},\"partitions\":[]}'",
        "time = \"1s\"",
        "`limits.time` of a case bounds one call, and this case asks the whole app\n(set `deadline`)",
    ),
];

#[test]
fn a_case_that_raises_a_limit_is_broken() {
    let folder = faulty();
    for (number, (call, limit, _)) in RAISED.iter().enumerate() {
        folder
            .write(&format!("app/cases/c{number}.toml"), format!("{call}\n[limits]\n{limit}\n[expect]\ntext = \"\"\n"));
    }
    for (number, (.., why)) in RAISED.iter().enumerate() {
        assert_eq!(told(&folder, &format!("c{number}"))["why"], *why);
    }
    test(&folder, "--no-laws").expect(64);
    // A limit that equals the app's is none that is raised.
    let equal = "partition = \"\"\nkey = \"a\"\n[limits]\nfuel = 1_000_000_000\ntime = \"30s\"\n";
    folder.write("app/cases/equal.toml", format!("{equal}[expect]\njson = {{ count = 1, keys = [\"a\"] }}\n"));
    assert_eq!(told(&folder, "equal")["verdict"], "passed");
}

#[test]
fn a_wrong_case_is_not_a_failing_plugin() {
    let folder = faulty();
    folder.write("app/cases/toml.toml", "partition = \n");
    folder.write("app/cases/unknown.toml", "partitoin = \"\"\n");
    folder.write("app/cases/two.toml", "partition = \"\"\npartials = []\n[expect]\ntext = \"\"\n");
    folder.write("app/cases/missing.toml", "partition-file = \"nowhere.txt\"\n[expect]\ntext = \"\"\n");
    folder.write("app/cases/nothing.toml", "partition = \"\"\nkey = \"a\"\n");
    folder.write("app/cases/slug.toml", "partition = \"\"\n[expect]\nfailure = \"traps\"\n");
    let ended = test(&folder, "--no-laws").expect(64);
    let out = ended.out();
    assert!(out.contains("0 passed, 0 failed, 6 broken"), "{out}");
    let why = |name: &str| told(&folder, name)["why"].as_str().unwrap().to_owned();
    assert!(why("unknown").contains("line 1: unknown field `partitoin`"), "{}", why("unknown"));
    assert!(why("two").contains("has both `partition` and `partials`"), "{}", why("two"));
    assert!(why("missing").contains("nowhere.txt"), "{}", why("missing"));
    assert!(
        why("nothing").contains("expects nothing") && why("nothing").contains("\"count\": 1"),
        "{}",
        why("nothing")
    );
    assert!(why("slug").contains("line 3") && why("slug").contains("traps"), "{}", why("slug"));
}

#[test]
fn bless_writes_what_comes_and_leaves_the_rest_of_the_case_as_it_is() {
    let folder = faulty();
    let case = folder.write(
        "app/cases/old.toml",
        "# why this case is here\npartition = \"\"\nkey = \"a\"  # the key\n\n[expect]\njson = { count = 7 }\n",
    );
    folder.write("app/cases/new.toml", "partition = \"\"\nkey = \"panic\"\n");
    folder.write("app/cases/file.toml", "partition = \"\"\nkey = \"b\"\n[expect]\njson-file = \"b.json\"\n");
    folder.write("app/cases/snap.toml", "partition = \"\"\nkey = \"c\"\n[expect]\nsnapshot = \"c.snap\"\n");
    test(&folder, "--no-laws").expect(1);
    let ended = test(&folder, "--no-laws --bless").expect(0);
    assert!(ended.out().contains("4 blessed"), "{}", ended.out());
    test(&folder, "--no-laws").expect(0);
    let text = fs::read_to_string(case).unwrap();
    assert!(text.starts_with("# why this case is here\npartition = \"\"\nkey = \"a\"  # the key\n"), "{text}");
    assert!(fs::read_to_string(folder.path("app/cases/new.toml")).unwrap().contains("failure = \"trap\""));
    assert_eq!(fs::read_to_string(folder.path("app/cases/b.json")).unwrap(), r#"{"count":1,"keys":["b"]}"#);
}

#[test]
fn integers_beyond_64_bits_are_compared_digit_by_digit() {
    let folder = faulty();
    let case = |expect: &str| {
        format!("partition = \"\"\nkey = \"text:[340282366920938463463374607431768211457]\"\n[expect]\n{expect}\n")
    };
    folder.write("app/cases/same.toml", case("json = \"[340282366920938463463374607431768211457]\""));
    folder.write("app/cases/other.toml", case("json = \"[340282366920938463463374607431768211456]\""));
    assert_eq!(told(&folder, "same")["verdict"], "passed");
    let other = told(&folder, "other");
    assert_eq!(other["verdict"], "failed", "{other}");
    let diff = other["wrong"][0]["diff"].as_str().unwrap();
    assert!(diff.contains("-   340282366920938463463374607431768211456"), "{diff}");
    assert!(diff.contains("+   340282366920938463463374607431768211457"), "{diff}");
    // TOML integers have 64 bits.
    for (name, integer) in [("toml", "340282366920938463463374607431768211456"), ("i128", "18446744073709551616")] {
        let file = folder.write(&format!("app/cases/{name}.toml"), case(&format!("json = [{integer}]")));
        let why = told(&folder, name)["why"].as_str().unwrap().to_owned();
        assert!(why.contains("line 4") && why.contains("write JSON with longer ones in a string"), "{why}");
        fs::remove_file(file).unwrap();
    }
    test(&folder, "--no-laws --bless").expect(0);
    test(&folder, "--no-laws").expect(0);
}

#[test]
fn bless_says_blessed_only_of_what_then_passes() {
    let folder = faulty();
    let query = "query = '{\"query\":{\"fault\":\"invalid-query\"},\"partitions\":[{\"key\":\"a\",\"data\":\"\"}]}'\n";
    let expect = "# as the plugin says\n[expect]\nfailure = \"invalid-query\"\nreason = \"deadline\"\n";
    let reason = folder.write("app/cases/reason.toml", format!("{query}{expect}"));
    let ended = test(&folder, "--no-laws --bless").expect(0);
    assert!(ended.out().contains("BLESSED"), "{}", ended.out());
    let text = fs::read_to_string(&reason).unwrap();
    assert_eq!(text, format!("{query}{}", expect.replace("deadline", "invalid-query")));
    test(&folder, "--no-laws").expect(0);
    // An expected log line cannot be derived from the outcome.
    folder.write(
        "app/cases/log.toml",
        "partition = \"\"\nkey = \"panic\"\n[expect]\nfailure = \"trap\"\nlog = \"no such line\"\n",
    );
    let ended = test(&folder, "--no-laws --bless").expect(1);
    let wrong = ended.out();
    assert!(wrong.contains("FAIL") && !wrong.contains("BLESSED"), "{wrong}");
    assert!(wrong.contains("no line of the log contains `no such line`"), "{wrong}");
    assert!(wrong.contains("(--bless does not rewrite this: change it in the case's file)"), "{wrong}");
}

#[test]
fn a_component_is_tested_by_itself() {
    let folder = faulty();
    folder.write(
        "app/cases/leaf.toml",
        "partition = \"\"\nkey = \"a\"\n[expect]\njson = { count = 1, keys = [\"a\"] }\n",
    );
    let ended = frond(["test", "app/faulty.wasm", "--no-laws"]).dir(folder.dir()).run().expect(0);
    assert!(ended.out().contains("1 passed"), "{}", ended.out());
    folder.write("leaf-only/frond.toml", "[leaf]\ncomponent = \"../app/faulty.wasm\"\n");
    folder.write(
        "leaf-only/cases/one.toml",
        "partition = \"\"\nkey = \"a\"\n[expect]\nmax-fuel = 10_000_000\njson = { count = 1, keys = [\"a\"] }\n",
    );
    folder.write("leaf-only/cases/two.toml", "partials = []\n[expect]\ntext = \"\"\n");
    let ended = frond(["test", "leaf-only"]).dir(folder.dir()).run().expect(64);
    assert!(ended.out().contains("calls the merge, which this package does not have"), "{}", ended.out());
}

#[test]
fn the_outcome_is_json_and_junit_too() {
    let folder = faulty();
    folder.write(
        "app/cases/good.toml",
        "partition = \"\"\nkey = \"a\"\n[expect]\njson = { count = 1, keys = [\"a\"] }\n",
    );
    folder.write("app/cases/bad.toml", "partition = \"\"\nkey = \"panic\"\n[expect]\ntext = \"<&>\"\n");
    let ended = test(&folder, "--format json --junit out.xml").expect(1);
    let json = ended.json();
    assert_eq!(json["version"], 1);
    assert_eq!((&json["sums"]["passed"], &json["sums"]["failed"]), (&1.into(), &1.into()));
    assert_eq!(json["cases"][0]["failure"]["kind"], "trap");
    assert!(json["cases"][1]["headroom"][0]["used"].as_u64().unwrap() > 0);
    let xml = fs::read_to_string(folder.path("out.xml")).unwrap();
    assert!(xml.contains("<testsuite name=\"app\"") && xml.contains("failures=\"1\""), "{xml}");
}

#[test]
fn nothing_to_test_is_said() {
    let folder = faulty();
    let ended = test(&folder, "").expect(0);
    assert!(ended.err().contains("there are no cases"), "{}", ended.err());
    let ended = frond(["test", "nowhere"]).dir(folder.dir()).run().expect(64);
    assert!(ended.err().contains("there is no such file or folder"), "{}", ended.err());
}

#[test]
fn what_a_guest_writes_cannot_drive_the_terminal() {
    let folder = faulty();
    folder.write(
        "app/cases/bad.toml",
        "partition = \"\"\nkey = \"\\u001b[2Jpanic\"\nquery = '{\"fault\":\"panic\"}'\n[expect]\ntext = \"\"\n",
    );
    let ended = test(&folder, "--no-laws").expect(1);
    assert!(!ended.out().contains('\u{1b}'), "{:?}", ended.out());
}
