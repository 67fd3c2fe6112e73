//! Leaves written as text, for what no compiler would write.

/// A leaf whose `process` runs `body`, with `core` beside it in its core module. `body` leaves on the stack where its
/// result lies: [`OK`] is an empty partial. The query's and the partition's bytes are put from 64 KiB on.
pub(crate) fn leaf(core: &str, body: &str) -> Vec<u8> {
    with_imports("", "", core, body)
}

/// A leaf that returns `partial`, and writes over it in its post-return, as an allocator does with what is freed.
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
        export = export("process-partition@0.1.0"),
    );
    assemble(&text)
}

/// What `process` returns for an empty partial.
pub(crate) const OK: &str = "(i32.const 16)";

/// The same with `imports` of the component, and `lowered` to give them to the core module.
pub(crate) fn with_imports(imports: &str, lowered: &str, core: &str, body: &str) -> Vec<u8> {
    assemble(&text(imports, lowered, core, body))
}

/// The same as text.
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
        export = export("process-partition@0.1.0"),
    )
}

/// The contract's types, as every component that exports them must name them.
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

/// A splitter that returns `count` partitions with the same `size` bytes and an empty key.
pub(crate) fn splitter(count: u32, size: u32) -> Vec<u8> {
    let words = |words: &[u32]| -> String {
        let bytes = words.iter().flat_map(|word| word.to_le_bytes());
        bytes.map(|byte| format!("\\{byte:02x}")).collect()
    };
    let (record, list) = (words(&[0, 0, 0, 0, size]), words(&[0, 1024, count]));
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
        export = export("split-query@0.1.0").replace("\"process\"", "\"split\""),
    );
    assemble(&text)
}
