//! Inspection of a component's imports and exports, before it is compiled.

use std::fmt;

use wasmparser::{ComponentExternalKind, Encoding, Parser, Payload};

use crate::bindings::{VERSION, VERSIONS};
use crate::escape::clip;

mod contract;
mod differ;
mod fit;
mod parts;
pub(crate) mod proposals;
pub mod report;
mod types;

pub(crate) use parts::demand;
pub use report::{Report, report};

/// Most bytes of a component.
pub const MAX_SIZE: u64 = 64 << 20;
/// Most imports, and most exports, of a component.
const MAX_NAMES: usize = 10_000;

/// Most levels of nested components: each level costs a compiler kilobytes, and a file a few bytes.
const MAX_DEPTH: u32 = 100;

/// Role of a component in an app.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// Exports `process-partition`.
    Leaf,
    /// Exports `merge-partials`.
    Merge,
    /// Exports `split-query`.
    Split,
}

impl Role {
    /// Returns the full names of the interface in all versions that the host speaks, the latest
    /// first.
    pub(crate) fn exports(self) -> [String; VERSIONS.len()] {
        VERSIONS.map(|version| format!("frond:plugin/{}@{version}", self.interface()))
    }

    /// Returns the name of the interface that the role must export.
    #[must_use]
    pub fn interface(self) -> &'static str {
        match self {
            Self::Leaf => "process-partition",
            Self::Merge => "merge-partials",
            Self::Split => "split-query",
        }
    }

    /// Returns the interface's full name, with package and latest version.
    #[must_use]
    pub fn export(self) -> String {
        format!("frond:plugin/{}@{VERSION}", self.interface())
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Leaf => "leaf",
            Self::Merge => "merge",
            Self::Split => "split",
        })
    }
}

/// Reason why a file is not a component that fits its role.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum Misfit {
    /// Larger than [`MAX_SIZE`].
    #[error("is {size} bytes large, the limit is {MAX_SIZE}\n(build it in release mode and without debug information)")]
    TooLarge {
        /// Size in bytes.
        size: u64,
    },
    /// Empty.
    #[error("is empty\n(build it again)")]
    Empty,
    /// Does not begin with wasm's magic number.
    #[error("is not WebAssembly: it begins with {0}\n(a leaf is a component, such as cargo builds for wasm32-wasip2)")]
    NotWasm(String),
    /// A core module.
    #[error(
        "is a core module, not a component\n\
         (build it for wasm32-wasip2, or wrap it with `wasm-tools component new`)"
    )]
    CoreModule,
    /// Ends too early, or is broken otherwise.
    #[error("is broken: {0}\n(was it copied whole? build it again)")]
    Broken(String),
    /// Exports another interface of the contract, or none.
    #[error("does not export {wanted}, it exports {found}\n({hint})")]
    WrongExport {
        /// Interface that the role needs.
        wanted: String,
        /// Interfaces that the component exports.
        found: String,
        /// Remedy.
        hint: String,
    },
    /// Exports the right interface in another version.
    #[error(
        "exports {interface}@{found}, this host speaks {VERSION}\n\
         (build it against version {VERSION} of the contract)"
    )]
    OtherVersion {
        /// The interface.
        interface: String,
        /// The component's version.
        found: String,
    },
    /// Imports an interface that the host does not offer.
    #[error(
        "imports {0}, which this host does not offer\n\
         (a guest may import WASI 0.2's cli, clocks, config, filesystem, http, io, random and sockets, and \
         frond:plugin@{VERSION})"
    )]
    UnknownImport(String),
    /// Needs more than its limits, or than any component gets.
    #[error("needs more than a call may have: {0}\n(raise the limits in frond.toml, or build it to need less)")]
    TooDemanding(String),
    /// Costs more to compile than the compiler's limits, or is known to by its content.
    #[error("cannot be compiled: {0}")]
    TooCostly(String),
    /// Uses proposals of WebAssembly that are turned off.
    #[error(
        "uses WebAssembly proposals that this host has turned off: {0}\n\
         (build it without them: for threads in Rust, without `-C target-feature=+atomics`)"
    )]
    Proposals(String),
    /// wasmtime refuses it.
    #[error("does not fit the contract: {0}\n(build it against version {VERSION} of the contract)")]
    Incompatible(String),
}

/// Names of a component's imports and exports.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Surface {
    /// Imported interfaces, with package and version.
    pub imports: Vec<String>,
    /// Exported interfaces, with package and version.
    pub exports: Vec<String>,
}

