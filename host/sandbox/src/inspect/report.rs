//! All that a component shows of itself without being compiled: what it fits, and if it does not, the first item that
//! differs; what it imports, and so may ask for; what it is made of, and by what. Everything in it is bounded in size,
//! and safe to print.

use sha2::{Digest, Sha256};
use wasmparser::component_types::ComponentEntityType;
use wasmparser::types::{Types, TypesRef};
use wasmparser::{Parser, Payload, Validator};

pub use super::parts::Demand;

use super::types::Reader;
use super::{Misfit, Role, Surface, contract, differ, parts, surface};
use crate::bindings::VERSION;
use crate::component::hex;
use crate::log::sanitise;
use crate::stop::clip;

/// The package of the contract.
const PACKAGE: &str = "frond:plugin";
/// The most characters of one name.
const MAX_NAME: usize = 200;
/// The most imports, exports and packages that are listed.
const MAX_LISTED: usize = 100;

/// The first items of a list, and how many more there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed<T> {
    /// The first ones.
    pub items: Vec<T>,
    /// How many follow.
    pub more: u64,
}

impl<T> Default for Listed<T> {
    fn default() -> Self {
        Self { items: Vec::new(), more: 0 }
    }
}

impl<T> Listed<T> {
    fn push(&mut self, item: T) {
        match self.items.len() < MAX_LISTED {
            true => self.items.push(item),
            false => self.more += 1,
        }
    }
}

/// What made a component, by its own account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Producer {
    /// `language`, `processed-by` or `sdk`.
    pub field: String,
    /// The language or tool.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// Custom sections of one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// The name.
    pub name: String,
    /// How many there are, those inside of modules included.
    pub count: u64,
    /// Their size in bytes.
    pub size: u64,
}

/// How a component does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MismatchKind {
    /// It does not export the interface.
    NotExported,
    /// It exports it of another version of the contract.
    OtherVersion,
    /// It exports an interface of the same name of somebody else's.
    OtherPackage,
    /// It exports it with other types.
    OtherType,
    /// It imports what no guest gets.
    UnknownImport,
    /// It imports a part of the contract with other types.
    OtherImport,
    /// It fits by its types, and the engine refuses it.
    Refused,
}

impl MismatchKind {
    /// As it is spelled for programs.
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

/// The first item that differs from the contract, with what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// Of which kind the difference is.
    pub kind: MismatchKind,
    /// The item, with both sides and both versions.
    pub text: String,
    /// The remedy.
    pub hint: String,
}

impl Mismatch {
    /// With what is shown of text that may be a guest's.
    #[must_use]
    pub fn new(kind: MismatchKind, text: &str, hint: impl Into<String>) -> Self {
        Self { kind, text: clip(text), hint: hint.into() }
    }
}

/// Whether a component can take a role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fit {
    /// The role.
    pub role: Role,
    /// Why it cannot take it; `None` when it can.
    pub mismatch: Option<Mismatch>,
}

/// What a component may use of the world outside, by what it imports. That it imports it does not prove that it uses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ask {
    /// `wasi:http`.
    Http,
    /// `wasi:config`.
    Config,
    /// `wasi:filesystem`.
    Files,
    /// `wasi:sockets`.
    Sockets,
    /// `frond:plugin/source`: its partition, piece by piece.
    Source,
    /// `frond:plugin/control`: the time left, and partials handed over early.
    Control,
}

impl Ask {
    /// All of them.
    const ALL: [Self; 6] = [Self::Http, Self::Config, Self::Files, Self::Sockets, Self::Source, Self::Control];

    /// How the names of the interfaces begin, and how it is spelled for programs.
    #[must_use]
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Http => "wasi:http",
            Self::Config => "wasi:config",
            Self::Files => "wasi:filesystem",
            Self::Sockets => "wasi:sockets",
            Self::Source => "frond:plugin/source",
            Self::Control => "frond:plugin/control",
        }
    }

    fn is_in(self, import: &str) -> bool {
        import.strip_prefix(self.prefix()).is_some_and(|rest| rest.starts_with(['/', '@']))
    }
}

