//! Isolation of apps: blocking files, hanging loads, and files that keep changing.

use std::fs::File;
use std::io::Write;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use frond_deploy::{AppView, ChangeError, Health, Role, Settings, Stage, Watching};

use crate::kit::{Apps, PI, marked, plugin, refusal};

/// Longer than any test.
const ENDLESS: Duration = Duration::from_secs(3600);

/// Adds an app whose only case sleeps until the time limit of cases.
fn add_sleeper(apps: &Apps, name: &str) {
    apps.write(&format!("{name}/leaf.wasm"), &plugin("faulty"));
    apps.write(&format!("{name}/merge.wasm"), &plugin("faulty"));
    let source = PI.replace("kind = \"range\"\nstart = 0\nend = 1000", "kind = \"query\"").replace("20s", "3600s");
    apps.write(&format!("{name}/frond.toml"), source.as_bytes());
    let case = "query = '{}'\npartition = \"\"\nkey = \"sleep\"\n\n[expect]\nfailure = \"trap\"\n";
    apps.write(&format!("{name}/cases/sleeps.toml"), case.as_bytes());
}

fn make_pipe(apps: &Apps, name: &str) {
    std::fs::create_dir_all(apps.path(name).parent().unwrap()).unwrap();
    assert!(Command::new("mkfifo").arg(apps.path(name)).status().unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipe_or_a_device_is_refused_by_name_and_the_other_apps_are_served() {
    let apps = Apps::new();
    for name in ["case", "beside", "manifest", "leaf", "fine"] {
        apps.add_pi(name);
    }
    make_pipe(&apps, "case/cases/pipe.toml");
    apps.write("beside/cases/zero.toml", b"query-file = \"/dev/zero\"\n");
    apps.remove("manifest/frond.toml");
    apps.remove("leaf/leaf.wasm");
    let mut served = apps.serve().await;
    make_pipe(&apps, "leaf/leaf.wasm");
    make_pipe(&apps, "manifest/frond.toml");
    apps.add_pi("later");
    served.version("later", 1).await;
    served.answer("fine").await;
    let wrong = |app: &str| served.view(app).wrong().unwrap_or_default();
    assert!(
        wrong("case").contains("cannot read `pipe.toml`: it is a named pipe, not a regular file"),
        "{}",
        wrong("case")
    );
    assert!(wrong("beside").contains("cannot read `/dev/zero`: it is a device"), "{}", wrong("beside"));
    assert_eq!(served.view("leaf").health, Health::Broken);
    served.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_cases_of_an_app_read_is_bounded() {
    let apps = Apps::with_pi();
    // A sparse file of a terabyte.
    File::create(apps.path("pi/huge")).unwrap().set_len(1 << 40).unwrap();
    apps.write("pi/cases/huge.toml", b"query-file = \"../huge\"\n");
    let served = apps.serve_unwatched().await;
    let wrong = served.view("pi").wrong().unwrap();
    assert!(wrong.contains("may have 256 MiB together") && wrong.contains("huge"), "{wrong}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_whose_load_takes_long_holds_up_no_other_and_no_end() {
    let apps = Apps::new();
    add_sleeper(&apps, "slow");
    let settings = Settings { case_time: ENDLESS, load_time: ENDLESS, ..apps.settings() };
    let mut served = apps.start(settings);
    let is_tested = |view: &AppView| view.change.as_ref().is_some_and(|change| change.stage == Stage::Testing);
    // The stage may have been reached before the test listened.
    if !served.registry.app("slow").is_some_and(|view| is_tested(&view)) {
        served.change("slow", is_tested).await;
    }
    apps.add_pi("later");
    served.version("later", 1).await;
    served.answer("later").await;
    // An upload to another app is not delayed; one to this app waits for its load.
    let upload = served.registry.put("later", Role::Leaf, marked("pi", 1)).await.unwrap();
    assert_eq!(upload.number, 2);
    let waiting = tokio::spawn({
        let registry = served.registry.clone();
        async move { registry.put("slow", Role::Leaf, marked("faulty", 1)).await }
    });
    assert_eq!(served.view("slow").health, Health::Loading);
    served.close().await;
    assert!(matches!(waiting.await.unwrap(), Err(ChangeError::Stopping)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_that_takes_too_long_is_refused_and_so_is_what_waits_for_it() {
    let apps = Apps::new();
    add_sleeper(&apps, "slow");
    let load_time = Duration::from_millis(300);
    let settings = Settings { case_time: ENDLESS, load_time, watch: Watching::Off, ..apps.settings() };
    // Returns once the app has been checked, and refused.
    let served = apps.serve_with(settings).await;
    let view = served.view("slow");
    let wrong = view.wrong().unwrap();
    assert!(wrong.contains("not loaded within 0.3 s") && wrong.contains("`limits.load`"), "{wrong}");
    assert_eq!((view.health, view.change), (Health::Broken, None));
    let (_, text) = refusal(served.registry.put("slow", Role::Leaf, marked("faulty", 1)).await);
    assert!(text.contains("`limits.load`"), "{text}");
    served.look().await;
    served.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_that_is_written_without_end_hides_no_other() {
    let apps = Apps::new();
    apps.add_pi("noisy");
    let mut served = apps.serve().await;
    let stop = Arc::new(AtomicBool::new(false));
    let writing = std::thread::spawn({
        let path = apps.path("noisy/cases/noise.txt");
        let stop = stop.clone();
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        move || {
            let mut number = 0_u64;
            while !stop.load(Ordering::Relaxed) {
                number += 1;
                File::create(&path).unwrap().write_all(&number.to_le_bytes()).unwrap();
            }
        }
    });
    apps.add_pi("quiet");
    served.version("quiet", 1).await;
    served.answer("noisy").await;
    stop.store(true, Ordering::Relaxed);
    writing.join().unwrap();
}
