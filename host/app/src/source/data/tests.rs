//! Files that a root names are read in a worker's folders, and nowhere else.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::process::Command;
use std::time::{Duration, SystemTime};

use frond_root::Partition;

use super::*;
use crate::source::Inputs;
use crate::testing::Folder;

const TEXT: &str = "one\ntwo\nthree\nfour\n";

/// The partitions of an app whose `data/a` is cut into pieces.
fn planned(folder: &Folder) -> Vec<Partition> {
    folder.write("data/a", TEXT);
    folder.cut(Inputs::new(b"", 1)).unwrap()
}

fn app() -> Folder {
    Folder::app("[source]\nkind = \"files\"\nglob = \"data/*\"\npiece-size = 8\n")
}

fn folders(texts: &[String]) -> DataFolders {
    DataFolders::new(texts.iter().map(|text| text.parse().unwrap()).collect())
}

fn shown(folder: &Folder, name: &str) -> String {
    folder.path(name).display().to_string()
}

/// Reads a piece in these folders; `None` if it is not even looked for.
fn read(folders: &DataFolders, piece: &FilePiece) -> Option<Result<String, String>> {
    let read = folders.content(piece)?.whole();
    Some(read.map(|bytes| String::from_utf8(bytes.to_vec()).unwrap()).map_err(|failure| failure.to_string()))
}

/// The whole file `name` of the folder, as a root has it.
fn whole(folder: &Folder, name: &str) -> FilePiece {
    let found = fs::metadata(folder.path(name)).unwrap();
    let modified = found.modified().unwrap().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let modified = (modified.as_secs().try_into().unwrap(), modified.subsec_nanos());
    FilePiece { path: folder.path(name), size: found.len(), modified, offset: 0, len: found.len() }
}

fn set_modified(folder: &Folder, name: &str, at: SystemTime) {
    File::options().write(true).open(folder.path(name)).unwrap().set_modified(at).unwrap();
}

#[test]
fn pieces_are_read_in_a_folder_that_contains_the_path_of_the_root() {
    let root = app();
    let pieces: Vec<_> = planned(&root).iter().map(|one| one.content.file().unwrap()).collect();
    assert!(pieces.len() > 1, "{pieces:?}");
    let here = folders(&[shown(&root, "data")]);
    let all: String = pieces.iter().map(|piece| read(&here, piece).unwrap().unwrap()).collect();
    assert_eq!(all, TEXT);
}

#[test]
fn a_folder_may_have_another_path_at_the_root() {
    let root = app();
    let piece = planned(&root).first().unwrap().content.file().unwrap();
    let here = Folder::new();
    here.write("deep/a", TEXT);
    set_modified(&here, "deep/a", fs::metadata(root.path("data/a")).unwrap().modified().unwrap());
    let mapped = format!("{}={}", shown(&root, "data"), shown(&here, "deep"));
    assert_eq!(read(&folders(std::slice::from_ref(&mapped)), &piece).unwrap().unwrap(), "one\n");
    // The longest path at the root has the file, in any order.
    let empty = tempfile::tempdir().unwrap();
    let other = format!("{}={}", root.dir().display(), empty.path().display());
    assert_eq!(read(&folders(&[mapped.clone(), other.clone()]), &piece).unwrap().unwrap(), "one\n");
    assert_eq!(read(&folders(&[other.clone(), mapped]), &piece).unwrap().unwrap(), "one\n");
    assert!(read(&folders(&[other]), &piece).unwrap().unwrap_err().contains("is gone"));
}

#[test]
fn arguments_are_folders_with_or_without_another_path() {
    let folder = Folder::new();
    folder.write("date=2024/a", "");
    let dir = folder.dir().display();
    let read = |text: String| text.parse::<DataFolder>().map_err(|error| error.to_string());
    let plain = read(format!("{dir}/date=2024/../date=2024")).unwrap();
    assert_eq!(plain.at_root, folder.path("date=2024"));
    let mapped = read(format!("/srv/x=1/={dir}/date=2024")).unwrap();
    assert_eq!(mapped, DataFolder { at_root: "/srv/x=1".into(), here: folder.path("date=2024") });
    let relative = read(format!("srv={dir}")).unwrap_err();
    assert_eq!(relative, "`srv` is a path at the root, and must be absolute");
    for wrong in ["nowhere", "date=2024/a"] {
        let refused = read(format!("{dir}/{wrong}")).unwrap_err();
        assert!(refused.starts_with("cannot open the folder `"), "{refused}");
    }
}