/// What is to be known of a component before it is compiled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The roles, each with whether it can take it.
    pub roles: Vec<Fit>,
    /// What it imports, with package and version.
    pub imports: Listed<String>,
    /// What it exports, with package and version where it is an interface.
    pub exports: Listed<String>,
    /// The WIT packages of both, with their versions.
    pub packages: Listed<String>,
    /// What it may use of the world outside.
    pub asks: Vec<Ask>,
    /// Core modules in it.
    pub modules: u64,
    /// Components inside of it.
    pub components: u64,
    /// What an instance of it gets before it runs.
    pub demand: Demand,
    /// What made it.
    pub producers: Listed<Producer>,
    /// Its custom sections.
    pub sections: Listed<Section>,
    /// True when its functions have names: backtraces are legible.
    pub has_function_names: bool,
    /// Bytes of debug information in it, which nothing here reads.
    pub debug_info: u64,
}

impl Report {
    /// The roles that it can take.
    pub fn fits(&self) -> impl Iterator<Item = Role> {
        self.roles.iter().filter(|fit| fit.mismatch.is_none()).map(|fit| fit.role)
    }
}

/// The SHA-256 of a component's bytes, in hexadecimal.
#[must_use]
pub fn digest(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Looks at a component's bytes: validates them, compiles nothing. Time and memory are proportional to their number.
///
/// # Errors
/// When they are no component that can be looked into: too large, no component, or broken.
pub fn report(bytes: &[u8]) -> Result<Report, Misfit> {
    let broken = |error: wasmparser::BinaryReaderError| Misfit::Broken(clip(&error.to_string()));
    let surface = surface(bytes)?;
    let types = Validator::new().validate_all(bytes).map_err(broken)?;
    let parts = parts::parts(bytes).map_err(broken)?;
    let (imports, exports) = names(bytes).map_err(broken)?;
    let look = Look { surface: &surface, types: &types };
    Ok(Report {
        roles: look.roles(),
        packages: packages(surface.imports.iter().chain(&surface.exports)),
        asks: Ask::ALL.into_iter().filter(|ask| surface.imports.iter().any(|import| ask.is_in(import))).collect(),
        imports,
        exports,
        modules: parts.modules,
        components: parts.components,
        demand: parts.demand,
        producers: parts.producers,
        sections: parts.sections,
        has_function_names: parts.has_function_names,
        debug_info: parts.debug_info,
    })
}

/// A name of somebody else's, safe to print and not too long.
pub(crate) fn name(text: &str) -> String {
    let mut end = text.len();
    if let Some((index, _)) = text.char_indices().nth(MAX_NAME) {
        end = index;
    }
    let short = text.get(..end).unwrap_or_default();
    let mut clean = sanitise(short).replace('\n', "\\n").replace('\t', "\\t");
    if end < text.len() {
        clean.push('…');
    }
    clean
}

/// All names on the outermost level, those of functions and types as well.
fn names(bytes: &[u8]) -> Result<(Listed<String>, Listed<String>), wasmparser::BinaryReaderError> {
    let (mut imports, mut exports, mut depth) = (Listed::default(), Listed::default(), 0_u32);
    for payload in Parser::new(0).parse_all(bytes) {
        match payload? {
            Payload::Version { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(section) if depth == 1 => {
                for import in section {
                    imports.push(name(import?.name.name));
                }
            }
            Payload::ComponentExportSection(section) if depth == 1 => {
                for export in section {
                    exports.push(name(export?.name.name));
                }
            }
            _ => {}
        }
    }
    Ok((imports, exports))
}

/// `wasi:io@0.2.6` for `wasi:io/streams@0.2.6`, each once, in their order.
fn packages<'a>(names: impl Iterator<Item = &'a String>) -> Listed<String> {
    let mut found = Listed::default();
    for name in names {
        let Some((package, rest)) = name.split_once('/') else { continue };
        let version = rest.split_once('@').map_or(String::new(), |(_, version)| format!("@{version}"));
        let package = self::name(&format!("{package}{version}"));
        if !found.items.contains(&package) {
            found.push(package);
        }
    }
    found
}

/// A component beside the contract.
struct Look<'a> {
    surface: &'a Surface,
    types: &'a Types,
}

