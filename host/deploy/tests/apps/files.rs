//! Changes of files: new apps, new components, removed apps, and incomplete files.

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use frond_deploy::{Health, Origin, Settings, Stage, Watching};
use frond_root::{CancellationToken, Event, EventKind, Events, Floor, Listener};
use frond_run::{Question, Role, ask};
use tokio::sync::oneshot;

use crate::kit::{Apps, PI, core_module, digest, garbage, marked, plugin, serve_as_server};

#[tokio::test(flavor = "multi_thread")]
async fn an_app_that_appears_is_served() {
    let apps = Apps::new();
    let mut served = apps.serve().await;
    assert!(served.registry.apps().is_empty());
    apps.add_pi("late");
    let view = served.version("late", 1).await;
    assert_eq!((view.health, view.source, view.order), (Health::Serving, Some("range"), Some("any")));
    assert_eq!(view.serving.unwrap().leaf.origin, Origin::File);
    assert!(!served.answer("late").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_component_serves_while_a_query_ends_on_the_old_one() {
    let apps = Apps::new();
    apps.write("busy/leaf.wasm", &plugin("faulty"));
    apps.write("busy/merge.wasm", &plugin("faulty"));
    let source = PI.replace("kind = \"range\"\nstart = 0\nend = 1000", "kind = \"query\"");
    apps.write("busy/frond.toml", source.as_bytes());
    let mut served = apps.serve().await;
    let old = served.current("busy");

    let body =
        Bytes::from_static(br#"{"query": {}, "partitions": [{"key": "ok", "data": 1}, {"key": "sleep", "data": 1}]}"#);
    let request = frond_root::Request { floor: Floor::BestEffort, ..old.wired.request(&body) };
    let (events, begun) = first_ended();
    let cancel = CancellationToken::new();
    let wired = old.wired.clone();
    let later = cancel.clone();
    let query = tokio::spawn(async move { ask(&wired, Question::new(request), events, later).await.unwrap() });
    if begun.await.is_err() {
        panic!("the query ended: {:?}", query.await);
    }

    apps.write("busy/leaf.wasm", &marked("faulty", 1));
    let view = served.version("busy", 2).await;
    assert_eq!(view.serving.unwrap().leaf.digest, digest(&marked("faulty", 1)));
    assert!(!query.is_finished(), "the query goes on");
    cancel.cancel();
    let answer = query.await.unwrap();
    assert_eq!((answer.outcome(), answer.coverage().partitions.succeeded), ("partial", 1));

    let gone = Arc::downgrade(&old);
    drop(old);
    assert!(gone.upgrade().is_none(), "nothing holds the old version any more");
}

/// Events, and a signal when the first attempt has ended, while others run.
fn first_ended() -> (Events, oneshot::Receiver<()>) {
    struct Ended(Mutex<Option<oneshot::Sender<()>>>);
    impl Listener for Ended {
        fn event(&self, event: &Event) {
            if matches!(event.kind, EventKind::AttemptEnded { .. })
                && let Some(tell) = self.0.lock().unwrap().take()
            {
                tell.send(()).unwrap();
            }
        }
    }
    let (tell, told) = oneshot::channel();
    (Events::new(vec![Arc::new(Ended(Mutex::new(Some(tell))))]), told)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_component_is_refused_and_the_old_one_serves() {
    let apps = Apps::with_pi();
    let mut served = apps.serve().await;
    for (bytes, wrong) in
        [(garbage(), "is not WebAssembly"), (core_module(), "is a core module"), (Bytes::new(), "is empty")]
    {
        apps.write("pi/leaf.wasm", &bytes);
        let (stage, text) = served.refused("pi").await;
        assert_eq!(stage, Stage::Validating);
        assert!(text.contains("frond.toml:2: leaf.component") && text.contains(wrong), "{text}");
        assert_eq!(served.current("pi").number, 1);
        served.answer("pi").await;
    }
    apps.write("pi/leaf.wasm", &plugin("pi"));
    let view = served.change("pi", |view| view.refused.is_none()).await;
    assert_eq!(view.serving.unwrap().number, 1, "what serves already is no new version");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_for_another_role_is_refused() {
    let apps = Apps::with_pi();
    let mut served = apps.serve().await;
    apps.write("pi/merge.wasm", &plugin("rail_leaf"));
    let (stage, text) = served.refused("pi").await;
    assert_eq!(stage, Stage::Validating);
    assert!(text.contains("merge.component") && text.contains("does not export frond:plugin/merge-partials"), "{text}");
    served.answer("pi").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slip_in_frond_toml_is_refused_with_its_line() {
    let apps = Apps::with_pi();
    let mut served = apps.serve().await;
    apps.write("pi/frond.toml", PI.replace("deadline", "deadlin").as_bytes());
    let (stage, text) = served.refused("pi").await;
    assert_eq!(stage, Stage::Validating);
    assert!(text.contains("frond.toml:13: query.deadlin") && text.contains("did you mean `deadline`?"), "{text}");
    served.answer("pi").await;

    apps.write("pi/frond.toml", PI.replace("20s", "7s").as_bytes());
    let view = served.version("pi", 2).await;
    assert_eq!((view.deadline_ms, view.refused), (Some(7000.0), None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pin_holds() {
    let apps = Apps::with_pi();
    let pin = |bytes: &[u8]| PI.replace("leaf.wasm\"", &format!("leaf.wasm\"\nsha256 = \"{}\"", digest(bytes)));
    apps.write("pi/frond.toml", pin(&plugin("pi")).as_bytes());
    let mut served = apps.serve().await;
    apps.write("pi/leaf.wasm", &marked("pi", 1));
    let (_, text) = served.refused("pi").await;
    assert!(text.contains("is not the file that is pinned"), "{text}");
    apps.write("pi/frond.toml", pin(&marked("pi", 1)).as_bytes());
    served.version("pi", 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_that_was_broken_from_the_start_is_served_once_it_is_right() {
    let apps = Apps::with_pi();
    apps.remove("pi/leaf.wasm");
    let mut served = apps.serve().await;
    let view = served.view("pi");
    assert_eq!((view.health, served.registry.current("pi").is_none()), (Health::Broken, true));
    assert!(view.why().contains("there is no file"), "{}", view.why());
    apps.write("pi/leaf.wasm", &plugin("pi"));
    assert_eq!(served.version("pi", 1).await.health, Health::Serving);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_broken_app_does_not_stop_the_others() {
    let apps = Apps::with_pi();
    apps.write("broken/frond.toml", b"[leaf");
    apps.write(".hidden/frond.toml", PI.as_bytes());
    apps.write("no-app/readme", b"");
    let served = apps.serve().await;
    let names: Vec<String> = served.registry.apps().into_iter().map(|view| view.name).collect();
    assert_eq!(names, ["broken", "pi"]);
    assert!(served.is_served("pi") && !served.is_served("broken"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_goes_takes_its_app_along_and_queries_end() {
    let apps = Apps::with_pi();
    let mut served = apps.serve().await;
    let old = served.current("pi");
    fs::remove_dir_all(apps.path("pi")).unwrap();
    served.change("pi", |view| view.health == Health::Gone).await;
    assert!(served.registry.app("pi").is_none() && served.registry.current("pi").is_none());
    assert_eq!(crate::kit::answer(&old, "{}").await.outcome(), "complete");
    apps.add_pi("pi");
    served.change("pi", |view| view.health == Health::Serving && view.change.is_none()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_with_a_frond_toml_is_one_app() {
    let apps = Apps::with_pi();
    let one = apps.path("pi");
    let settings = Settings::new(&one);
    let machine = Arc::new(frond_run::Machine::new(2).unwrap());
    let runtime = tokio::runtime::Handle::current();
    let threads = machine.start(&runtime).unwrap();
    let host = frond_deploy::Host { machine, threads, runtime, crew: None };
    let registry = frond_deploy::Registry::open(&one, settings, host).await.unwrap();
    assert_eq!(registry.apps().len(), 1);
    assert!(registry.current("pi").is_some());
    registry.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_outside_the_folder_is_watched_even_before_its_folder_is_there() {
    let apps = Apps::new();
    let manifest = PI.replace("leaf.wasm", "../built/deep/leaf.wasm").replace("merge.wasm", "../built/deep/leaf.wasm");
    apps.write("pi/frond.toml", manifest.as_bytes());
    let mut served = apps.serve().await;
    assert_eq!(served.view("pi").health, Health::Broken);
    apps.write("built/deep/leaf.wasm", &plugin("pi"));
    served.version("pi", 1).await;
    // As a linker does, or `cp` to another name followed by `mv`.
    apps.write("built/deep/new", &marked("pi", 3));
    fs::rename(apps.path("built/deep/new"), apps.path("built/deep/leaf.wasm")).unwrap();
    served.version("pi", 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_of_changes_ends_with_the_last_of_them() {
    let apps = Apps::with_pi();
    let mut served = apps.serve().await;
    for mark in 0..20 {
        apps.write("pi/leaf.wasm", &marked("pi", mark));
    }
    let last = digest(&marked("pi", 19));
    let view = served
        .change("pi", |view| view.change.is_none() && view.serving.as_ref().is_some_and(|one| one.leaf.digest == last))
        .await;
    assert!(view.serving.unwrap().number < 10, "one check does for many changes");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_half_written_never_serves() {
    let apps = Apps::with_pi();
    let mut served = apps.serve().await;
    let whole = marked("pi", 1);
    let (first, rest) = whole.split_at(whole.len() / 2);
    let mut file = fs::File::create(apps.path("pi/leaf.wasm")).unwrap();
    file.write_all(first).unwrap();
    let (_, text) = served.refused("pi").await;
    assert!(text.contains("is broken") && text.contains("was it copied whole?"), "{text}");
    assert_eq!(served.current("pi").number, 1);
    file.write_all(rest).unwrap();
    drop(file);
    served.version("pi", 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_watch_files_are_looked_at_when_told_to() {
    let apps = Apps::with_pi();
    let served = apps.serve_unwatched().await;
    apps.write("pi/leaf.wasm", &marked("pi", 1));
    assert_eq!(served.current("pi").number, 1);
    served.look().await;
    assert_eq!(served.current("pi").number, 2);
    assert_eq!(served.current("pi").digest(Role::Leaf), Some(digest(&marked("pi", 1))));
    assert_eq!(served.current("pi").digest(Role::Split), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_goes_by_its_folder_whatever_it_calls_itself() {
    let apps = Apps::new();
    let odd = "Ünïcode %2e%2e & spaces";
    apps.add_pi(odd);
    apps.write(&format!("{odd}/frond.toml"), format!("name = \"../../other\"\n{PI}").as_bytes());
    let served = apps.serve().await;
    let version = served.current(odd);
    assert_eq!(version.wired.app.name, odd);
    for name in ["..", ".", "", "../pi", "/", "ünïcode %2e%2e & spaces", "other", "../../other"] {
        let result = served.registry.put(name, Role::Leaf, plugin("pi")).await;
        assert!(matches!(result, Err(frond_deploy::ChangeError::NotFound)), "{name}: {result:?}");
    }
    served.registry.put(odd, Role::Leaf, marked("pi", 1)).await.unwrap();
    let kept: Vec<String> = fs::read_dir(apps.path(".frond/apps"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-.".contains(c);
    assert!(kept.len() == 1 && kept[0].chars().all(plain), "{kept:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_there_are_too_many_folders_to_watch_they_are_looked_at() {
    let apps = Apps::with_pi();
    let one = |number| {
        fs::create_dir_all(apps.path(&format!("pi/data/{number}"))).unwrap();
        format!("{{ key = \"{number}\", file = \"data/{number}/part\" }}")
    };
    let list: Vec<String> = (0..4200).map(one).collect();
    let source = format!("kind = \"list\"\npartitions = [{}]", list.join(", "));
    let manifest = PI.replace("kind = \"range\"\nstart = 0\nend = 1000", &source);
    apps.write("pi/frond.toml", manifest.as_bytes());
    let mut served = apps.serve().await;
    apps.write("pi/leaf.wasm", &marked("pi", 1));
    served.version("pi", 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn components_that_change_one_after_the_other_are_one_change() {
    let apps = Apps::with_pi();
    let mut served = apps.serve_with(Settings { together: Duration::from_secs(3600), ..apps.settings() }).await;
    apps.write("pi/leaf.wasm", &marked("pi", 1));
    served.change("pi", |view| view.change.as_ref().is_some_and(|change| change.stage == Stage::Waiting)).await;
    assert_eq!(served.current("pi").number, 1);
    apps.write("pi/merge.wasm", &marked("pi", 2));
    let serving = served.version("pi", 2).await.serving.unwrap();
    assert_eq!((serving.leaf.digest, serving.merge.digest), (digest(&marked("pi", 1)), digest(&marked("pi", 2))));

    apps.write("pi/leaf.wasm", &marked("pi", 3));
    served.change("pi", |view| view.change.as_ref().is_some_and(|change| change.stage == Stage::Waiting)).await;
    served.look().await;
    assert_eq!(served.current("pi").number, 3, "who asks for it does not wait");
}

/// Points `link` to `target` by an atomic rename, as release tools do.
fn switch(target: &str, link: &Path) {
    let new = link.with_file_name(".switched");
    symlink(target, &new).unwrap();
    fs::rename(new, link).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_serves_once_the_link_is_switched_to_it() {
    let apps = Apps::new();
    apps.add_pi("rel/1");
    apps.add_pi("rel/2");
    apps.write("rel/2/leaf.wasm", &marked("pi", 2));
    let current = apps.path("current");
    symlink("rel/1", &current).unwrap();
    let mut served = serve_as_server(&current).await;
    assert_eq!(served.current("current").number, 1);
    switch("rel/2", &current);
    let serving = served.version("current", 2).await.serving.unwrap();
    assert_eq!(serving.leaf.digest, digest(&marked("pi", 2)));
    served.close().await;
    fs::remove_dir_all(apps.path("rel/1")).unwrap();
    let served = serve_as_server(&current).await;
    assert_eq!(served.current("current").number, 2, "what is remembered does not lie in a release");
}

#[tokio::test(flavor = "multi_thread")]
async fn apps_of_a_folder_behind_a_link_serve_once_it_is_switched() {
    let apps = Apps::new();
    apps.add_pi("v1/pi");
    apps.add_pi("v2/pi");
    apps.write("v2/pi/leaf.wasm", &marked("pi", 2));
    let current = apps.path("current");
    symlink("v1", &current).unwrap();
    let mut served = serve_as_server(&current).await;
    switch("v2", &current);
    served.version("pi", 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_whose_files_are_links_is_followed() {
    let apps = Apps::new();
    for (version, mark) in [("..v1", 1), ("..v2", 2)] {
        apps.write(&format!("pi/{version}/leaf.wasm"), &marked("pi", mark));
        apps.write(&format!("pi/{version}/merge.wasm"), &marked("pi", mark));
        apps.write(&format!("pi/{version}/frond.toml"), PI.as_bytes());
    }
    symlink("..v1", apps.path("pi/..data")).unwrap();
    for file in ["leaf.wasm", "merge.wasm", "frond.toml"] {
        symlink(format!("..data/{file}"), apps.path(&format!("pi/{file}"))).unwrap();
    }
    let mut served = apps.serve().await;
    switch("..v2", &apps.path("pi/..data"));
    served.version("pi", 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_on_the_way_to_a_component_is_followed() {
    let apps = Apps::with_pi();
    apps.write("built/1/leaf.wasm", &plugin("pi"));
    apps.write("built/2/leaf.wasm", &marked("pi", 2));
    symlink("1", apps.path("built/current")).unwrap();
    apps.write("pi/frond.toml", PI.replace("leaf.wasm", "../built/current/leaf.wasm").as_bytes());
    let mut served = apps.serve().await;
    switch("2", &apps.path("built/current"));
    served.version("pi", 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_looked_at_where_nobody_tells_of_them() {
    let apps = Apps::with_pi();
    let mut served = apps.serve_with(Settings { watch: Watching::Polled, ..apps.settings() }).await;
    apps.write("pi/leaf.wasm", &marked("pi", 1));
    served.version("pi", 2).await;
    apps.add_pi("late");
    served.version("late", 1).await;
}
