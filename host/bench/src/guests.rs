//! The measured components, built from `plugins/` at the start of a run.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

const PACKAGES: [&str; 5] = ["frond-pi", "frond-wordcount", "frond-faulty", "frond-intake-list", "frond-intake-pull"];

/// The components' bytes.
pub(crate) struct Guests {
    pub(crate) pi: Vec<u8>,
    pub(crate) wordcount: Vec<u8>,
    pub(crate) faulty: Vec<u8>,
    pub(crate) intake_list: Vec<u8>,
    pub(crate) intake_pull: Vec<u8>,
}

/// Returns the workspace's folder.
pub(crate) fn top() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_path_buf()
}

impl Guests {
    /// Builds and reads the components. If the variable `FROND_BENCH_GUESTS` names a folder, reads
    /// them from there instead.
    pub(crate) fn build() -> anyhow::Result<Self> {
        let dir = match std::env::var_os("FROND_BENCH_GUESTS") {
            Some(dir) => PathBuf::from(dir),
            None => built()?,
        };
        let read = |name: &str| {
            let path = dir.join(name).with_extension("wasm");
            fs::read(&path).with_context(|| format!("cannot read `{}`", path.display()))
        };
        Ok(Self {
            pi: read("pi")?,
            wordcount: read("wordcount")?,
            faulty: read("faulty")?,
            intake_list: read("intake_list")?,
            intake_pull: read("intake_pull")?,
        })
    }
}

fn built() -> anyhow::Result<PathBuf> {
    let target = top().join("target/plugins");
    let mut cargo = Command::new("cargo");
    cargo.current_dir(top()).args(["build", "--quiet", "--profile", "guest", "--target", "wasm32-wasip2"]);
    cargo.arg("--target-dir").arg(&target).args(PACKAGES.iter().flat_map(|name| ["-p", name]));
    ensure!(cargo.status().context("cargo cannot be run")?.success(), "the guests could not be built");
    Ok(target.join("wasm32-wasip2/guest"))
}