impl Look<'_> {
    fn roles(&self) -> Vec<Fit> {
        let fit = |role| Fit { role, mismatch: self.export(role).or_else(|| self.imports(role)) };
        [Role::Leaf, Role::Merge, Role::Split].into_iter().map(fit).collect()
    }

    /// How what it exports for `role` differs from the contract.
    fn export(&self, role: Role) -> Option<Mismatch> {
        let (interface, wanted) = (role.interface(), role.export());
        if self.surface.exports.contains(&wanted) {
            let how =
                self.differs(interface, self.types.as_ref().component_item_for_export(&wanted).map(|item| item.ty))?;
            let text = format!("exports {wanted}, and {how}\n{}", versions(VERSION));
            let hint =
                format!("it was built against another text of the contract: take wit/world.wit of {PACKAGE}@{VERSION}");
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
            let hint = format!("export the interface of {PACKAGE}@{VERSION}: names alone promise nothing");
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
            Some(_) => format!("it exports `{function}` by itself: it belongs into the interface {wanted}"),
            None => "in Rust, `frond_plugin::leaf!`, `merger!` and `splitter!` export these interfaces".to_owned(),
        };
        Mismatch::new(MismatchKind::NotExported, &format!("does not export {wanted}"), hint)
    }

    /// What it imports that no guest gets, or not so.
    fn imports(&self, role: Role) -> Option<Mismatch> {
        if let Err(Misfit::UnknownImport(import)) = self.surface.fits(role) {
            let text = match import.strip_prefix(PACKAGE).and_then(|rest| rest.split_once('@')) {
                Some((_, version)) => {
                    format!("imports {import}, this host speaks version {VERSION}\n{}", versions(version))
                }
                None => format!("imports {import}, which this host does not offer"),
            };
            let hint = match import.starts_with(PACKAGE) {
                true => format!("build it against version {VERSION} of the contract"),
                false => "build it without what needs that, or compose it with a component that offers it".to_owned(),
            };
            return Some(Mismatch::new(MismatchKind::UnknownImport, &text, hint));
        }
        ["control", "source"].into_iter().find_map(|interface| {
            let full = format!("{PACKAGE}/{interface}@{VERSION}");
            let item = self.types.as_ref().component_item_for_import(&full)?;
            let how = self.differs_of_import(interface, item.ty)?;
            let text = format!("imports {full}, and {how}\n{}", versions(VERSION));
            let hint =
                format!("it was built against another text of the contract: take wit/world.wit of {PACKAGE}@{VERSION}");
            Some(Mismatch::new(MismatchKind::OtherImport, &text, hint))
        })
    }

    /// The first function of the contract's interface that an exported instance lacks, or has with another type.
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

    /// The same for an imported instance, which may leave functions out, and may ask for none besides.
    fn differs_of_import(&self, interface: &str, found: ComponentEntityType) -> Option<String> {
        let types = self.types.as_ref();
        let ComponentEntityType::Instance(id) = found else {
            return Some(format!("{interface} is not an interface"));
        };
        let contract = contract::interface(interface)?;
        types.get(id)?.exports.iter().find_map(|(function, item)| {
            let Some((_, wanted)) = contract.iter().find(|(name, _)| name == function) else {
                let is_type = matches!(item.ty, ComponentEntityType::Type { .. });
                return (!is_type).then(|| format!("{interface}.{} is none of the contract's", name(function)));
            };
            self.function(interface, function, wanted, item.ty, types)
        })
    }

    fn function(
        &self,
        interface: &str,
        function: &str,
        wanted: &super::types::Func,
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

fn versions(found: &str) -> String {
    let found = if found.is_empty() { "without a version".to_owned() } else { format!("{PACKAGE}@{found}") };
    format!("the component: {found} · this host: {PACKAGE}@{VERSION}")
}
