//! Leaves for workers: what a root ships of them, and how a worker loads it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, Weak};

use bytes::Bytes;
use frond_app::source::{DataFolder, DataFolders};
use frond_broker::{FileReach, LeafCode, LeafCodes, LeafLoader, LeafSource, ShippedCode};
use frond_root::call::{Grants, InstanceMode, Limits};
use frond_root::sync::lock;
use frond_root::{Content, DigestWriter, FilePiece, LeafRunner, PieceSizes};
use frond_sandbox::{GuestGrants, Leaf, LeafHost, Metering, Plugin, Role, Sandbox, Slots};
use serde::{Deserialize, Serialize};

use crate::env::with_env;
use crate::machine::Machine;

/// The most leaves that a worker keeps loaded. The one that was used the longest ago goes first.
const MOST_LEAVES: usize = 64;

/// Remedy for grants that a worker does not allow.
const ALLOW: &str =
    "(`frond worker --allow FILE` allows the [grants] of a frond.toml; processes of `--workers` have none)";
/// Remedy for what a worker cannot read.
const VERSIONS: &str = "(run the same version of frond on both sides)";

/// Name of this program's engine. Compiled code is shipped only to workers with the same one; the
/// engine checks it again when it loads the code.
#[must_use]
pub fn engine() -> String {
    format!("frond-{}-{}-{}", env!("CARGO_PKG_VERSION"), std::env::consts::ARCH, std::env::consts::OS)
}

/// Settings of a leaf, as a root ships them.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LeafSettings {
    limits: Limits,
    deterministic: bool,
    instance: InstanceMode,
    grants: Grants,
    /// True if its calls are interrupted by nothing but the end of their process.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    is_unmetered: bool,
}

/// Code of one leaf.
struct Codes {
    settings: Bytes,
    component: Bytes,
    plugin: Arc<Plugin>,
}

impl LeafCodes for Codes {
    fn code(&self, own: &str) -> Result<ShippedCode, String> {
        let compiled =
            if own == engine() { Some(self.plugin.code().map_err(|error| error.to_string())?) } else { None };
        let settings = self.settings.clone();
        let component = self.component.clone();
        Ok(ShippedCode { settings, component, compiled: compiled.map(Bytes::from) })
    }
}

/// Code of a leaf for workers.
pub(crate) struct ShippedPlugin {
    /// The compiled code.
    pub(crate) plugin: Arc<Plugin>,
    /// The verified component.
    pub(crate) bytes: Bytes,
    /// True if its calls are interrupted by nothing but the end of their process.
    pub(crate) is_unmetered: bool,
}

/// Makes the leaf that workers run of one that is loaded here.
pub(crate) fn source(leaf: &Leaf, shipped: ShippedPlugin) -> LeafSource {
    let Leaf { plugin: _, limits, deterministic, grants, instance } = leaf;
    let ShippedPlugin { plugin, bytes: component, is_unmetered } = shipped;
    let settings = LeafSettings {
        limits: *limits,
        deterministic: *deterministic,
        instance: *instance,
        grants: grants.app.clone(),
        is_unmetered,
    };
    // These types have no maps with other keys than texts, so they are always JSON.
    let settings = Bytes::from(serde_json::to_vec(&settings).unwrap_or_default());
    LeafSource {
        leaf: name(&settings, &component),
        output: limits.output,
        pieces: plugin.takes_pieces().then_some(if *deterministic { PieceSizes::Fixed } else { PieceSizes::Timed }),
        codes: Arc::new(Codes { settings, component, plugin }),
    }
}

/// Digest that names a leaf.
fn name(settings: &[u8], component: &[u8]) -> Bytes {
    let mut digest = DigestWriter::default();
    digest.add_whole(settings);
    digest.add_whole(component);
    Bytes::copy_from_slice(&digest.finish().0)
}

/// Files of a worker's data folders.
#[derive(Debug)]
struct WorkerFiles(DataFolders);

impl FileReach for WorkerFiles {
    fn content(&self, piece: &FilePiece) -> Option<Arc<dyn Content>> {
        self.0.content(piece)
    }
}

/// Files in these folders, which a worker reads in place of its roots; `None` without folders.
#[must_use]
pub fn files_in(folders: Vec<DataFolder>) -> Option<Arc<dyn FileReach>> {
    let has_folders = !folders.is_empty();
    has_folders.then(|| Arc::new(WorkerFiles(DataFolders::new(folders))) as Arc<dyn FileReach>)
}

/// Leaves of a worker, on its slots.
pub struct WorkerLeaves(Arc<Shared>);

/// Leaves of a worker, and what they may use.
struct Shared {
    machine: Arc<Machine>,
    slots: Slots,
    allowed: Grants,
    trusts_code: bool,
    runs_unmetered: bool,
    /// Loaded leaves, the one that was used last at the end.
    loaded: Mutex<Vec<LoadedLeaf>>,
    /// Leaves that are being loaded: roots that ask for one leaf at once have it loaded once.
    loading: Mutex<HashMap<Bytes, Weak<Mutex<()>>>>,
}

/// A loaded leaf.
struct LoadedLeaf {
    name: Bytes,
    runner: Arc<dyn LeafRunner>,
    /// Keeps the leaf's engine.
    _sandbox: Arc<Sandbox>,
}