#[test]
fn paths_outside_of_the_folders_are_not_looked_for() {
    let folder = Folder::new();
    folder.write("data/a", "inside");
    folder.write("data-too/a", "outside");
    folder.write("secret", "outside");
    let here = folders(&[shown(&folder, "data")]);
    assert_eq!(read(&here, &whole(&folder, "data/a")).unwrap().unwrap(), "inside");
    for outside in ["data-too/a", "secret", "data/../secret", "data/sub/../../secret"] {
        folder.write("data/sub/b", "");
        assert_eq!(read(&here, &whole(&folder, outside)), None, "{outside}");
    }
    let nowhere = FilePiece { path: folder.path("data"), ..whole(&folder, "data/a") };
    assert_eq!(read(&here, &nowhere), None);
    assert_eq!(read(&DataFolders::default(), &whole(&folder, "data/a")), None);
}

#[test]
fn links_lead_nowhere_outside_of_the_folder() {
    let folder = Folder::new();
    folder.write("data/sub/a", "inside");
    folder.write("secret/a", "outside");
    symlink("sub/a", folder.path("data/inside")).unwrap();
    symlink("../secret/a", folder.path("data/relative")).unwrap();
    symlink(folder.path("secret/a"), folder.path("data/absolute")).unwrap();
    symlink("../secret", folder.path("data/folder")).unwrap();
    symlink("/proc/self/root", folder.path("data/magic")).unwrap();
    let here = folders(&[shown(&folder, "data")]);
    assert_eq!(read(&here, &whole(&folder, "data/inside")).unwrap().unwrap(), "inside");
    let magic = format!("data/magic{}", folder.path("secret/a").display());
    for outside in ["data/relative", "data/absolute", "data/folder/a", &magic] {
        let refused = read(&here, &whole(&folder, outside)).unwrap().unwrap_err();
        assert!(refused.contains("cannot read"), "{outside}: {refused}");
    }
}

#[test]
fn special_files_are_not_opened() {
    let folder = Folder::new();
    assert!(Command::new("mkfifo").arg(folder.path("pipe")).status().unwrap().success());
    folder.write("sub/a", "");
    let here = folders(&[folder.dir().display().to_string()]);
    for (name, what) in [("pipe", "a named pipe"), ("sub", "a folder")] {
        let refused = read(&here, &whole(&folder, name)).unwrap().unwrap_err();
        assert!(refused.contains(&format!("it is {what}, not a regular file")), "{refused}");
    }
}

#[test]
fn a_file_that_differs_from_the_planned_one_is_not_read() {
    let folder = Folder::new();
    folder.write("a", TEXT);
    set_modified(&folder, "a", SystemTime::UNIX_EPOCH + Duration::new(1_000_000, 5));
    let here = folders(&[folder.dir().display().to_string()]);
    let right = whole(&folder, "a");
    assert_eq!(read(&here, &right).unwrap().unwrap(), TEXT);
    // Archives keep whole seconds.
    assert_eq!(read(&here, &FilePiece { modified: (1_000_000, 0), ..right.clone() }).unwrap().unwrap(), TEXT);
    let wrong = [
        FilePiece { modified: (1_000_000, 6), ..right.clone() },
        FilePiece { modified: (1_000_001, 5), ..right.clone() },
        FilePiece { modified: (-1, u32::MAX), ..right.clone() },
        FilePiece { size: right.size - 1, len: 3, ..right.clone() },
        FilePiece { size: right.size + 1, len: 3, ..right.clone() },
        FilePiece { size: u64::MAX, len: u64::MAX, ..right.clone() },
    ];
    for piece in wrong {
        let refused = read(&here, &piece).unwrap().unwrap_err();
        assert!(refused.contains("has changed since it was planned"), "{piece:?}: {refused}");
    }
    for (offset, len) in [(0, right.size + 1), (u64::MAX, 1), (right.size, 1)] {
        assert_eq!(read(&here, &FilePiece { offset, len, ..right.clone() }), None);
    }
    // It grows: the root knows whether its planned bytes are still there.
    let content = here.content(&right).unwrap();
    folder.write("a", format!("{TEXT}five\n"));
    assert!(content.read(0, 1).is_err());
}

#[test]
fn a_root_tells_absolute_paths_without_detours() {
    let root = app();
    root.write("there/b", TEXT);
    root.write("app/frond.toml", fs::read_to_string(root.path("frond.toml")).unwrap().replace("data/*", "../there/*"));
    let app = crate::App::load(&root.path("app")).unwrap();
    let crate::Cut::Ready { partitions, .. } = app.partitions(Inputs::new(b"", 1)).unwrap() else { panic!() };
    let piece = partitions.first().unwrap().content.file().unwrap();
    assert_eq!(piece.path, root.path("there/b"));
    assert_eq!(read(&folders(&[shown(&root, "there")]), &piece).unwrap().unwrap(), "one\n");
}
