//! Components that attack the programs which read them. Most are written by hand, because tools
//! refuse them or take a minute.

use std::fmt::Write as _;

const HEADER: &[u8] = b"\0asm\x0d\0\x01\0";
/// Ids of the sections of a component.
const CUSTOM: u8 = 0;
const CORE_MODULE: u8 = 1;
const COMPONENT: u8 = 4;
const TYPE: u8 = 7;
const IMPORT: u8 = 10;

/// Returns all components, each with a name for messages.
pub fn all() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("a terminal's escapes as names", escapes()),
        ("100,000 imports", imports(100_000)),
        ("5000 imports, and one with a name of 90,000 characters", long_names()),
        ("components nested 99 deep", nested(99)),
        ("components nested 100,000 deep", nested(100_000)),
        ("types nested 50 deep", types(50, "(list T)")),
        ("types nested 5000 deep", types(5000, "(list T)")),
        ("types whose spelling doubles 15 times", types(15, "(list (tuple T T))")),
        ("types whose spelling doubles 60 times", types(60, "(list (tuple T T))")),
        ("a custom section of 60 MiB", with_custom("large", 60 << 20)),
        ("a custom section of 100 MiB", with_custom("large", 100 << 20)),
        ("a section of names that are 8 million empty fields", with_custom("component-name", 8 << 20)),
        ("a count of types that the bytes do not bear out", section(TYPE, &[0xff, 0xff, 0xff, 0xff, 0x0f])),
    ]
}

fn escapes() -> Vec<u8> {
    let custom = section(CUSTOM, b"\x0d\x1b[2J\x1b]0;t\x07\r\n\t");
    [custom, importing(["\u{1b}[31mred\u{202e}\u{7}".to_owned()])[HEADER.len()..].to_vec()].concat()
}

fn imports(count: u32) -> Vec<u8> {
    importing((0..count).map(|number| format!("f{number}")))
}

fn long_names() -> Vec<u8> {
    importing((0..5000).map(|number| format!("f{number}")).chain(["x".repeat(90_000)]))
}

/// Returns a component that imports functions with these names, without parameters or results.
fn importing(names: impl IntoIterator<Item = String>) -> Vec<u8> {
    let mut content = Vec::new();
    let mut count = 0;
    for name in names {
        content.extend([&[0], leb(name.len()).as_slice(), name.as_bytes(), &[1, 0]].concat());
        count += 1;
    }
    let types = section(TYPE, &[1, 0x40, 0, 1, 0]);
    let imports = section(IMPORT, &[leb(count), content].concat());
    [&types, &imports[HEADER.len()..]].concat()
}

fn nested(depth: usize) -> Vec<u8> {
    // Built from the inside out, with the bytes in reverse.
    let mut backwards: Vec<u8> = HEADER.iter().rev().copied().collect();
    for _ in 0..depth {
        let size = leb(backwards.len());
        backwards.extend(size.iter().rev());
        backwards.push(COMPONENT);
        backwards.extend(HEADER.iter().rev());
    }
    backwards.reverse();
    backwards
}

/// Returns a leaf with a recursively built type of its query: `each`, with `T` for the inner type.
fn types(depth: usize, each: &str) -> Vec<u8> {
    let mut text = "(component (type $t0 u8)".to_owned();
    for level in 1..=depth {
        let _ = write!(text, "(type $t{level} {})", each.replace('T', &format!("$t{}", level - 1)));
    }
    let _ = write!(
        text,
        r#"(core module $m (memory (export "m") 1)
                (func (export "r") (param i32 i32 i32 i32) (result i32) (i32.const 0))
                (func (export "f") (param i32 i32 i32) (result i32) (i32.const 0)))
            (core instance $i (instantiate $m))
            (func $f (param "query" $t{depth}) (param "c" u8) (result (list u8))
                (canon lift (core func $i "f") (memory $i "m") (realloc (func $i "r"))))
            (instance $out (export "process" (func $f)))
            (export "frond:plugin/process-partition@0.1.1" (instance $out)))"#
    );
    wat::parse_str(text).unwrap()
}

fn with_custom(name: &str, size: usize) -> Vec<u8> {
    section(CUSTOM, &[leb(name.len()), name.as_bytes().to_vec(), vec![0; size]].concat())
}

/// Returns a component of one section.
fn section(id: u8, content: &[u8]) -> Vec<u8> {
    [HEADER, &[id], &leb(content.len()), content].concat()
}

fn leb(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = (number & 0x7f) as u8;
        number >>= 7;
        bytes.push(if number == 0 { low } else { low | 0x80 });
        if number == 0 {
            return bytes;
        }
    }
}

/// Adds a core module to a component that is costly to compile: functions of many loops over many
/// locals.
pub fn costly(component: &[u8], functions: usize, loops: usize, locals: usize) -> Vec<u8> {
    let mut body = [&[1], leb(locals).as_slice(), &[0x7f]].concat();
    for number in 0..loops {
        let one = leb(number % locals);
        let other = leb((number * 7919 + 1) % locals);
        // (loop (br_if 0 (local.tee $other (i32.add (local.get $one) (local.get $other)))))
        body.extend([&[0x03, 0x40, 0x20], &one[..], &[0x20], &other, &[0x6a, 0x22], &other, &[0x0d, 0, 0x0b]].concat());
    }
    body.push(0x0b);
    let body = [leb(body.len()), body].concat();
    let part = |id: u8, content: Vec<u8>| [vec![id], leb(content.len()), content].concat();
    let module = [
        b"\0asm\x01\0\0\0".to_vec(),
        part(1, vec![1, 0x60, 0, 0]),
        part(3, [leb(functions), vec![0; functions]].concat()),
        part(10, [leb(functions), body.repeat(functions)].concat()),
    ];
    [component.to_vec(), part(CORE_MODULE, module.concat())].concat()
}
