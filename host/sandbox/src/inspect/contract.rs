//! Functions of the plugin contract with their types, to compare components with. They must agree
//! with `wit/world.wit`; a test compares the two.

use super::types::{Func, Type};

#[cfg(test)]
mod tests;

/// Returns the functions of an interface that a component may export or import, in the contract's
/// order.
pub(crate) fn interface(name: &str) -> Option<Vec<(&'static str, Func)>> {
    let plain = Type::Plain;
    Some(match name {
        "process-partition" => {
            vec![("process", func([("query", bytes()), ("partition", partition())], fallible(bytes())))]
        }
        "merge-partials" => {
            let partials = ("partials", Type::List(bytes().into()));
            let merged = ("merged", Type::Option(bytes().into()));
            vec![
                ("merge", func([("query", bytes()), partials], fallible(bytes()))),
                ("finish", func([("query", bytes()), merged, ("coverage", coverage())], fallible(bytes()))),
            ]
        }
        "split-query" => {
            let partitions = Type::List(partition().into());
            vec![("split", func([("query", bytes()), ("wanted", plain("u32"))], fallible(partitions)))]
        }
        "control" => vec![
            ("remaining-ms", func([], Some(plain("u64")))),
            ("emit-partial", func([("partial", bytes()), ("done", plain("f64"))], None)),
        ],
        "source" => vec![
            ("size", func([], Some(plain("u64")))),
            ("read", func([("offset", plain("u64")), ("len", plain("u32"))], Some(bytes()))),
        ],
        "pieces" => {
            let piece = record([("begin", plain("u64")), ("end", plain("u64"))]);
            let unit = Type::Enum(vec!["bytes".to_owned(), "integers".to_owned()]);
            vec![
                ("unit", func([], Some(unit))),
                ("next", func([], Some(Type::Option(piece.into())))),
                ("keep", func([("partial", bytes())], None)),
                ("skip-rest", func([], None)),
            ]
        }
        _ => return None,
    })
}

fn func<const N: usize>(params: [(&str, Type); N], result: Option<Type>) -> Func {
    let params = params.into_iter().map(|(name, ty)| (name.to_owned(), ty)).collect();
    Func { is_async: false, params, result }
}

fn bytes() -> Type {
    Type::List(Type::Plain("u8").into())
}

fn record<const N: usize>(fields: [(&str, Type); N]) -> Type {
    Type::Record(fields.into_iter().map(|(name, ty)| (name.to_owned(), ty)).collect())
}

fn partition() -> Type {
    record([("key", Type::Plain("string")), ("index", Type::Plain("u32")), ("data", bytes())])
}

fn coverage() -> Type {
    let number = || Type::Plain("u64");
    record([("planned", number()), ("covered", number()), ("complete", Type::Plain("bool"))])
}

fn fallible(ok: Type) -> Option<Type> {
    let case = |name: &str| (name.to_owned(), Some(Type::Plain("string")));
    let failure = Type::Variant(vec![case("invalid-query"), case("invalid-partition"), case("unavailable")]);
    Some(Type::Result(Some(ok.into()), Some(failure.into())))
}
