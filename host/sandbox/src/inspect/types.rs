//! Types of values, to compare a component's with the contract's: without names of types, and of
//! bounded size.

use std::fmt::{self, Write};

use wasmparser::component_types::{ComponentDefinedType, ComponentValType};
use wasmparser::types::TypesRef;

use crate::escape::name;

/// Greatest depth to which a foreign type is read. The contract's types are four deep.
const MAX_DEPTH: usize = 8;
/// Most parts of a foreign type that are read: types share their parts, so a short file can have a
/// type that fills any memory when it is spelled out.
const MAX_PARTS: usize = 256;
/// Most characters of a type that are shown.
const MAX_SHOWN: usize = 160;

/// Type of a value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Type {
    /// Primitive type: `bool`, `u8`, `string` and others without parts.
    Plain(&'static str),
    List(Box<Type>),
    Option(Box<Type>),
    Result(Option<Box<Type>>, Option<Box<Type>>),
    Record(Vec<(String, Type)>),
    Variant(Vec<(String, Option<Type>)>),
    Enum(Vec<String>),
    Tuple(Vec<Type>),
    /// Type that the contract does not use, by its kind.
    Other(&'static str),
    /// Part beyond the bounds.
    Beyond,
}

/// Type of a function.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Func {
    pub(crate) is_async: bool,
    pub(crate) params: Vec<(String, Type)>,
    pub(crate) result: Option<Type>,
}

/// Reader of the types in a validated component.
pub(crate) struct Reader<'a> {
    types: TypesRef<'a>,
    left: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(types: TypesRef<'a>) -> Self {
        Self { types, left: MAX_PARTS }
    }

    pub(crate) fn func(&mut self, id: wasmparser::component_types::ComponentFuncTypeId) -> Option<Func> {
        let func = self.types.get(id)?;
        let mut params = Vec::new();
        for (param, ty) in &func.params {
            if self.left == 0 {
                break;
            }
            params.push((name(param.as_str()), self.value(ty, 0)));
        }
        Some(Func { is_async: func.async_, params, result: func.result.as_ref().map(|ty| self.value(ty, 0)) })
    }

    fn value(&mut self, ty: &ComponentValType, depth: usize) -> Type {
        if self.left == 0 || depth > MAX_DEPTH {
            return Type::Beyond;
        }
        self.left -= 1;
        match ty {
            ComponentValType::Primitive(plain) => self::plain(*plain),
            ComponentValType::Type(id) => match self.types.get(*id) {
                Some(defined) => self.defined(defined, depth + 1),
                None => Type::Beyond,
            },
        }
    }

    fn defined(&mut self, ty: &'a ComponentDefinedType, depth: usize) -> Type {
        let types = |each: &mut Self, ty: &ComponentValType| Box::new(each.value(ty, depth));
        match ty {
            ComponentDefinedType::Primitive(plain) => self::plain(*plain),
            ComponentDefinedType::List { element, .. } => Type::List(types(self, element)),
            ComponentDefinedType::Option { ty, .. } => Type::Option(types(self, ty)),
            ComponentDefinedType::Result { ok, err, .. } => {
                let ok = ok.as_ref().map(|ty| types(self, ty));
                Type::Result(ok, err.as_ref().map(|ty| types(self, ty)))
            }
            ComponentDefinedType::Record(record) => {
                Type::Record(self.each(&record.fields, |each, (key, ty)| (name(key.as_str()), each.value(ty, depth))))
            }
            ComponentDefinedType::Variant(variant) => Type::Variant(self.each(&variant.cases, |each, (key, case)| {
                (name(key.as_str()), case.ty.as_ref().map(|ty| each.value(ty, depth)))
            })),
            ComponentDefinedType::Tuple(tuple) => {
                Type::Tuple(self.each(tuple.types.iter(), |each, ty| each.value(ty, depth)))
            }
            ComponentDefinedType::Flags(_) => Type::Other("flags"),
            ComponentDefinedType::Enum(cases) => Type::Enum(self.each(cases, |_, case| name(case.as_str()))),
            ComponentDefinedType::Map { .. } => Type::Other("map"),
            ComponentDefinedType::FixedLengthList { .. } => Type::Other("list of a fixed length"),
            ComponentDefinedType::Own(_) | ComponentDefinedType::Borrow(_) => Type::Other("resource"),
            ComponentDefinedType::Future { .. } => Type::Other("future"),
            ComponentDefinedType::Stream { .. } => Type::Other("stream"),
        }
    }

    fn each<I: IntoIterator, T>(&mut self, parts: I, mut read: impl FnMut(&mut Self, I::Item) -> T) -> Vec<T> {
        let mut found = Vec::new();
        for part in parts {
            if self.left == 0 {
                break;
            }
            found.push(read(self, part));
        }
        found
    }
}