impl WorkerLeaves {
    /// No leaves yet. Apps whose grants exceed `allowed` are refused. Compiled code of a root runs
    /// as it is if the worker `trusts_code`; otherwise the worker compiles components itself.
    #[must_use]
    pub fn new(machine: Arc<Machine>, slots: Slots, allowed: Grants, trusts_code: bool) -> Self {
        Self(Arc::new(Shared {
            machine,
            slots,
            allowed,
            trusts_code,
            runs_unmetered: false,
            loaded: Mutex::default(),
            loading: Mutex::default(),
        }))
    }

    /// Also runs leaves that nothing interrupts: the worker is killed when one runs for too long.
    #[must_use]
    pub(crate) fn running_unmetered(mut self) -> Self {
        if let Some(shared) = Arc::get_mut(&mut self.0) {
            shared.runs_unmetered = true;
        }
        self
    }
}

impl LeafLoader for WorkerLeaves {
    fn known(&self, leaf: &[u8]) -> Option<Arc<dyn LeafRunner>> {
        self.0.known(leaf)
    }

    fn load(&self, code: LeafCode) -> frond_broker::worker::Loaded {
        let shared = self.0.clone();
        Box::pin(async move {
            let loading = tokio::task::spawn_blocking(move || shared.load(&code));
            loading.await.unwrap_or_else(|lost| Err(lost.to_string()))
        })
    }
}

impl Shared {
    fn known(&self, leaf: &[u8]) -> Option<Arc<dyn LeafRunner>> {
        let mut loaded = lock(&self.loaded);
        let at = loaded.iter().position(|one| one.name == leaf)?;
        let found = loaded.remove(at);
        let runner = found.runner.clone();
        loaded.push(found);
        Some(runner)
    }

    /// Loads a leaf, unless it was loaded meanwhile for another root.
    fn load(&self, code: &LeafCode) -> Result<Arc<dyn LeafRunner>, String> {
        let turn = self.turn(&code.leaf);
        let _turn = lock(&turn);
        self.known(&code.leaf).map_or_else(|| self.load_new(code), Ok)
    }

    /// Lock of those who load the same leaf.
    fn turn(&self, leaf: &Bytes) -> Arc<Mutex<()>> {
        let mut loading = lock(&self.loading);
        loading.retain(|_, turn| turn.strong_count() > 0);
        if let Some(turn) = loading.get(leaf).and_then(Weak::upgrade) {
            return turn;
        }
        let turn = Arc::new(Mutex::new(()));
        loading.insert(leaf.clone(), Arc::downgrade(&turn));
        turn
    }

    fn load_new(&self, code: &LeafCode) -> Result<Arc<dyn LeafRunner>, String> {
        let LeafCode { leaf, settings, component, compiled } = code;
        if name(settings, component) != *leaf {
            return Err("its code is not what its name says".to_owned());
        }
        let read: LeafSettings = serde_json::from_slice(settings)
            .map_err(|error| format!("its settings cannot be read: {error} {VERSIONS}"))?;
        let LeafSettings { limits, deterministic, instance, grants, is_unmetered } = read;
        if is_unmetered && !self.runs_unmetered {
            return Err("this worker runs no leaf that only the end of its process can stop".to_owned());
        }
        // Before the compilation, which may take a minute.
        let grants = Arc::new(self.granted(&grants)?);
        let sandbox = self.machine.sandbox(&[limits]);
        let metering = if is_unmetered { Metering::Nothing } else { Metering::of(&limits) };
        let plugin = match compiled.as_ref().filter(|_| self.trusts_code) {
            Some(code) => Plugin::load_shipped(&sandbox, component, code, &[Role::Leaf], metering),
            None => Plugin::load(&sandbox, component, &[Role::Leaf], metering),
        };
        sandbox.take_warnings().into_iter().for_each(|why| tracing::warn!("{why}"));
        let plugin = Arc::new(plugin.map_err(|error| error.to_string())?);
        let runner: Arc<dyn LeafRunner> =
            Arc::new(LeafHost::new(self.slots.clone(), Leaf { plugin, limits, deterministic, grants, instance }));
        let mut loaded = lock(&self.loaded);
        loaded.push(LoadedLeaf { name: leaf.clone(), runner: runner.clone(), _sandbox: sandbox });
        if loaded.len() > MOST_LEAVES {
            loaded.remove(0);
        }
        Ok(runner)
    }

    /// Grants of a leaf here, if this worker allows what its app grants.
    fn granted(&self, grants: &Grants) -> Result<GuestGrants, String> {
        if !self.allowed.cover(grants) {
            let excess = excess(&self.allowed, grants);
            return Err(format!("this worker does not allow its grants: {excess} {ALLOW}"));
        }
        let (grants, unset) = with_env(grants, |name| std::env::var(name).ok());
        if let Some(unset) = unset.into_iter().next() {
            return Err(format!("{unset} (set it where the worker is started)"));
        }
        let (grants, untrusted) = self.machine.with_trust(grants);
        untrusted.map_or(Ok(grants), Err)
    }
}

/// Names the first grant that is not allowed.
fn excess(allowed: &Grants, grants: &Grants) -> String {
    let directory = grants.directories.iter().find(|one| !allowed.directories.contains(one));
    let env = grants.env.iter().find(|one| !allowed.env.contains(one));
    let http = grants.http.iter().find(|one| !allowed.http.contains(one));
    match (directory, env, http) {
        (Some(directory), _, _) => format!("the folder `{}`", directory.host.display()),
        (_, Some(env), _) => format!("the environment variable {env}"),
        (_, _, Some(http)) => format!("HTTP requests to {}", http.host),
        (None, None, None) => "none".to_owned(),
    }
}
