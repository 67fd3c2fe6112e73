//! Injected faults: shown by `--inject`, and expected by cases.

use crate::{faulty, test};

#[test]
fn faults_are_shown_without_comparing() {
    let folder = faulty();
    folder.write("app/cases/burn.toml", "partition = \"12345678\"\nkey = \"burn:5\"\n[expect]\ntext = \"whatever\"\n");
    let shown = |fault: &str| {
        let ended = test(&folder, &format!("--inject {fault}")).expect(0);
        assert!(ended.out().contains("1 outcome shown"), "{}", ended.out());
        ended.out()
    };
    assert!(shown("out-of-fuel-at=100_000").contains("out-of-fuel"));
    assert!(shown("oom-at=1MiB").contains("out-of-memory"));
    assert!(shown("unavailable").contains("bytes"), "a leaf that pulls nothing does not notice");
}

#[test]
fn cases_expect_the_outcome_of_a_fault() {
    let folder = faulty();
    let case = |inject: &str, expect: &str| {
        format!("partition = \"12345678\"\nkey = \"read-source\"\ninject = [\"{inject}\"]\n[expect]\n{expect}\n")
    };
    folder.write("app/cases/unavailable.toml", case("unavailable", "failure = \"unavailable\""));
    folder.write("app/cases/short.toml", case("truncate-partition=3", "snapshot = \"short.snap\""));
    folder.write(
        "app/cases/whole.toml",
        "partition = \"12345678\"\nkey = \"read-source\"\n[expect]\nsnapshot = \"whole.snap\"\n",
    );
    test(&folder, "--no-laws --bless").expect(0);
    test(&folder, "--no-laws").expect(0);
    let snap = |name: &str| std::fs::read_to_string(folder.path(name)).unwrap();
    assert!(snap("app/cases/short.snap").contains('3'), "{}", snap("app/cases/short.snap"));
    assert_ne!(snap("app/cases/short.snap"), snap("app/cases/whole.snap"));
}

#[test]
fn a_query_survives_what_passes() {
    let folder = faulty();
    folder.write(
        "app/cases/retried.toml",
        "query = '{\"query\":{},\"partitions\":[{\"key\":\"read-source\",\"data\":\"x\"}]}'\ninject = [\"unavailable\"]\n\
         [expect]\noutcome = \"complete\"\ncoverage = { succeeded = 1 }\n",
    );
    test(&folder, "--no-laws").expect(0);
}

#[test]
fn an_unknown_fault_is_refused_with_the_known_ones() {
    let folder = faulty();
    let ended = test(&folder, "--inject boom").expect(64);
    assert!(ended.err().contains("`boom` is not a fault") && ended.err().contains("oom-at=SIZE"), "{}", ended.err());
}
