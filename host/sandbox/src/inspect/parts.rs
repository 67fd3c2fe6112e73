//! Parts of a component: its modules, with the memories and tables of an instance, and the origin
//! in its custom sections. Only for validated bytes: validation bounds the index spaces.

use std::collections::BTreeMap;

use wasmparser::{
    ComponentAlias, ComponentExternalKind, ComponentInstance, ComponentOuterAliasKind, CustomSectionReader, Encoding,
    Instance, KnownCustom, MemoryType, Name, Parser, Payload, ProducersSectionReader,
};

use crate::escape::name;

/// Most imports, exports and packages in a report.
const MAX_LISTED: usize = 100;
/// Most producers in a report.
const MAX_PRODUCERS: usize = 32;
/// Most names of custom sections in a report.
const MAX_SECTIONS: usize = 32;

/// Result of reading a part of a component.
type Read<T> = Result<T, wasmparser::BinaryReaderError>;

/// Resources that an instance needs before it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Demand {
    /// Number of core module instantiations.
    pub instances: u64,
    /// Number of memories.
    pub memories: u64,
    /// Initial bytes of memory, summed over all memories.
    pub memory_min: u64,
    /// Declared maximum bytes of memory, summed over all memories; `None` if one has no maximum.
    pub memory_max: Option<u64>,
    /// Number of tables.
    pub tables: u64,
    /// Initial table elements, summed over all tables.
    pub table_min: u64,
    /// Number of component items (instances, aliases, imports, exports, lifted and lowered
    /// functions), counted per instance.
    pub items: u64,
    /// False if a module or a component is imported, whose demand is unknown.
    pub is_known: bool,
}

/// Demand of nothing.
const NONE: Demand = Demand {
    instances: 0,
    memories: 0,
    memory_min: 0,
    memory_max: Some(0),
    tables: 0,
    table_min: 0,
    items: 0,
    is_known: true,
};
/// Demand of an imported module or component, which is unknown.
const UNSEEN: Demand = Demand { is_known: false, ..NONE };

impl Demand {
    fn add(&mut self, other: Self) {
        self.instances = self.instances.saturating_add(other.instances);
        self.memories = self.memories.saturating_add(other.memories);
        self.memory_min = self.memory_min.saturating_add(other.memory_min);
        self.memory_max = self.memory_max.zip(other.memory_max).map(|(a, b)| a.saturating_add(b));
        self.tables = self.tables.saturating_add(other.tables);
        self.table_min = self.table_min.saturating_add(other.table_min);
        self.items = self.items.saturating_add(other.items);
        self.is_known &= other.is_known;
    }

    fn add_memory(&mut self, memory: MemoryType) {
        let bytes = |pages: u64| pages.checked_shl(memory.page_size_log2.unwrap_or(16)).unwrap_or(u64::MAX);
        let maximum = memory.maximum.map(bytes);
        let one = Self { memories: 1, memory_min: bytes(memory.initial), memory_max: maximum, ..NONE };
        self.add(one);
    }
}

/// First items of a list, with the number of the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed<T> {
    /// First items.
    pub items: Vec<T>,
    /// Number of further items.
    pub more: u64,
}

impl<T> Default for Listed<T> {
    fn default() -> Self {
        Self { items: Vec::new(), more: 0 }
    }
}

impl<T> Listed<T> {
    pub(super) fn push(&mut self, item: T) {
        if self.items.len() < MAX_LISTED {
            self.items.push(item);
        } else {
            self.more += 1;
        }
    }
}

/// Language or tool that made a component, by the component's own account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Producer {
    /// Field of the section: `language`, `processed-by` or `sdk`.
    pub field: String,
    /// Name of the language or tool.
    pub name: String,
    /// Version of the language or tool.
    pub version: String,
}

/// Custom sections of one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// Name of the sections.
    pub name: String,
    /// Number of sections, nested modules included.
    pub count: u64,
    /// Size in bytes, summed over all sections.
    pub size: u64,
}

