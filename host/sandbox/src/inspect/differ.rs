//! Differences between a component's functions and the contract's, in words: the first one counts.

use super::types::{Func, Type};

/// Describes how `found` differs from `wanted`. Names of parameters may differ, as nothing depends
/// on them.
pub(crate) fn func(wanted: &Func, found: &Func) -> Option<String> {
    if wanted.is_async != found.is_async {
        let say = |is_async| if is_async { "async" } else { "not async" };
        return Some(format!("it is {}, the contract's is {}", say(found.is_async), say(wanted.is_async)));
    }
    if wanted.params.len() != found.params.len() {
        let say = |func: &Func| match func.params.len() {
            0 => "no parameters".to_owned(),
            1 => format!("1 parameter ({})", names(&func.params)),
            many => format!("{many} parameters ({})", names(&func.params)),
        };
        return Some(format!("it takes {}, the contract says {}", say(found), say(wanted)));
    }
    for (index, ((name, wanted), (_, found))) in wanted.params.iter().zip(&found.params).enumerate() {
        if let Some(how) = value(wanted, found) {
            return Some(format!("parameter {} `{name}`{how}", index + 1));
        }
    }
    match (&wanted.result, &found.result) {
        (Some(wanted), Some(found)) => value(wanted, found).map(|how| format!("the result{how}")),
        (None, None) => None,
        (wanted, found) => {
            let say = |ty: &Option<Type>| ty.as_ref().map_or("nothing".to_owned(), |ty| format!("`{ty}`"));
            Some(format!("it returns {}, the contract says {}", say(found), say(wanted)))
        }
    }
}

fn names<T>(named: &[(String, T)]) -> String {
    let mut names: Vec<String> = named.iter().take(8).map(|(name, _)| format!("`{name}`")).collect();
    if named.len() > names.len() {
        names.push(format!("and {} more", named.len() - names.len()));
    }
    names.join(", ")
}

/// Describes a difference: ` is …, the contract says …`, or `: ` and the part that differs.
fn value(wanted: &Type, found: &Type) -> Option<String> {
    if wanted == found {
        return None;
    }
    let part = |what: &str, wanted: &Type, found: &Type| value(wanted, found).map(|how| format!(": {what}{how}"));
    let within = match (wanted, found) {
        (Type::List(wanted), Type::List(found)) => part("its items", wanted, found),
        (Type::Option(wanted), Type::Option(found)) => part("its value", wanted, found),
        (Type::Result(ok, error), Type::Result(other_ok, other_error)) => {
            let side = |what: &str, wanted: &Option<Box<Type>>, found: &Option<Box<Type>>| match (wanted, found) {
                (Some(wanted), Some(found)) => part(what, wanted, found),
                _ => None,
            };
            side("the ok case", ok, other_ok).or_else(|| side("the error case", error, other_error))
        }
        (Type::Record(wanted), Type::Record(found)) => fields(wanted, found),
        (Type::Variant(wanted), Type::Variant(found)) => cases(wanted, found),
        _ => None,
    };
    within.or_else(|| Some(format!(" is `{found}`, the contract says `{wanted}`")))
}

fn fields(wanted: &[(String, Type)], found: &[(String, Type)]) -> Option<String> {
    for (index, (name, wanted)) in wanted.iter().enumerate() {
        let Some((other, found)) = found.get(index) else {
            return Some(format!(": lacks field {} `{name}` of `{wanted}`", index + 1));
        };
        if name != other {
            return Some(format!(": field {} is `{other}`, the contract says `{name}`", index + 1));
        }
        if let Some(how) = value(wanted, found) {
            return Some(format!(": field `{name}`{how}"));
        }
    }
    let (extra, _) = found.get(wanted.len())?;
    Some(format!(": has a field {} `{extra}`, the contract says {} fields", wanted.len() + 1, wanted.len()))
}

fn cases(wanted: &[(String, Option<Type>)], found: &[(String, Option<Type>)]) -> Option<String> {
    for (index, (name, wanted)) in wanted.iter().enumerate() {
        let Some((other, found)) = found.get(index) else {
            return Some(format!(": lacks case {} `{name}`", index + 1));
        };
        if name != other {
            return Some(format!(": case {} is `{other}`, the contract says `{name}`", index + 1));
        }
        let how = match (wanted, found) {
            (Some(wanted), Some(found)) => value(wanted, found),
            (None, None) => None,
            (wanted, found) => {
                let say = |ty: &Option<Type>| ty.as_ref().map_or("nothing".to_owned(), |ty| format!("`{ty}`"));
                Some(format!(" holds {}, the contract says {}", say(found), say(wanted)))
            }
        };
        if let Some(how) = how {
            return Some(format!(": case `{name}`{how}"));
        }
    }
    let (extra, _) = found.get(wanted.len())?;
    Some(format!(": has a case {} `{extra}`, the contract says {} cases", wanted.len() + 1, wanted.len()))
}
