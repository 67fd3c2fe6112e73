//! Fit of a component to the roles: for each role that it does not fit, the first item that differs
//! from the contract, with both sides and both versions.

use wasmparser::component_types::ComponentEntityType;
use wasmparser::types::{Types, TypesRef};

use super::types::{Func, Reader};
use super::{Misfit, Role, Surface, contract, differ};
use crate::bindings::VERSION;
use crate::escape::{clip, name};

/// Package of the contract.
const PACKAGE: &str = "frond:plugin";

/// Kind of a difference from the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MismatchKind {
    /// The component does not export the interface.
    NotExported,
    /// It exports the interface in another version of the contract.
    OtherVersion,
    /// It exports an interface of the same name from another package.
    OtherPackage,
    /// It exports the interface with other types.
    OtherType,
    /// It imports an interface that the host does not offer.
    UnknownImport,
    /// It imports a part of the contract with other types.
    OtherImport,
    /// It fits by its types, but the engine refuses it.
    Refused,
}

impl MismatchKind {
    /// Returns the kind's spelling for programs.
    #[must_use]
    pub fn slug(self) -> &'static str {
        match self {
            Self::NotExported => "not-exported",
            Self::OtherVersion => "other-version",
            Self::OtherPackage => "other-package",
            Self::OtherType => "other-type",
            Self::UnknownImport => "unknown-import",
            Self::OtherImport => "other-import",
            Self::Refused => "refused",
        }
    }
}

/// First item that differs from the contract, with the remedy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// Kind of the difference.
    pub kind: MismatchKind,
    /// Item, with both sides and both versions.
    pub text: String,
    /// Remedy.
    pub hint: String,
}

impl Mismatch {
    /// Makes a mismatch; `text` may contain a guest's text, so it is escaped and bounded.
    #[must_use]
    pub fn new(kind: MismatchKind, text: &str, hint: impl Into<String>) -> Self {
        Self { kind, text: clip(text), hint: hint.into() }
    }
}

/// Fit of a component to one role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fit {
    /// Role.
    pub role: Role,
    /// First difference; `None` if the component fits.
    pub mismatch: Option<Mismatch>,
}

/// Comparison of a component with the contract.
pub(crate) struct Comparison<'a> {
    pub(crate) surface: &'a Surface,
    pub(crate) types: &'a Types,
}