/// Component or module that is being read, with its index spaces.
struct Level {
    is_module: bool,
    modules: Vec<Demand>,
    components: Vec<Demand>,
    own: Demand,
}

/// Parts of a component.
pub(crate) struct Parts {
    pub(crate) modules: u64,
    pub(crate) components: u64,
    pub(crate) demand: Demand,
    pub(crate) producers: Listed<Producer>,
    pub(crate) sections: Listed<Section>,
    pub(crate) has_function_names: bool,
    pub(crate) debug_info: u64,
}

/// Reads what an instance of a component needs before it runs.
pub(crate) fn demand(bytes: &[u8]) -> Read<Demand> {
    Ok(parts(bytes)?.demand)
}

/// Reads the parts of a component.
pub(crate) fn parts(bytes: &[u8]) -> Read<Parts> {
    let mut walk = Walk {
        levels: Vec::new(),
        sections: BTreeMap::new(),
        more_sections: 0,
        parts: Parts {
            modules: 0,
            components: 0,
            demand: NONE,
            producers: Listed::default(),
            sections: Listed::default(),
            has_function_names: false,
            debug_info: 0,
        },
    };
    for payload in Parser::new(0).parse_all(bytes) {
        walk.see(payload?)?;
    }
    let sections = walk.sections.into_iter().map(|(name, (count, size))| Section { name, count, size });
    walk.parts.sections = Listed { items: sections.collect(), more: walk.more_sections };
    // The outermost component does not count as nested.
    walk.parts.components = walk.parts.components.saturating_sub(1);
    Ok(walk.parts)
}

/// Walk through a component's sections and inner modules.
struct Walk {
    levels: Vec<Level>,
    sections: BTreeMap<String, (u64, u64)>,
    more_sections: u64,
    parts: Parts,
}

impl Walk {
    fn see(&mut self, payload: Payload<'_>) -> Read<()> {
        match payload {
            Payload::Version { encoding, .. } => {
                let is_module = encoding == Encoding::Module;
                let count = if is_module { &mut self.parts.modules } else { &mut self.parts.components };
                *count += 1;
                let own = if is_module { Demand { instances: 1, ..NONE } } else { NONE };
                self.levels.push(Level { is_module, modules: Vec::new(), components: Vec::new(), own });
            }
            Payload::End(_) => self.leave(),
            Payload::CustomSection(section) => self.custom(&section)?,
            Payload::ComponentAliasSection(section) => {
                self.count(section.count());
                for alias in section {
                    self.alias(&alias?);
                }
            }
            other => {
                if let Some(level) = self.levels.last_mut() {
                    level.see(other)?;
                }
            }
        }
        Ok(())
    }

    fn count(&mut self, items: u32) {
        if let Some(level) = self.levels.last_mut() {
            level.count(items);
        }
    }

    fn leave(&mut self) {
        let Some(done) = self.levels.pop() else { return };
        match self.levels.last_mut() {
            Some(outer) if done.is_module => outer.modules.push(done.own),
            Some(outer) => outer.components.push(done.own),
            None => self.parts.demand = done.own,
        }
    }

    fn alias(&mut self, alias: &ComponentAlias<'_>) {
        let (is_module, demand) = match *alias {
            ComponentAlias::InstanceExport { kind: ComponentExternalKind::Module, .. } => (true, UNSEEN),
            ComponentAlias::InstanceExport { kind: ComponentExternalKind::Component, .. } => (false, UNSEEN),
            ComponentAlias::Outer { kind, count, index } => {
                let from = self.levels.iter().rev().nth(count as usize);
                let (is_module, space) = match kind {
                    ComponentOuterAliasKind::CoreModule => (true, from.map(|level| &level.modules)),
                    ComponentOuterAliasKind::Component => (false, from.map(|level| &level.components)),
                    ComponentOuterAliasKind::CoreType | ComponentOuterAliasKind::Type => return,
                };
                (is_module, space.and_then(|space| space.get(index as usize)).copied().unwrap_or(UNSEEN))
            }
            _ => return,
        };
        if let Some(level) = self.levels.last_mut() {
            let space = if is_module { &mut level.modules } else { &mut level.components };
            space.push(demand);
        }
    }

