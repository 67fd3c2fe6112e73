//! Macros that export functions from a component.

/// Exports one or two functions as the component's leaf:
/// `fn(query: Q, partition: Partition) -> Result<P, Failure>`, or
/// `fn(query: Q) -> Result<S, Failure>` and
/// `fn(state: &S, partition: Partition) -> Result<P, Failure>`.
///
/// `Q` must implement [`Decode`](crate::Decode), and `P` must implement [`Encode`](crate::Encode).
/// With two functions, the first prepares what every partition of a query needs, such as a compiled
/// pattern. An instance prepares a query once: with `instance = "query"` in the app's `frond.toml`,
/// once for the partitions that a slot runs of the query. In a fresh instance it is called for each
/// partition. The state must not change an answer from one partition to the next.
#[macro_export]
macro_rules! leaf {
    ($process:path) => {
        $crate::leaf!(@export process, $process);
    };
    ($prepare:path, $process:path) => {
        $crate::leaf!(@export process_prepared, $prepare, $process);
    };
    (@export $call:ident, $($function:path),+) => {
        const _: () = {
            /// Guest of the role leaf, which calls the author's function.
            struct Leaf;
            impl $crate::__leaf::exports::frond::plugin::process_partition::Guest for Leaf {
                fn process(
                    query: ::std::vec::Vec<u8>,
                    partition: $crate::Partition,
                ) -> ::std::result::Result<::std::vec::Vec<u8>, $crate::Failure> {
                    $crate::call::$call($($function),+, query, partition)
                }
            }
            const _: fn() = $crate::call::exported::<Leaf>;
            #[cfg(target_family = "wasm")]
    $crate::__leaf::export!(Leaf with_types_in $crate::__leaf);
        };
    };
}

/// Exports two functions as the component's merge module:
/// `fn(query: Q, partials: Vec<P>) -> Result<P, Failure>` and
/// `fn(query: Q, merged: Option<P>, coverage: Coverage) -> Result<A, Failure>`.
///
/// The first function merges. It must be associative, and commutative too unless the app declares
/// its merge ordered. Its input is both leaves' partials and its own results, so both have the type
/// `P`, which implements [`Decode`](crate::Decode) and [`Encode`](crate::Encode). The second
/// function finishes: it turns the merged partial into the answer.
#[macro_export]
macro_rules! merger {
    ($merge:path, $finish:path) => {
        const _: () = {
            /// Guest of the role merge, which calls the author's functions.
            struct Merger;
            impl $crate::__merger::exports::frond::plugin::merge_partials::Guest for Merger {
                fn merge(
                    query: ::std::vec::Vec<u8>,
                    partials: ::std::vec::Vec<::std::vec::Vec<u8>>,
                ) -> ::std::result::Result<::std::vec::Vec<u8>, $crate::Failure> {
                    $crate::call::merge($merge, query, partials)
                }
                fn finish(
                    query: ::std::vec::Vec<u8>,
                    merged: ::std::option::Option<::std::vec::Vec<u8>>,
                    coverage: $crate::Coverage,
                ) -> ::std::result::Result<::std::vec::Vec<u8>, $crate::Failure> {
                    $crate::call::finish($finish, query, merged, coverage)
                }
            }
            const _: fn() = $crate::call::exported::<Merger>;
            #[cfg(target_family = "wasm")]
    $crate::__merger::export!(Merger with_types_in $crate::__merger);
        };
    };
}

/// Exports `fn(query: Q, wanted: u32) -> Result<Vec<Partition>, Failure>` as the component's split
/// module.
///
/// `wanted` is the approximate number of partitions.
#[macro_export]
macro_rules! splitter {
    ($split:path) => {
        const _: () = {
            /// Guest of the role split, which calls the author's function.
            struct Splitter;
            impl $crate::__splitter::exports::frond::plugin::split_query::Guest for Splitter {
                fn split(
                    query: ::std::vec::Vec<u8>,
                    wanted: u32,
                ) -> ::std::result::Result<::std::vec::Vec<$crate::Partition>, $crate::Failure> {
                    $crate::call::split($split, query, wanted)
                }
            }
            const _: fn() = $crate::call::exported::<Splitter>;
            #[cfg(target_family = "wasm")]
    $crate::__splitter::export!(Splitter with_types_in $crate::__splitter);
        };
    };
}