fn plain(ty: wasmparser::PrimitiveValType) -> Type {
    use wasmparser::PrimitiveValType as P;
    Type::Plain(match ty {
        P::Bool => "bool",
        P::S8 => "s8",
        P::U8 => "u8",
        P::S16 => "s16",
        P::U16 => "u16",
        P::S32 => "s32",
        P::U32 => "u32",
        P::S64 => "s64",
        P::U64 => "u64",
        P::F32 => "f32",
        P::F64 => "f64",
        P::Char => "char",
        P::String => "string",
        P::ErrorContext => "error-context",
    })
}

/// Spells a type as WIT does, cut off beyond [`MAX_SHOWN`].
impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        spell(&mut text, self);
        if let Some((end, _)) = text.char_indices().nth(MAX_SHOWN) {
            text.truncate(end);
            text.push('…');
        }
        f.write_str(&text)
    }
}

/// Spells a function's type as WIT does.
impl fmt::Display for Func {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_async { "async func(" } else { "func(" })?;
        for (index, (name, ty)) in self.params.iter().enumerate() {
            let comma = if index > 0 { ", " } else { "" };
            write!(f, "{comma}{name}: {ty}")?;
        }
        match &self.result {
            Some(ty) => write!(f, ") -> {ty}"),
            None => f.write_str(")"),
        }
    }
}

fn spell(text: &mut String, ty: &Type) {
    match ty {
        Type::Plain(name) | Type::Other(name) => text.push_str(name),
        Type::Beyond => text.push('…'),
        Type::List(item) => within(text, "list<", [Some(&**item)]),
        Type::Option(item) => within(text, "option<", [Some(&**item)]),
        Type::Result(None, None) => text.push_str("result"),
        Type::Result(Some(ok), None) => within(text, "result<", [Some(&**ok)]),
        Type::Result(ok, error) => within(text, "result<", [ok.as_deref(), error.as_deref()]),
        Type::Tuple(items) => within(text, "tuple<", items.iter().map(Some)),
        Type::Enum(cases) => named(text, "enum { ", cases.iter().map(|name| (name, None))),
        Type::Record(fields) => named(text, "record { ", fields.iter().map(|(name, ty)| (name, Some(ty)))),
        Type::Variant(cases) => named(text, "variant { ", cases.iter().map(|(name, ty)| (name, ty.as_ref()))),
    }
}

fn within<'a>(text: &mut String, open: &str, items: impl IntoIterator<Item = Option<&'a Type>>) {
    text.push_str(open);
    for (index, item) in items.into_iter().enumerate() {
        if index > 0 {
            text.push_str(", ");
        }
        match item {
            Some(ty) => spell(text, ty),
            None => text.push('_'),
        }
    }
    text.push('>');
}

fn named<'a>(text: &mut String, open: &str, items: impl Iterator<Item = (&'a String, Option<&'a Type>)>) {
    let colon = if open.starts_with("record") { ": " } else { "(" };
    text.push_str(open);
    for (index, (name, ty)) in items.enumerate() {
        let comma = if index > 0 { ", " } else { "" };
        let _ = write!(text, "{comma}{name}");
        if let Some(ty) = ty {
            text.push_str(colon);
            spell(text, ty);
            text.push_str(if colon == "(" { ")" } else { "" });
        }
    }
    text.push_str(" }");
}