    fn custom(&mut self, section: &CustomSectionReader<'_>) -> Read<()> {
        let key = name(section.name());
        let size = section.data().len() as u64;
        if section.name().starts_with(".debug_") {
            self.parts.debug_info += size;
        }
        if self.sections.len() < MAX_SECTIONS || self.sections.contains_key(&key) {
            let (count, sum) = self.sections.entry(key).or_default();
            *count += 1;
            *sum += size;
        } else {
            self.more_sections += 1;
        }
        // The content of custom sections is not validated: skip a broken one.
        match section.as_known() {
            KnownCustom::Producers(producers) => drop(self.producers(producers)),
            KnownCustom::Name(names) => {
                let functions = |one: Read<Name<'_>>| matches!(one, Ok(Name::Function(map)) if map.count() > 0);
                self.parts.has_function_names |= names.into_iter().take(16).any(functions);
            }
            _ => {}
        }
        Ok(())
    }

    fn producers(&mut self, fields: ProducersSectionReader<'_>) -> Read<()> {
        let producers = &mut self.parts.producers;
        for field in fields {
            let field = field?;
            for value in field.values {
                let value = value?;
                let one = Producer { field: name(field.name), name: name(value.name), version: name(value.version) };
                if producers.items.contains(&one) {
                    continue;
                }
                if producers.items.len() < MAX_PRODUCERS {
                    producers.items.push(one);
                } else {
                    producers.more += 1;
                }
            }
        }
        Ok(())
    }
}

impl Level {
    fn count(&mut self, items: u32) {
        self.own.items = self.own.items.saturating_add(u64::from(items));
    }

    fn see(&mut self, payload: Payload<'_>) -> Read<()> {
        match payload {
            Payload::MemorySection(section) => {
                for memory in section {
                    self.own.add_memory(memory?);
                }
            }
            Payload::TableSection(section) => {
                for table in section {
                    let elements = table?.ty.initial;
                    self.own.add(Demand { tables: 1, table_min: elements, ..NONE });
                }
            }
            Payload::InstanceSection(section) => {
                self.count(section.count());
                for instance in section {
                    if let Instance::Instantiate { module_index, .. } = instance? {
                        self.own.add(self.modules.get(module_index as usize).copied().unwrap_or(UNSEEN));
                    }
                }
            }
            Payload::ComponentInstanceSection(section) => {
                self.count(section.count());
                for instance in section {
                    if let ComponentInstance::Instantiate { component_index, .. } = instance? {
                        self.own.add(self.components.get(component_index as usize).copied().unwrap_or(UNSEEN));
                    }
                }
            }
            Payload::ComponentImportSection(section) => {
                self.count(section.count());
                for import in section {
                    self.enters(import?.ty.kind(), None);
                }
            }
            Payload::ComponentExportSection(section) => {
                self.count(section.count());
                for export in section {
                    let export = export?;
                    self.enters(export.kind, Some(export.index));
                }
            }
            Payload::ComponentCanonicalSection(section) => self.count(section.count()),
            _ => {}
        }
        Ok(())
    }

    /// Adds an import or export to its index space; both take an index.
    fn enters(&mut self, kind: ComponentExternalKind, index: Option<u32>) {
        let space = match kind {
            ComponentExternalKind::Module => &mut self.modules,
            ComponentExternalKind::Component => &mut self.components,
            _ => return,
        };
        let same = index.and_then(|index| space.get(index as usize)).copied();
        space.push(same.unwrap_or(UNSEEN));
    }
}
