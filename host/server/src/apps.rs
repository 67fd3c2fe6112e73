//! Stand-in until the registry is merged.
#![allow(missing_docs, clippy::unwrap_used, unused)]
use bytes::Bytes;
use frond_run::{Machine, Slots};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::runtime::Handle;
pub struct Version {
    pub number: u64,
    pub wired: frond_run::Wired,
}
impl Version {
    pub fn digest(&self, _: Role) -> Option<String> {
        None
    }
}
#[derive(Clone, Copy)]
pub enum Role {
    Leaf,
    Merge,
    Split,
}
#[derive(Clone, Serialize, utoipa::ToSchema)]
pub struct AppView {
    pub name: String,
}
impl AppView {
    pub fn why(&self) -> String {
        String::new()
    }
    pub fn wrong(&self) -> Option<String> {
        None
    }
}
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    #[error("no")]
    NotFound,
    #[error("no")]
    Refused {},
    #[error("no")]
    NoVersion,
}
pub struct Host {
    pub machine: Arc<Machine>,
    pub threads: Slots,
    pub runtime: Handle,
}
pub struct Settings;
impl Settings {
    pub fn of(_: &crate::Config, _: &Path) -> Self {
        Self
    }
}
pub struct Registry(std::collections::BTreeMap<String, Arc<Version>>, tokio::sync::broadcast::Sender<AppView>);
impl Registry {
    pub async fn open(dir: &Path, _: Settings, host: Host) -> Result<Arc<Self>, std::io::Error> {
        let mut all = std::collections::BTreeMap::new();
        for entry in std::fs::read_dir(dir).unwrap().flatten() {
            if let Ok(app) = frond_app::App::load(&entry.path()) {
                if let Ok(parts) = host.machine.load(&frond_app::Package::from(&app), &|_| {}) {
                    let wired = parts.wire_on(&app, &host.machine, &host.threads).unwrap();
                    all.insert(app.name.clone(), Arc::new(Version { number: 1, wired }));
                }
            }
        }
        Ok(Arc::new(Self(all, tokio::sync::broadcast::Sender::new(8))))
    }
    pub fn current(&self, app: &str) -> Option<Arc<Version>> {
        self.0.get(app).cloned()
    }
    pub fn app(&self, app: &str) -> Option<AppView> {
        self.0.contains_key(app).then(|| AppView { name: app.to_owned() })
    }
    pub fn apps(&self) -> Vec<AppView> {
        self.0.keys().map(|name| AppView { name: name.clone() }).collect()
    }
    pub fn changes(&self) -> tokio::sync::broadcast::Receiver<AppView> {
        self.1.subscribe()
    }
    pub fn remember(&self, _: &Version, _: &Bytes) {}
    pub fn compiling(&self) -> usize {
        0
    }
    pub async fn put(&self, _: &str, _: Role, _: Bytes) -> Result<Arc<Version>, ChangeError> {
        Err(ChangeError::NotFound)
    }
    pub async fn delete(&self, _: &str, _: Role) -> Result<Arc<Version>, ChangeError> {
        Err(ChangeError::NotFound)
    }
    pub async fn rollback(&self, _: &str) -> Result<Arc<Version>, ChangeError> {
        Err(ChangeError::NotFound)
    }
    pub fn reload(&self) {}
    pub async fn close(&self) {}
}
