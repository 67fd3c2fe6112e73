//! Leaves for workers: what a root ships of them, and how a worker loads it.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use frond_broker::{LeafCode, LeafCodes, LeafLoader, LeafSource, ShippedCode};
use frond_root::call::{Grants, InstanceMode, Limits};
use frond_root::{DigestWriter, LeafRunner, PieceSizes};
use frond_sandbox::{Leaf, LeafHost, Plugin, Role, Sandbox, Slots};
use serde::{Deserialize, Serialize};

use crate::env::with_env;
use crate::machine::Machine;

/// The most leaves that a worker keeps loaded. The one that was used the longest ago goes first.
const MOST_LEAVES: usize = 64;

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

/// Makes the leaf that workers run of one that is loaded here.
pub(crate) fn source(leaf: &Leaf, component: Bytes) -> LeafSource {
    let Leaf { plugin, limits, deterministic, grants, instance } = leaf;
    let grants = grants.app.clone();
    let settings = LeafSettings { limits: *limits, deterministic: *deterministic, instance: *instance, grants };
    // These types have no maps with other keys than texts, so they are always JSON.
    let settings = Bytes::from(serde_json::to_vec(&settings).unwrap_or_default());
    LeafSource {
        leaf: name(&settings, &component),
        output: limits.output,
        pieces: plugin.takes_pieces().then_some(if *deterministic { PieceSizes::Fixed } else { PieceSizes::Timed }),
        codes: Arc::new(Codes { settings, component, plugin: plugin.clone() }),
    }
}

/// Digest that names a leaf.
fn name(settings: &[u8], component: &[u8]) -> Bytes {
    let mut digest = DigestWriter::default();
    digest.add_whole(settings);
    digest.add_whole(component);
    Bytes::copy_from_slice(&digest.finish().0)
}

/// Leaves of a worker, on its slots.
pub struct WorkerLeaves(Arc<Shared>);

/// Leaves of a worker, and what they may use.
struct Shared {
    machine: Arc<Machine>,
    slots: Slots,
    allowed: Grants,
    trusts_code: bool,
    /// Loaded leaves, the one that was used last at the end.
    loaded: Mutex<Vec<LoadedLeaf>>,
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
        Self(Arc::new(Shared { machine, slots, allowed, trusts_code, loaded: Mutex::default() }))
    }
}

impl LeafLoader for WorkerLeaves {
    fn known(&self, leaf: &[u8]) -> Option<Arc<dyn LeafRunner>> {
        let mut loaded = self.0.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        let at = loaded.iter().position(|one| one.name == leaf)?;
        let found = loaded.remove(at);
        let runner = found.runner.clone();
        loaded.push(found);
        Some(runner)
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
    fn load(&self, code: &LeafCode) -> Result<Arc<dyn LeafRunner>, String> {
        let LeafCode { leaf, settings, component, compiled } = code;
        if name(settings, component) != *leaf {
            return Err("its code is not what its name says".to_owned());
        }
        let read: LeafSettings =
            serde_json::from_slice(settings).map_err(|error| format!("its settings cannot be read: {error}"))?;
        let LeafSettings { limits, deterministic, instance, grants } = read;
        if !self.allowed.cover(&grants) {
            return Err(format!("this worker does not allow its grants: {}", excess(&self.allowed, &grants)));
        }
        let sandbox = self.machine.sandbox(&[limits]);
        let metered = limits.is_metered();
        let plugin = match compiled.as_ref().filter(|_| self.trusts_code) {
            Some(code) => Plugin::load_shipped(&sandbox, component, code, &[Role::Leaf], metered),
            None => Plugin::load(&sandbox, component, &[Role::Leaf], metered),
        };
        let plugin = Arc::new(plugin.map_err(|error| error.to_string())?);
        let (grants, unset) = with_env(&grants, |name| std::env::var(name).ok());
        if let Some(unset) = unset.into_iter().next() {
            return Err(unset);
        }
        let (grants, untrusted) = self.machine.with_trust(grants);
        if let Some(untrusted) = untrusted {
            return Err(untrusted);
        }
        let grants = Arc::new(grants);
        let runner: Arc<dyn LeafRunner> =
            Arc::new(LeafHost::new(self.slots.clone(), Leaf { plugin, limits, deterministic, grants, instance }));
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        loaded.push(LoadedLeaf { name: leaf.clone(), runner: runner.clone(), _sandbox: sandbox });
        if loaded.len() > MOST_LEAVES {
            loaded.remove(0);
        }
        Ok(runner)
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
