//! Rule for imports: no two files of a crate depend on each other, directly or through others.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::sources::{Named, Role, paths};
use super::{Complaint, Text, sources};

/// Path of a module within its crate; that of the crate itself is empty.
type ModulePath = Vec<String>;
/// Modules of a crate, one for each file.
type Modules = BTreeMap<ModulePath, Module>;

/// A file of a crate as a module.
struct Module {
    source: Text,
    /// Paths in its code and its `use` declarations.
    named: Vec<Named>,
}

/// Imports between files that are part of a circle. Tests may import anything, a re-export only
/// hands on, and a parent that declares its modules imports nothing.
#[must_use]
pub fn circles(root: &Path) -> Vec<Complaint> {
    let mut crates: BTreeMap<String, Modules> = BTreeMap::new();
    for source in sources(root).filter(|source| !source.is_test()) {
        if let Some((member, path)) = module(&source) {
            let code: Vec<&str> = source.text.lines().take_while(|line| *line != "mod tests {").collect();
            let named = paths(&code.join("\n"));
            crates.entry(member).or_default().entry(path).or_insert(Module { source, named });
        }
    }
    crates.values().flat_map(circles_of).collect()
}

/// Member and module path of a source of `host`.
fn module(source: &Text) -> Option<(String, ModulePath)> {
    let (_, member) = source.member().filter(|(parent, _)| *parent == "host")?;
    let within = source.path.strip_prefix(Path::new("host").join(member).join("src")).ok()?.with_extension("");
    let mut path: ModulePath = within.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    path.pop_if(|last| ["lib", "main", "mod"].contains(&last.as_str()));
    Some((member.to_owned(), path))
}

fn circles_of(modules: &Modules) -> Vec<Complaint> {
    let imports: BTreeMap<_, _> = modules.keys().map(|path| (path, imports(modules, path))).collect();
    let reached: BTreeMap<_, _> = modules.keys().map(|path| (path, reached(&imports, path))).collect();
    let mut complaints = Vec::new();
    for (path, module) in modules {
        let circle: Vec<_> = reached[path].iter().filter(|other| reached[*other].contains(path)).collect();
        for (other, import) in imports[path].iter().filter(|(other, _)| circle.contains(other)) {
            let rule = format!(
                "`{}` of {} is imported here, and that file leads back to this one: a circle of {} files",
                import.path.join("::"),
                modules[*other].source.path.display(),
                circle.len()
            );
            let remedy = "move the common type or function to the file that both may know, or the call to its caller";
            complaints.push(module.source.complain(import.line, rule, remedy));
        }
    }
    complaints
}

/// Modules that a module imports from, each with its first import.
fn imports<'a>(modules: &'a Modules, of: &ModulePath) -> BTreeMap<&'a ModulePath, &'a Named> {
    let mut imports = BTreeMap::new();
    for named in modules[of].named.iter().filter(|named| named.role != Role::Reexport) {
        if let Some(home) = home(modules, of, &named.path, 0).filter(|home| *home != of) {
            imports.entry(home).or_insert(named);
        }
    }
    imports
}

/// Modules that `from` leads to, through any number of imports.
fn reached<'a>(
    imports: &BTreeMap<&'a ModulePath, BTreeMap<&'a ModulePath, &Named>>,
    from: &'a ModulePath,
) -> BTreeSet<&'a ModulePath> {
    let mut found = BTreeSet::new();
    let mut next = vec![from];
    while let Some(path) = next.pop() {
        next.extend(imports[path].keys().filter(|other| found.insert(**other)));
    }
    found
}

/// Module whose file has the item that `path` names in the module `within`, through re-exports.
/// `None` for a module itself, and for another crate's item.
fn home<'a>(modules: &'a Modules, within: &ModulePath, path: &[String], depth: usize) -> Option<&'a ModulePath> {
    let first = path.first()?;
    let child = |of: &ModulePath, name: &String| [of.as_slice(), std::slice::from_ref(name)].concat();
    let mut at = within.clone();
    let mut rest = path;
    match first.as_str() {
        "crate" => at.clear(),
        "self" => {}
        "super" => _ = at.pop(),
        _ if modules.contains_key(&child(within, first)) => rest = path,
        _ => return handed_on(modules, within, path, depth),
    }
    if ["crate", "self", "super"].contains(&first.as_str()) {
        rest = &path[1..];
    }
    while let Some(name) = rest.first() {
        let below = child(&at, name);
        if name == "super" {
            at.pop();
        } else if modules.contains_key(&below) {
            at = below;
        } else {
            let own = modules.get_key_value(&at)?.0;
            let is_declared = modules[own].named.iter().any(|named| named.role != Role::Code && named.name == *name);
            return if is_declared { handed_on(modules, own, rest, depth) } else { Some(own) };
        }
        rest = &rest[1..];
    }
    None
}

/// Home of an item whose first name a `use` declaration of `within` brings in.
fn handed_on<'a>(modules: &'a Modules, within: &ModulePath, path: &[String], depth: usize) -> Option<&'a ModulePath> {
    let first = path.first()?;
    let declared = modules[within].named.iter().find(|named| named.role != Role::Code && named.name == *first)?;
    let whole = [declared.path.as_slice(), &path[1..]].concat();
    // Declarations may name each other in a ring only in code that does not compile.
    (depth < 16 && whole != path).then(|| home(modules, within, &whole, depth + 1))?
}
