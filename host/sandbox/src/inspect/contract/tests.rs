//! Agreement of the contract in Rust with the WIT file that guests are built with.

use wit_parser::{Resolve, Type as Wit, TypeDefKind};

use super::interface;
use crate::bindings::VERSION;
use crate::inspect::types::{Func, Type};

fn world() -> Resolve {
    let mut resolve = Resolve::default();
    resolve.push_str("world.wit", include_str!("../../../../../wit/world.wit")).unwrap();
    resolve
}

fn value(resolve: &Resolve, ty: &Wit) -> Type {
    let of = |ty: &Wit| value(resolve, ty);
    let boxed = |ty: &Option<Wit>| ty.as_ref().map(|ty| Box::new(of(ty)));
    match ty {
        Wit::Bool => Type::Plain("bool"),
        Wit::U8 => Type::Plain("u8"),
        Wit::U32 => Type::Plain("u32"),
        Wit::U64 => Type::Plain("u64"),
        Wit::F64 => Type::Plain("f64"),
        Wit::String => Type::Plain("string"),
        Wit::Id(id) => match &resolve.types[*id].kind {
            TypeDefKind::Type(ty) => of(ty),
            TypeDefKind::List(ty) => Type::List(of(ty).into()),
            TypeDefKind::Option(ty) => Type::Option(of(ty).into()),
            TypeDefKind::Result(result) => Type::Result(boxed(&result.ok), boxed(&result.err)),
            TypeDefKind::Record(record) => {
                Type::Record(record.fields.iter().map(|field| (field.name.clone(), of(&field.ty))).collect())
            }
            TypeDefKind::Variant(variant) => {
                Type::Variant(variant.cases.iter().map(|case| (case.name.clone(), case.ty.as_ref().map(of))).collect())
            }
            TypeDefKind::Enum(cases) => Type::Enum(cases.cases.iter().map(|case| case.name.clone()).collect()),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

#[test]
fn it_is_that_of_the_wit_file() {
    let resolve = world();
    let mut compared = 0;
    for (_, found) in resolve.interfaces.iter() {
        let name = found.name.as_deref().unwrap();
        let package = &resolve.packages[found.package.unwrap()].name;
        assert_eq!(package.to_string(), format!("frond:plugin@{VERSION}"));
        let Some(contract) = interface(name) else {
            assert_eq!(name, "types");
            continue;
        };
        let functions: Vec<(&str, Func)> = found
            .functions
            .iter()
            .map(|(name, func)| {
                let params = func.params.iter().map(|param| (param.name.clone(), value(&resolve, &param.ty))).collect();
                let result = func.result.as_ref().map(|ty| value(&resolve, ty));
                (name.as_str(), Func { is_async: false, params, result })
            })
            .collect();
        assert_eq!(functions, contract, "{name}");
        compared += functions.len();
    }
    assert_eq!(compared, 12);
}
