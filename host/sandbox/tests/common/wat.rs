//! Components written as text, for cases that no compiler would produce.

/// Makes a leaf whose `process` runs `body`, with `core` in the same core module. `body` leaves the
/// address of its result on the stack: [`OK`] is an empty partial. Query and partition are copied
/// to addresses from 64 KiB.
pub(crate) fn leaf(core: &str, body: &str) -> Vec<u8> {
    with_imports("", "", core, body)
}

/// Makes a leaf that returns `partial`, and overwrites it in its post-return, as an allocator may
/// with freed memory.
pub(crate) fn freeing(partial: &str) -> Vec<u8> {
    let text = format!(
        r#"(component
            (core module $main
                (memory (export "memory") 1)
                (data (i32.const 16) "\00\00\00\00\00\04\00\00\{len:02x}\00\00\00")
                (data (i32.const 1024) "{partial}")
                (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 32768))
                (func (export "process") (param i32 i32 i32 i32 i32 i32 i32) (result i32) (i32.const 16))
                (func (export "free") (param i32) (memory.fill (i32.const 0) (i32.const 255) (i32.const 4096))))
            (core instance $main (instantiate $main))
            {TYPES}
            (func $process (param "query" (list u8)) (param "partition" $partition)
                (result (result (list u8) (error $failure)))
                (canon lift (core func $main "process")
                    (memory $main "memory") (realloc (func $main "realloc")) (post-return (func $main "free"))))
            {export})"#,
        len = partial.len(),
        export = export("process-partition@0.1.1"),
    );
    assemble(&text)
}

/// Body of a `process` that returns an empty partial.
pub(crate) const OK: &str = "(i32.const 16)";

/// Makes a leaf with `imports` of the component, and `lowered` to pass them to the core module.
pub(crate) fn with_imports(imports: &str, lowered: &str, core: &str, body: &str) -> Vec<u8> {
    assemble(&text(imports, lowered, core, body))
}

/// Writes the text of a leaf for [`with_imports`].
pub(crate) fn text(imports: &str, lowered: &str, core: &str, body: &str) -> String {
    format!(
        r#"(component
            {imports}
            (core module $libc
                (memory (export "memory") 4)
                (global $free (mut i32) (i32.const 65536))
                (func (export "realloc") (param i32 i32 i32 i32) (result i32)
                    (local $at i32)
                    global.get $free
                    local.set $at
                    global.get $free
                    local.get 3
                    i32.add
                    global.set $free
                    local.get $at))
            (core instance $libc (instantiate $libc))
            {lowered}
            (core module $main
                {core}
                (func (export "process") (param i32 i32 i32 i32 i32 i32 i32) (result i32) {body}))
            (core instance $main (instantiate $main {with}))
            {types}
            (func $process (param "query" (list u8)) (param "partition" $partition)
                (result (result (list u8) (error $failure)))
                (canon lift (core func $main "process")
                    (memory $libc "memory") (realloc (func $libc "realloc"))))
            {export})"#,
        with = if lowered.is_empty() {
            r#"(with "libc" (instance $libc))"#
        } else {
            r#"(with "libc" (instance $libc)) (with "host" (instance $host))"#
        },
        types = TYPES,
        export = export("process-partition@0.1.1"),
    )
}

/// Types of the contract, as every component that exports them must name them.
pub(crate) const TYPES: &str = r#"
    (type $partition' (record (field "key" string) (field "index" u32) (field "data" (list u8))))
    (type $failure' (variant
        (case "invalid-query" string) (case "invalid-partition" string) (case "unavailable" string)))
    (component $named
        (type $partition'' (record (field "key" string) (field "index" u32) (field "data" (list u8))))
        (type $failure'' (variant
            (case "invalid-query" string) (case "invalid-partition" string) (case "unavailable" string)))
        (export "partition" (type $partition''))
        (export "failure" (type $failure'')))
    (instance $types (instantiate $named))
    (alias export $types "partition" (type $partition))
    (alias export $types "failure" (type $failure))
"#;

/// Exports `$process` as an interface's only function.
pub(crate) fn export(interface: &str) -> String {
    format!(
        r#"(instance $out (export "partition" (type $partition)) (export "failure" (type $failure))
            (export "process" (func $process)))
        (export "frond:plugin/{interface}" (instance $out))"#
    )
}

pub(crate) fn assemble(text: &str) -> Vec<u8> {
    ::wat::parse_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// Makes a splitter that returns `count` partitions with the same `size` bytes and an empty key.
pub(crate) fn splitter(count: u32, size: u32) -> Vec<u8> {
    let words = |words: &[u32]| -> String {
        let bytes = words.iter().flat_map(|word| word.to_le_bytes());
        bytes.map(|byte| format!("\\{byte:02x}")).collect()
    };
    let record = words(&[0, 0, 0, 0, size]);
    let list = words(&[0, 1024, count]);
    let text = format!(
        r#"(component
            (core module $main
                (memory (export "memory") 4)
                (data (i32.const 16) "{list}")
                (data (i32.const 1024) "{records}")
                (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 65536))
                (func (export "split") (param i32 i32 i32) (result i32) (i32.const 16)))
            (core instance $main (instantiate $main))
            {TYPES}
            (func $process (param "query" (list u8)) (param "wanted" u32)
                (result (result (list $partition) (error $failure)))
                (canon lift (core func $main "split")
                    (memory $main "memory") (realloc (func $main "realloc"))))
            {export})"#,
        records = record.repeat(count as usize),
        export = export("split-query@0.1.1").replace("\"process\"", "\"split\""),
    );
    assemble(&text)
}

/// Encodes a number as LEB128.
pub(crate) fn leb(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

/// Encodes a section.
pub(crate) fn section(id: u8, content: &[u8]) -> Vec<u8> {
    [&[id], leb(content.len()).as_slice(), content].concat()
}