impl Comparison<'_> {
    pub(crate) fn roles(&self) -> Vec<Fit> {
        let fit = |role| Fit { role, mismatch: self.export(role).or_else(|| self.imports(role)) };
        [Role::Leaf, Role::Merge, Role::Split].into_iter().map(fit).collect()
    }

    /// Returns how the component's export for `role` differs from the contract.
    fn export(&self, role: Role) -> Option<Mismatch> {
        let interface = role.interface();
        let wanted = role.export();
        if let Some(found) = self.surface.export(role) {
            let item = self.types.as_ref().component_item_for_export(&found);
            let how = self.differs(interface, item.map(|item| item.ty))?;
            let text = format!("exports {found}, and {how}\n{}", versions(version_of(&found)));
            let hint =
                format!("it was built against another text of the contract: use wit/world.wit of {PACKAGE}@{VERSION}");
            return Some(Mismatch::new(MismatchKind::OtherType, &text, hint));
        }
        let named = self.surface.exports.iter().find_map(|export| {
            let (package, rest) = export.split_once('/')?;
            let (name, version) = rest.split_once('@').unwrap_or((rest, ""));
            (name == interface).then_some((export, package, version))
        });
        let Some((export, package, version)) = named else {
            return Some(self.absent(role, &wanted));
        };
        let types = self.types.as_ref();
        let how = self.differs(interface, types.component_item_for_export(export).map(|item| item.ty));
        if package != PACKAGE {
            let text = format!("exports {export}, which is not {wanted}: the name is the same, the package is not");
            let hint = format!("export the interface of {PACKAGE}@{VERSION}: the name alone is not enough");
            return Some(Mismatch::new(MismatchKind::OtherPackage, &text, hint));
        }
        let how = how.unwrap_or_else(|| "its functions are the same".to_owned());
        let text = format!("exports {export}, this host speaks {wanted}: {how}\n{}", versions(version));
        let hint = format!("build it against version {VERSION} of the contract");
        Some(Mismatch::new(MismatchKind::OtherVersion, &text, hint))
    }

    fn absent(&self, role: Role, wanted: &str) -> Mismatch {
        let function = match role {
            Role::Leaf => "process",
            Role::Merge => "merge",
            Role::Split => "split",
        };
        let is_program = self.surface.exports.iter().any(|export| export.starts_with("wasi:cli/run@"));
        let hint = match self.types.as_ref().component_item_for_export(function) {
            _ if is_program => {
                "it is a program with a `main`: a plugin is a library, in Rust a crate whose crate-type is cdylib"
                    .to_owned()
            }
            Some(_) => {
                format!("it exports `{function}` at the top level: the function belongs into the interface {wanted}")
            }
            None => "in Rust, `frond_plugin::leaf!`, `merger!` and `splitter!` export these interfaces".to_owned(),
        };
        Mismatch::new(MismatchKind::NotExported, &format!("does not export {wanted}"), hint)
    }

    /// Returns the first import that the host does not offer, or offers with other types.
    fn imports(&self, role: Role) -> Option<Mismatch> {
        if let Err(Misfit::UnknownImport(import)) = self.surface.fits(role) {
            let text = match import.strip_prefix(PACKAGE).and_then(|rest| rest.split_once('@')) {
                Some((_, version)) => {
                    format!("imports {import}, this host speaks version {VERSION}\n{}", versions(version))
                }
                None => format!("imports {import}, which this host does not offer"),
            };
            let hint = if import.starts_with(PACKAGE) {
                format!("build it against version {VERSION} of the contract")
            } else {
                "build it without the code that needs this import, or compose it with a component that offers the import"
                    .to_owned()
            };
            return Some(Mismatch::new(MismatchKind::UnknownImport, &text, hint));
        }
        let ours = |full: &String| full.strip_prefix(PACKAGE).is_some_and(|rest| rest.starts_with('/'));
        self.surface.imports.iter().filter(|full| ours(full)).find_map(|full| {
            let interface = full.split(['/', '@']).nth(1).filter(|name| *name != "types")?;
            let item = self.types.as_ref().component_item_for_import(full)?;
            let how = self.differs_of_import(interface, item.ty)?;
            let text = format!("imports {full}, and {how}\n{}", versions(version_of(full)));
            let hint =
                format!("it was built against another text of the contract: use wit/world.wit of {PACKAGE}@{VERSION}");
            Some(Mismatch::new(MismatchKind::OtherImport, &text, hint))
        })
    }

    /// Describes the first function of the contract's interface that an exported instance lacks, or
    /// has with another type.
    fn differs(&self, interface: &str, found: Option<ComponentEntityType>) -> Option<String> {
        let types = self.types.as_ref();
        let Some(ComponentEntityType::Instance(id)) = found else {
            return Some(format!("{interface} is not an interface"));
        };
        let exports = &types.get(id)?.exports;
        contract::interface(interface)?.into_iter().find_map(|(function, wanted)| {
            let Some(item) = exports.get(function) else {
                return Some(format!("{interface}.{function} is missing: the contract says `{wanted}`"));
            };
            self.function(interface, function, &wanted, item.ty, types)
        })
    }

    /// Describes the first difference of an imported instance, which may omit functions but must
    /// not have further ones.
    fn differs_of_import(&self, interface: &str, found: ComponentEntityType) -> Option<String> {
        let types = self.types.as_ref();
        let ComponentEntityType::Instance(id) = found else {
            return Some(format!("{interface} is not an interface"));
        };
        let contract = contract::interface(interface)?;
        types.get(id)?.exports.iter().find_map(|(function, item)| {
            let Some((_, wanted)) = contract.iter().find(|(name, _)| name == function) else {
                let is_type = matches!(item.ty, ComponentEntityType::Type { .. });
                return (!is_type).then(|| format!("{interface}.{} is not in the contract", name(function)));
            };
            self.function(interface, function, wanted, item.ty, types)
        })
    }

    fn function(
        &self,
        interface: &str,
        function: &str,
        wanted: &Func,
        found: ComponentEntityType,
        types: TypesRef<'_>,
    ) -> Option<String> {
        let ComponentEntityType::Func(id) = found else {
            return Some(format!("{interface}.{function} is not a function"));
        };
        let found = Reader::new(types).func(id)?;
        differ::func(wanted, &found).map(|how| format!("{interface}.{function}: {how}"))
    }
}

fn version_of(full: &str) -> &str {
    full.split_once('@').map_or("", |(_, version)| version)
}

fn versions(found: &str) -> String {
    let found = if found.is_empty() { "without a version".to_owned() } else { format!("{PACKAGE}@{found}") };
    format!("the component: {found} · this host: {PACKAGE}@{VERSION}")
}
