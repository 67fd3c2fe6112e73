//! A component on one engine: linked, with its exports looked up.

use wasmtime::Engine;
use wasmtime::component::{Component, ComponentExportIndex, InstancePre};

use crate::escape::clip;
use crate::host::Host;
use crate::inspect::{Misfit, Role};
use crate::linker::linker;
use crate::load_error::LoadError;
use crate::permits::PoolPermits;
use crate::shape;

/// Component on one engine: linked, with its exports looked up.
pub(crate) struct Ready {
    pub(crate) pre: InstancePre<Host>,
    /// Permits of the engine's pool for leaves.
    pub(crate) leaves: PoolPermits,
    /// Each export, or why the component does not have it.
    process: Result<ComponentExportIndex, Misfit>,
    merge: Result<(ComponentExportIndex, ComponentExportIndex), Misfit>,
    split: Result<ComponentExportIndex, Misfit>,
}

impl Ready {
    /// Links a component, which must have the exports of `roles`.
    pub(crate) fn new(component: &Component, roles: &[Role], leaves: PoolPermits) -> Result<Self, LoadError> {
        let incompatible = |error: wasmtime::Error| Misfit::Incompatible(clip(&format!("{error:#}")));
        let linker = linker(component.engine()).map_err(|error| LoadError::Engine(clip(&error.to_string())))?;
        let export = |role: Role, name| shape::export(component, role, name);
        let pre = linker.instantiate_pre(component).map_err(incompatible)?;
        let ready = Self {
            pre,
            leaves,
            process: export(Role::Leaf, "process"),
            merge: export(Role::Merge, "merge").and_then(|merge| Ok((merge, export(Role::Merge, "finish")?))),
            split: export(Role::Split, "split"),
        };
        roles.iter().try_for_each(|role| ready.plays(*role))?;
        Ok(ready)
    }

    /// Checks that the component can be called in this role.
    pub(crate) fn plays(&self, role: Role) -> Result<(), Misfit> {
        match role {
            Role::Leaf => self.process().map(drop),
            Role::Merge => self.merge().map(drop),
            Role::Split => self.split().map(drop),
        }
    }

    pub(crate) fn engine(&self) -> &Engine {
        self.pre.engine()
    }

    pub(crate) fn process(&self) -> Result<&ComponentExportIndex, Misfit> {
        self.process.as_ref().map_err(Clone::clone)
    }

    pub(crate) fn merge(&self) -> Result<&(ComponentExportIndex, ComponentExportIndex), Misfit> {
        self.merge.as_ref().map_err(Clone::clone)
    }

    pub(crate) fn split(&self) -> Result<&ComponentExportIndex, Misfit> {
        self.split.as_ref().map_err(Clone::clone)
    }
}
