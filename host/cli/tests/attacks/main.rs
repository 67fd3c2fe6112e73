//! Attacks on a server, the bound that stops each, and the measured effect.
//!
//! The real `frond serve` runs under a memory limit. During each attack a neighbour's app and the
//! health checks are queried without a pause. Every answer must be complete, the server's memory
//! must stay within the attack's budget, and SIGTERM must end the server during the attack. Each
//! test prints its row of the table (`--nocapture`): attack, bound, peak memory, answers to the
//! neighbour.
//!
//! `make test` runs all attacks at a small size and measures no time. `make soak`
//! (`FROND_ATTACKS=full`) runs larger ones, one at a time, and limits the end to `limits.drain` + 5
//! s and the neighbour's p99 to 3 times its value without the attack; beside leaves that spin, one
//! such leaf more.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "tests stop where they are"
)]

#[path = "../kit/mod.rs"]
mod kit;

#[allow(dead_code, reason = "other tests write other leaves")]
#[path = "../../../sandbox/tests/common/wat.rs"]
mod wat;

mod components;
mod connections;
mod guests;
mod http2;
mod neighbour;
mod owners;
mod reading;
mod requests;
mod runtime;
mod stage;
mod turns;
mod wire;

/// Tests of the table of attacks: name, and the bound that stops it.
macro_rules! table {
    ($($topic:ident { $($(#[$mark:meta])* $attack:ident: $name:literal => $bound:literal;)* })*) => {
        mod attack {
            $(mod $topic {
                $($(#[$mark])* #[test] fn $attack() {
                    let attack = crate::stage::Attack { name: $name, bound: $bound };
                    crate::$topic::$attack(attack);
                })*
            })*
        }
    };
}

table! {
    guests {
        fuel: "leaves that spin" => "limits.leaf.fuel";
        time: "leaves that spin without fuel" => "limits.leaf.time";
        deadline: "leaves that spin, sleep, poll and read for ever" => "query.deadline";
        memory: "leaves that allocate for ever" => "limits.leaf.memory";
        output: "leaves that return 16 MiB" => "limits.leaf.output";
        recursion: "leaves that call themselves for ever" => "the guest's stack";
        host_calls: "leaves that emit partials for ever" => "limits.leaf.host-calls";
        log_flood: "leaves that write 100 MiB of escapes" => "limits.leaf.log";
        merges: "merges that spin, allocate, recurse, return too much" => "limits.merge";
        ungranted: "a guest that looks for files, network, environment" => "[grants]";
        forgery: "spellings of this machine's address (SSRF)" => "grants.http";
        escapes: "ways out of a granted folder" => "grants.directories";
        partitions: "queries of billions of partitions" => "1,000,000 partitions";
        patterns: "patterns that compile to far more than they are" => "limits.leaf";
    }
    components {
        hostile: "uploads that are dear to look at" => "inspection";
        junk: "uploads that are no components" => "inspection";
        cache_tampering: "compiled code with other bytes" => "the digest in the cache";
        compile_bomb: "1.5 MB that take 9 GB to compile" => "what a function may have";
        doubling: "a few KB that double 40 times" => "instances of a component";
        cache_truncation: "compiled code that is cut off while it serves" => "the cache";
    }
    runtime {
        named_pipe: "a named pipe in a granted folder" => "regular files only";
        failure_texts: "traps below functions with long names" => "bytes of failures";
    }
    turns {
        sleeping_jobs: "jobs whose leaves sleep" => "one slot is left to queries";
        sleeping_leaves: "queries whose leaves sleep for ten minutes" => "max-deadline, limits.leaf.time";
        filling_merges: "merges that fill 1 GiB" => "small memories alone are inline";
        tiny_deadlines: "one client with tiny deadlines" => "fair shares";
        long_deadlines: "24 clients with long deadlines" => "fair shares";
        spinning_clients: "60 clients of leaves that spin" => "fair shares";
        orphaned_plans: "plans that nobody waits for any more" => "plans at once";
        sleeping_merges: "merges that sleep, of queries and jobs" => "fair shares of merges";
        large_plans: "plans of 100,000 partitions, 1,000 of them required" => "limits.memory";
    }
    reading {
        manifests: "manifests that are huge, deep, circular" => "1 MiB of frond.toml";
        crowds: "hundreds of apps that do not load" => "1,000 apps";
        pipe_as_case: "a named pipe as a case" => "regular files only";
        endless_case: "/dev/zero as a case" => "regular files only";
        endless_query_file: "/dev/zero as a case's query-file" => "regular files only";
        restless_file: "a file written to 2,000 times a second" => "back-off";
        damaged_store: "a store of jobs that is damaged" => "jobs are 503";
    }
    requests {
        deep_json: "JSON 100,000 deep" => "limits.query";
        smuggling: "requests hidden in bodies" => "RFC 9112, 6.3";
        header_floods: "heads of megabytes" => "limits.headers";
        paths: "addresses that lead out of the tree" => "names of apps";
        strangers: "pages elsewhere, and made-up hosts" => "Origin and Host";
        packed: "bodies that are packed" => "415";
        vanishing: "clients that ask and are gone" => "cancelled with their connection";
        followers: "followers who read nothing" => "read-time";
        records: "queries with records of megabytes" => "limits.recent-memory";
        waiting_jobs: "jobs without end" => "jobs.waiting";
        slow_clients: "clients that send and read slowly" => "limits.header-time, body-time";
        cross_site: "pages elsewhere, by Sec-Fetch-Site" => "Sec-Fetch-Site";
        log_lines: "lines and escapes for the log" => "escaped";
    }
    http2 {
        rapid_reset: "HTTP/2 requests that are reset" => "resets that are pending";
        continuation_flood: "HTTP/2 fields without an end" => "limits.headers";
        header_bomb: "HTTP/2 fields that unpack to megabytes" => "limits.headers";
        control_flood: "HTTP/2 settings and pings" => "limits.read-time";
    }
    connections {
        crowds: "1,000 connections that come and go" => "limits.connections";
        endless_bodies: "bodies without an end" => "limits.query, limits.component";
        idle: "idle HTTP/2 connections without a token" => "idle time, places for each peer";
        bodies: "bodies that are all but there" => "bytes of bodies in flight";
        multiplexed_bodies: "bodies on one HTTP/2 connection" => "bytes of bodies in flight";
        slow_readers: "large answers that nobody reads" => "bytes of bodies in flight";
        slow_results: "a job's large result that nobody reads" => "bytes of bodies in flight";
    }
    owners {
        strangers: "one token's work in another's hands" => "owners";
        cancels: "jobs that are cancelled at once" => "each ends cancelled";
        hoards: "jobs of many bytes by one token" => "a token's quota of jobs";
    }
}
