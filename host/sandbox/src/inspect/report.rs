//! Report on a component that is not compiled: the roles that it fits or the first item that
//! differs, its imports, parts and origin. Everything in a report is bounded in size and safe to
//! print.

use wasmparser::{Parser, Payload, Validator};

pub use super::fit::{Fit, Mismatch, MismatchKind};
pub use super::parts::{Demand, Listed, Producer, Section};

use super::fit::Comparison;
use super::{Misfit, Role, parts, proposals, surface};
use crate::escape::{self, clip, name};

/// Imported capability of a component. An import does not prove that the component uses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Import {
    /// `wasi:http`.
    Http,
    /// `wasi:config`.
    Config,
    /// `wasi:filesystem`.
    Files,
    /// `wasi:sockets`.
    Sockets,
    /// `frond:plugin/source`: reads of its partition, piece by piece.
    Source,
    /// `frond:plugin/pieces`: its partition, taken piece by piece, so that it can be cut.
    Pieces,
    /// `frond:plugin/control`: the remaining time, and early partials.
    Control,
}

impl Import {
    /// All capabilities.
    const ALL: [Self; 7] =
        [Self::Http, Self::Config, Self::Files, Self::Sockets, Self::Source, Self::Pieces, Self::Control];

    /// Returns the prefix of the interfaces' names, which is also the spelling for programs.
    #[must_use]
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Http => "wasi:http",
            Self::Config => "wasi:config",
            Self::Files => "wasi:filesystem",
            Self::Sockets => "wasi:sockets",
            Self::Source => "frond:plugin/source",
            Self::Pieces => "frond:plugin/pieces",
            Self::Control => "frond:plugin/control",
        }
    }

    fn is_in(self, import: &str) -> bool {
        import.strip_prefix(self.prefix()).is_some_and(|rest| rest.starts_with(['/', '@']))
    }
}

/// Report on a component that is not compiled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Roles, each with the component's fit.
    pub roles: Vec<Fit>,
    /// Imports, with package and version.
    pub imports: Listed<String>,
    /// Exports; those that are interfaces, with package and version.
    pub exports: Listed<String>,
    /// WIT packages of imports and exports, with their versions.
    pub packages: Listed<String>,
    /// Imported capabilities.
    pub asks: Vec<Import>,
    /// Number of core modules in the component.
    pub modules: u64,
    /// Number of nested components.
    pub components: u64,
    /// Resources that an instance needs before it runs.
    pub demand: Demand,
    /// Languages and tools that made the component.
    pub producers: Listed<Producer>,
    /// Custom sections.
    pub sections: Listed<Section>,
    /// True if functions have names, so that backtraces are legible.
    pub has_function_names: bool,
    /// Bytes of debug information, which the host does not read.
    pub debug_info: u64,
}

impl Report {
    /// Iterates over the roles that the component fits.
    pub fn fits(&self) -> impl Iterator<Item = Role> {
        self.roles.iter().filter(|fit| fit.mismatch.is_none()).map(|fit| fit.role)
    }
}

/// Inspects a component's bytes: validates but does not compile them, in time and memory
/// proportional to their number.
///
/// # Errors
/// If the bytes are too large, no component, or broken.
pub fn report(bytes: &[u8]) -> Result<Report, Misfit> {
    let broken = |error: wasmparser::BinaryReaderError| Misfit::Broken(clip(&error.to_string()));
    let surface = surface(bytes)?;
    let valid = Validator::new_with_features(proposals::OFFERED).validate_all(bytes);
    let types = valid.map_err(|error| proposals::misfit(bytes).unwrap_or_else(|| broken(error)))?;
    let parts = parts::parts(bytes).map_err(broken)?;
    let (imports, exports) = names(bytes).map_err(broken)?;
    let look = Comparison { surface: &surface, types: &types };
    Ok(Report {
        roles: look.roles(),
        packages: packages(surface.imports.iter().chain(&surface.exports)),
        asks: Import::ALL.into_iter().filter(|ask| surface.imports.iter().any(|import| ask.is_in(import))).collect(),
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

/// Returns all names of imports and exports on the outermost level, those of functions and types
/// included.
fn names(bytes: &[u8]) -> Result<(Listed<String>, Listed<String>), wasmparser::BinaryReaderError> {
    let mut imports = Listed::default();
    let mut exports = Listed::default();
    let mut depth = 0_u32;
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

/// Returns the packages of interfaces, such as `wasi:io@0.2.6` for `wasi:io/streams@0.2.6`, each
/// once, in order.
fn packages<'a>(names: impl Iterator<Item = &'a String>) -> Listed<String> {
    let mut found = Listed::default();
    for name in names {
        let Some((package, rest)) = name.split_once('/') else { continue };
        let version = rest.split_once('@').map_or(String::new(), |(_, version)| format!("@{version}"));
        let package = escape::name(&format!("{package}{version}"));
        if !found.items.contains(&package) {
            found.push(package);
        }
    }
    found
}
