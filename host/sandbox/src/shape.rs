//! Type check of a component's exports against the contract. wasmtime would report a wrong type
//! only at each call.

use std::fmt::Write;

use wasmtime::component::types::{ComponentFunc, ComponentItem};
use wasmtime::component::{Component, ComponentExportIndex, Type};

use crate::escape::clip;
use crate::inspect::{Misfit, Role};

/// Most bytes of a spelled-out type: a longer one is not of the contract. Types share their parts,
/// so a short component can have a type whose spelling would fill any memory.
const MAX_SPELLING: usize = 1024;

const FAILURE: &str = "variant{invalid-query: string, invalid-partition: string, unavailable: string}";
const PARTITION: &str = "record{key: string, index: u32, data: list<u8>}";
const COVERAGE: &str = "record{planned: u64, covered: u64, complete: bool}";

/// Looks up the function `name` of the interface that `role` exports, and checks its type.
pub(crate) fn export(component: &Component, role: Role, name: &str) -> Result<ComponentExportIndex, Misfit> {
    let found = role
        .exports()
        .iter()
        .find_map(|export| component.get_export(None, export.as_str()))
        .and_then(|(_, interface)| component.get_export(Some(&interface), name));
    let Some((ComponentItem::ComponentFunc(func), index)) = found else {
        return Err(Misfit::Incompatible(format!("{} lacks the function `{name}`", role.export())));
    };
    let wanted = wanted(name);
    let found = spell(&func);
    if wanted == found {
        Ok(index)
    } else {
        Err(Misfit::Incompatible(format!("`{name}` is {}, not {wanted}", clip(&found))))
    }
}

fn wanted(name: &str) -> String {
    let (params, result) = match name {
        "process" => (format!("list<u8>, {PARTITION}"), "list<u8>".to_owned()),
        "merge" => ("list<u8>, list<list<u8>>".to_owned(), "list<u8>".to_owned()),
        "finish" => (format!("list<u8>, option<list<u8>>, {COVERAGE}"), "list<u8>".to_owned()),
        _ => ("list<u8>, u32".to_owned(), format!("list<{PARTITION}>")),
    };
    format!("({params}) -> (result<{result}, {FAILURE}>)")
}

fn spell(func: &ComponentFunc) -> String {
    let mut text = if func.async_() { "async (".to_owned() } else { "(".to_owned() };
    join(&mut text, func.params().map(|(_, ty)| ty), add);
    text.push_str(") -> (");
    join(&mut text, func.results(), add);
    text.push(')');
    text
}

fn join<T>(text: &mut String, parts: impl Iterator<Item = T>, each: impl Fn(&mut String, T)) {
    for (index, part) in parts.enumerate() {
        if text.len() > MAX_SPELLING {
            return text.push('…');
        }
        if index > 0 {
            text.push_str(", ");
        }
        each(text, part);
    }
}

fn add(text: &mut String, ty: Type) {
    if text.len() > MAX_SPELLING {
        return text.push('…');
    }
    match ty {
        Type::List(list) => within(text, "list", [Some(list.ty())]),
        Type::Option(option) => within(text, "option", [Some(option.ty())]),
        Type::Result(result) => within(text, "result", [result.ok(), result.err()]),
        Type::Record(record) => {
            text.push_str("record{");
            join(text, record.fields(), |text, field| named(text, field.name, Some(field.ty)));
            text.push('}');
        }
        Type::Variant(variant) => {
            text.push_str("variant{");
            join(text, variant.cases(), |text, case| named(text, case.name, case.ty));
            text.push('}');
        }
        other => {
            // Primitive types are spelled as in WIT; of other types, which the contract does not
            // use, only the kind.
            let _ = write!(text, "{}", format!("{other:?}").split('(').next().unwrap_or_default().to_lowercase());
        }
    }
}

fn within<const N: usize>(text: &mut String, name: &str, parts: [Option<Type>; N]) {
    let _ = write!(text, "{name}<");
    join(text, parts.into_iter(), |text, part| match part {
        Some(ty) => add(text, ty),
        None => text.push('_'),
    });
    text.push('>');
}

fn named(text: &mut String, name: &str, ty: Option<Type>) {
    text.push_str(name);
    if let Some(ty) = ty {
        text.push_str(": ");
        add(text, ty);
    }
}
