//! `frond bench`: fuel is the same in every run, so it can compare two builds.

use crate::{faulty, frond};

#[test]
fn fuel_is_the_same_in_every_run() {
    let folder = faulty();
    folder.write("app/cases/burn.toml", "partition = \"\"\nkey = \"burn:1\"\n[expect]\nmax-fuel = 1\ntext = \"\"\n");
    let fuel = || {
        let json = frond(["bench", "app", "--runs", "2", "--format", "json"]).dir(folder.dir()).run().expect(0).json();
        json["measured"][0]["fuel"].as_u64().unwrap()
    };
    assert!(fuel() > 1_000_000);
    assert_eq!(fuel(), fuel());
}

#[test]
fn two_components_are_compared_on_the_same_input() {
    let folder = faulty();
    folder.link_plugin("wordcount");
    folder.write("text.txt", "one two two\n".repeat(1000));
    let ended = frond([
        "bench",
        "app/wordcount.wasm",
        "--input",
        "text.txt",
        "--query",
        "{}",
        "--compare",
        "app/wordcount.wasm",
        "--runs",
        "3",
    ])
    .dir(folder.dir())
    .run()
    .expect(0);
    assert!(ended.out().contains("fuel +0.0 %") && ended.out().contains("the same results"), "{}", ended.out());
    let ended = frond(["bench", "app/wordcount.wasm", "--input", "nowhere"]).dir(folder.dir()).run().expect(64);
    assert!(ended.err().contains("cannot read `nowhere`"), "{}", ended.err());
}

#[test]
fn a_profile_names_the_guests_functions() {
    let folder = faulty();
    folder.write("app/cases/burn.toml", "partition = \"\"\nkey = \"burn:5\"\n[expect]\nmax-fuel = 1\ntext = \"\"\n");
    for file in ["out.json", "out.speedscope.json"] {
        let bench = frond(["bench", "app", "--runs", "2", "--profile", file]).dir(folder.dir()).run().expect(0);
        assert!(bench.out().contains("faulty::leaf"), "{}", bench.out());
        let text = std::fs::read_to_string(folder.path(file)).unwrap();
        serde_json::from_str::<serde_json::Value>(&text).unwrap();
        assert!(text.contains("faulty::leaf"));
    }
}
