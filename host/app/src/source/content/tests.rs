//! Places, reopened by another process, in another folder or on another mount; and growing files.

use std::fs::{self, File};
use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use frond_root::{Notes, Partition};

use super::reopen;
use crate::source::Inputs;
use crate::testing::Folder;

const SOURCE: &str = "[source]\nkind = \"files\"\nglob = \"data/*\"\npiece-size = 8\n";

fn app() -> Folder {
    let folder = Folder::app(SOURCE);
    folder.write("data/a", "one\ntwo\nthree\nfour\n");
    folder
}

fn planned(folder: &Folder) -> Vec<Partition> {
    folder.cut(Inputs::new(b"", 1)).unwrap()
}

fn places(partitions: &[Partition]) -> Vec<String> {
    partitions.iter().map(|one| one.content.place().unwrap()).collect()
}

/// Reads a place like a process whose app is in `folder`.
fn read(place: &str, folder: &Folder) -> Result<String, String> {
    let content = reopen(place, folder.dir(), &Arc::default()).unwrap();
    match content.whole() {
        Ok(bytes) => Ok(String::from_utf8(bytes.to_vec()).unwrap()),
        Err(failure) => Err(failure.to_string().replace(folder.dir().to_str().unwrap(), "APP")),
    }
}

fn set_modified(folder: &Folder, name: &str, at: SystemTime) {
    File::options().write(true).open(folder.path(name)).unwrap().set_modified(at).unwrap();
}

fn modified(folder: &Folder, name: &str) -> SystemTime {
    fs::metadata(folder.path(name)).unwrap().modified().unwrap()
}

fn append(folder: &Folder, name: &str, text: &str) {
    File::options().append(true).open(folder.path(name)).unwrap().write_all(text.as_bytes()).unwrap();
}

#[test]
fn a_place_holds_for_a_copy_of_the_app_in_another_folder() {
    let here = app();
    let there = app();
    let partitions = planned(&here);
    let places = places(&partitions);
    assert!(places.iter().all(|place| !place.contains(here.dir().to_str().unwrap())), "{places:?}");
    let at = modified(&here, "data/a");
    set_modified(&there, "data/a", at);
    let read_there: Vec<_> = places.iter().map(|place| read(place, &there).unwrap()).collect();
    assert_eq!(read_there.concat(), "one\ntwo\nthree\nfour\n");
    // Archives keep whole seconds.
    let seconds = at.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    set_modified(&there, "data/a", SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
    assert_eq!(read(&places[0], &there).unwrap(), "one\n");
    set_modified(&there, "data/a", SystemTime::UNIX_EPOCH + Duration::from_secs(seconds + 1));
    assert_eq!(
        read(&places[0], &there).unwrap_err(),
        "invalid-partition: `APP/data/a` has changed since it was planned"
    );
}

#[test]
fn places_of_former_stores_are_read() {
    let folder = app();
    let since = modified(&folder, "data/a").duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let path = serde_json::to_string(&folder.path("data/a")).unwrap();
    let seconds = since.as_secs();
    let nanos = since.subsec_nanos();
    // The device and inode are those of another mount.
    let place = format!(
        "{{\"file\":{{\"path\":{path},\"stamp\":{{\"size\":19,\"modified\":[{seconds},{nanos}],\"device\":1,\"inode\":2}}}},\
         \"offset\":4,\"len\":4}}"
    );
    assert_eq!(read(&place, &Folder::new()).unwrap(), "two\n");
}

#[test]
fn what_is_no_place_is_an_invalid_partition() {
    let failure = reopen("nowhere", Folder::new().dir(), &Arc::default()).unwrap_err();
    let text = "invalid-partition: the stored location of a partition is invalid";
    assert!(failure.to_string().starts_with(text), "{failure}");
}

#[test]
fn a_file_that_was_lost_stays_lost_with_its_reason() {
    let folder = app();
    std::os::unix::fs::symlink("nowhere", folder.path("data/b")).unwrap();
    let partitions = planned(&folder);
    let lost = partitions.last().unwrap();
    assert!(lost.content.is_unreadable());
    let again = reopen(&lost.content.place().unwrap(), folder.dir(), &Arc::default()).unwrap();
    assert!(again.is_unreadable());
    assert_eq!(again.whole().unwrap_err(), lost.content.whole().unwrap_err());
}

#[test]
fn a_file_that_has_grown_is_read_to_its_planned_size() {
    let folder = app();
    let partitions = planned(&folder);
    let places = places(&partitions);
    for _ in 0..3 {
        append(&folder, "data/a", "and five\n");
        let here: Vec<_> = partitions.iter().map(|one| one.content.whole().unwrap()).collect();
        assert_eq!(here.concat(), b"one\ntwo\nthree\nfour\n");
        let there: Vec<_> = places.iter().map(|place| read(place, &folder).unwrap()).collect();
        assert_eq!(there.concat(), "one\ntwo\nthree\nfour\n");
    }
}

#[test]
fn a_file_that_was_cut_off_or_replaced_has_changed_even_if_it_is_longer() {
    type Change = fn(&Folder);
    let changes: [(&str, Change); 4] = [
        ("cut off", |folder| fs::write(folder.path("data/a"), "one\n").unwrap()),
        ("written anew", |folder| fs::write(folder.path("data/a"), "one\ntwo\nthree\nFOUR\nfive\n").unwrap()),
        ("replaced", |folder| {
            folder.write("b", "one\ntwo\nthree\nFOUR\nfive\n");
            fs::rename(folder.path("b"), folder.path("data/a")).unwrap();
        }),
        ("of its size", |folder| {
            let at = modified(folder, "data/a");
            fs::write(folder.path("data/a"), "ONE\ntwo\nthree\nfour\n").unwrap();
            set_modified(folder, "data/a", at + Duration::from_secs(2));
        }),
    ];
    for (what, change) in changes {
        let folder = app();
        let partitions = planned(&folder);
        let place = partitions[0].content.place().unwrap();
        change(&folder);
        let failure = partitions[0].content.whole().unwrap_err().to_string();
        assert!(failure.ends_with("has changed since it was planned"), "{what}: {failure}");
        let failure = read(&place, &folder).unwrap_err();
        assert!(failure.ends_with("has changed since it was planned"), "{what}: {failure}");
    }
}

#[test]
fn a_file_that_was_at_rest_for_long_and_is_longer_now_has_changed() {
    let folder = app();
    set_modified(&folder, "data/a", SystemTime::now() - Duration::from_secs(24 * 3600));
    let partitions = planned(&folder);
    append(&folder, "data/a", "five\n");
    let failure = partitions[0].content.whole().unwrap_err().to_string();
    assert!(failure.ends_with("has changed since it was planned"), "{failure}");
}

#[test]
fn a_place_s_file_is_looked_at_for_remarks() {
    let folder = Folder::app(SOURCE);
    folder.write("data/a", b"\x1f\x8b\x08rest\nand\nmore\n");
    let partitions = planned(&folder);
    let notes: Arc<Notes> = Arc::default();
    for one in &partitions {
        reopen(&one.content.place().unwrap(), folder.dir(), &notes).unwrap().whole().unwrap();
    }
    assert_eq!(notes.list(), ["`data/a`: compressed (gzip), and given to leaves as it is (decompress it first)"]);
}
