//! Folders of apps. Tests run `frond` inside one, so that messages have short and stable paths.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Frond, frond, plugin};

/// A temporary folder, removed when it is dropped.
pub struct Folder(tempfile::TempDir);

impl Folder {
    pub fn new() -> Self {
        Self(tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap())
    }

    /// Creates a folder with an app whose leaf and merge are the plugin, and `rest` after these
    /// sections in its manifest.
    pub fn with_app(name: &str, rest: &str) -> Self {
        let folder = Self::new();
        folder.link_plugin(name);
        let component = format!("component = \"{name}.wasm\"");
        folder.write("app/frond.toml", format!("[leaf]\n{component}\n\n[merge]\n{component}\n\n{rest}\n"));
        folder
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn dir(&self) -> &Path {
        self.0.path()
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    /// Links `app/NAME.wasm` to the built plugin.
    pub fn link_plugin(&self, name: &str) {
        fs::create_dir_all(self.path("app")).unwrap();
        std::os::unix::fs::symlink(plugin(name), self.path(&format!("app/{name}.wasm"))).unwrap();
    }

    /// Replaces `app/NAME.wasm` by a link to the built plugin, with an atomic rename.
    pub fn link_again(&self, name: &str) {
        let new = self.path("new.wasm");
        std::os::unix::fs::symlink(plugin(name), &new).unwrap();
        fs::rename(new, self.path(&format!("app/{name}.wasm"))).unwrap();
    }

    /// Returns `frond` inside the folder, with arguments that are separated by spaces.
    pub fn frond(&self, args: &str) -> Frond {
        frond(args.split_whitespace()).dir(self.dir())
    }
}