/// Reads the surface of a component, without compiling it.
///
/// # Errors
/// If the bytes are not a component, too large, or broken.
pub fn surface(bytes: &[u8]) -> Result<Surface, Misfit> {
    let size = bytes.len() as u64;
    if size > MAX_SIZE {
        return Err(Misfit::TooLarge { size });
    }
    if bytes.is_empty() {
        return Err(Misfit::Empty);
    }
    if !bytes.starts_with(b"\0asm") {
        let head = String::from_utf8_lossy(bytes.get(..8).unwrap_or(bytes)).into_owned();
        return Err(Misfit::NotWasm(format!("{head:?}")));
    }
    read(bytes)
}

fn read(bytes: &[u8]) -> Result<Surface, Misfit> {
    let broken = |error: wasmparser::BinaryReaderError| Misfit::Broken(clip(&error.to_string()));
    let mut surface = Surface::default();
    let mut depth = 0_u32;
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.map_err(broken)? {
            Payload::Version { encoding, .. } => {
                if depth == 0 && encoding == Encoding::Module {
                    return Err(Misfit::CoreModule);
                }
                depth += 1;
                if depth > MAX_DEPTH {
                    return Err(Misfit::Broken(format!("it is nested more than {MAX_DEPTH} deep")));
                }
            }
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(section) if depth == 1 => {
                for import in section {
                    note(&mut surface.imports, import.map_err(broken)?.name.name)?;
                }
            }
            Payload::ComponentExportSection(section) if depth == 1 => {
                for export in section {
                    let export = export.map_err(broken)?;
                    if export.kind == ComponentExternalKind::Instance {
                        note(&mut surface.exports, export.name.name)?;
                    }
                }
            }
            _ => {}
        }
    }
    Ok(surface)
}

fn note(names: &mut Vec<String>, name: &str) -> Result<(), Misfit> {
    if names.len() >= MAX_NAMES {
        return Err(Misfit::Broken(format!("it has more than {MAX_NAMES} imports or exports")));
    }
    names.push(clip(name));
    Ok(())
}

impl Surface {
    /// Checks that a component with this surface fits the role.
    ///
    /// # Errors
    /// The first difference.
    pub fn fits(&self, role: Role) -> Result<(), Misfit> {
        if self.export(role).is_none() {
            return Err(self.wrong_export(role, role.export()));
        }
        self.offered()
    }

    /// Returns the full name of the role's interface as the component exports it, in any version
    /// that the host speaks.
    pub(crate) fn export(&self, role: Role) -> Option<String> {
        role.exports().into_iter().find(|name| self.exports.contains(name))
    }

    /// Checks that the host offers all imports.
    ///
    /// # Errors
    /// The first import that the host does not offer.
    pub(crate) fn offered(&self) -> Result<(), Misfit> {
        match self.imports.iter().find(|name| !is_offered(name)) {
            Some(unknown) => Err(Misfit::UnknownImport(unknown.clone())),
            None => Ok(()),
        }
    }

    fn wrong_export(&self, role: Role, wanted: String) -> Misfit {
        let stem = format!("frond:plugin/{}@", role.interface());
        if let Some(found) = self.exports.iter().find_map(|name| name.strip_prefix(&stem)) {
            return Misfit::OtherVersion {
                interface: format!("frond:plugin/{}", role.interface()),
                found: found.to_owned(),
            };
        }
        let found: Vec<&str> = self.exports.iter().take(8).map(String::as_str).collect();
        let other = [Role::Leaf, Role::Merge, Role::Split].into_iter().find(|other| self.export(*other).is_some());
        let hint = match other {
            Some(other) => format!("it is a {other} component: name it under [{other}], and a {role} component here"),
            None => "in Rust, `frond_plugin::leaf!`, `merger!` and `splitter!` export these interfaces".to_owned(),
        };
        Misfit::WrongExport {
            wanted,
            found: if found.is_empty() { "no interface".to_owned() } else { found.join(", ") },
            hint,
        }
    }

    /// Returns true for a guest that pulls its partition: it gets an empty list instead of the
    /// content.
    #[must_use]
    pub fn pulls(&self) -> bool {
        self.imports.iter().any(|name| name.starts_with("frond:plugin/source@"))
    }

    /// Returns true for a guest that takes its partition piece by piece.
    #[must_use]
    pub fn takes_pieces(&self) -> bool {
        self.imports.iter().any(|name| name.starts_with("frond:plugin/pieces@"))
    }
}

fn is_offered(name: &str) -> bool {
    if let Some(rest) = name.strip_prefix("frond:plugin/") {
        let is_known = |(interface, version): (&str, &str)| match interface {
            "types" | "control" | "source" => VERSIONS.contains(&version),
            "pieces" => version == VERSION,
            _ => false,
        };
        return rest.split_once('@').is_some_and(is_known);
    }
    let wasi = ["cli", "clocks", "config", "filesystem", "http", "io", "random", "sockets"];
    name.contains("@0.2.")
        && name
            .strip_prefix("wasi:")
            .and_then(|rest| rest.split('/').next())
            .is_some_and(|package| wasi.contains(&package))
}
