//! Checks the server against its API description with schemathesis, which sends valid and invalid
//! requests.
//! `.ci/install-schemathesis` installs it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use crate::common::{Served, by_key};

#[expect(clippy::print_stderr, reason = "whoever looks sees that the test was skipped")]
fn schemathesis() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
    let tools = std::env::var_os("FROND_TOOLS").map_or_else(|| root.join(".tools"), PathBuf::from);
    let versions = std::fs::read_dir(tools.join("schemathesis")).into_iter().flatten().flatten();
    let found = versions.map(|version| version.path().join("bin/schemathesis")).find(|binary| binary.is_file());
    if found.is_none() {
        let remedy = "schemathesis is missing: run .ci/install-schemathesis";
        assert!(std::env::var("CI").is_err(), "{remedy}");
        eprintln!("skipped: {remedy}");
    }
    found
}

/// Narrows the description to existing apps and valid queries, which schemathesis could not guess.
fn narrowed(mut described: Value) -> Value {
    for (path, item) in described["paths"].as_object_mut().unwrap() {
        for operation in item.as_object_mut().unwrap().values_mut() {
            let parameters = operation.get_mut("parameters").and_then(Value::as_array_mut);
            for parameter in parameters.into_iter().flatten().filter(|one| one["name"] == "app") {
                parameter["schema"] = json!({ "enum": ["caller"] });
            }
            if path.ends_with("/query") {
                let query = by_key(&["ok-0", "ok-1", "trap-2"]);
                operation["requestBody"]["content"]["application/octet-stream"]["example"] = json!(query);
            }
        }
    }
    described
}

/// Runs schemathesis in `folder`, where it may leave files.
fn run(schemathesis: &Path, folder: &Path, url: &str) -> Output {
    let with = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/description");
    for file in ["schemathesis.toml", "hooks.py"] {
        std::fs::copy(with.join(file), folder.join(file)).unwrap();
    }
    Command::new(schemathesis)
        .args(["--config-file", "schemathesis.toml", "run", "openapi.json", "--url", url])
        // This stream never ends.
        .args(["--exclude-path", "/v1/events", "--seed", "1", "--no-color"])
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_does_what_its_description_says_and_nothing_else() {
    let Some(schemathesis) = schemathesis() else { return };
    let served = Served::new().await;
    let folder = tempfile::tempdir().unwrap();
    let described = narrowed(served.json("/openapi.json").await).to_string();
    std::fs::write(folder.path().join("openapi.json"), described).unwrap();
    let url = served.url.clone();
    let ran = tokio::task::spawn_blocking(move || run(&schemathesis, folder.path(), &url)).await.unwrap();
    let report = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success(), "{report}{}", String::from_utf8_lossy(&ran.stderr));
    let described = report.lines().find_map(|line| line.trim().strip_prefix("Operations:")).expect("what was tested");
    let numbers: Vec<u32> = described.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    // All operations but `/v1/events`.
    assert!(matches!(numbers[..], [selected, total] if selected > 20 && selected + 1 == total), "{report}");
    assert!(report.contains("No issues found"), "{report}");
    served.json("/v1/server").await;
}
