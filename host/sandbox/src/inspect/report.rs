//! All that a component shows of itself without being compiled: what it fits, and if it does not, the first item that
//! differs; what it imports, and so may ask for; what it is made of, and by what. Everything in it is bounded in size,
//! and safe to print.

use sha2::{Digest, Sha256};
use wasmparser::{Parser, Payload, Validator};

pub use super::fit::{Fit, Mismatch, MismatchKind};
pub use super::parts::Demand;

use super::fit::Comparison;
use super::{Misfit, Role, parts, proposals, surface};
use crate::classify::clip;
use crate::component::hex;
use crate::log::sanitise;

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

/// What a component may use of the world outside, by what it imports. That it imports it does not prove that it uses it.
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
    /// `frond:plugin/source`: its partition, piece by piece.
    Source,
    /// `frond:plugin/control`: the time left, and partials handed over early.
    Control,
}

impl Import {
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
    pub asks: Vec<Import>,
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
