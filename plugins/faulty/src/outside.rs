//! Access to the world outside the component: clocks, files, network, configuration.

use std::collections::BTreeMap;
use std::net::{TcpListener, TcpStream, ToSocketAddrs, UdpSocket};

use frond_plugin::{Failure, config, http};
use serde_json::{Value, json};

/// Reads the wall clock, the monotonic clock and randomness. With `deterministic = true` they are
/// equal in every run.
pub fn clock() -> Value {
    #[cfg(target_family = "wasm")]
    {
        let now = wasip2::clocks::wall_clock::now();
        json!({
            "now_ms": now.seconds * 1000 + u64::from(now.nanoseconds / 1_000_000),
            "mono_ns": wasip2::clocks::monotonic_clock::now(),
            "random": wasip2::random::random::get_random_u64(),
            "insecure": wasip2::random::insecure::get_insecure_random_u64(),
        })
    }
    #[cfg(not(target_family = "wasm"))]
    sandbox_only()
}

/// Waits for a duration of zero again and again: each host call makes and drops a resource.
pub fn poll_forever() -> ! {
    #[cfg(target_family = "wasm")]
    loop {
        wasip2::clocks::monotonic_clock::subscribe_duration(0).block();
    }
    #[cfg(not(target_family = "wasm"))]
    sandbox_only()
}

/// Asks for more memory forever, and ignores refusals.
pub fn grow_memory_quietly() -> ! {
    #[cfg(target_family = "wasm")]
    loop {
        std::hint::black_box(core::arch::wasm32::memory_grow::<0>(16));
    }
    #[cfg(not(target_family = "wasm"))]
    sandbox_only()
}

/// Sends a request, and reports its answer. `words` are `METHOD URL SIZE`, `METHOD URL` or `URL`.
pub fn http(words: &str) -> Result<Value, Failure> {
    Ok(report(&request(words).send()?))
}

/// Sends a request like [`http()`], but reports an error too instead of failing.
pub fn http_quietly(words: &str) -> Value {
    match request(words).send() {
        Ok(answer) => report(&answer),
        Err(error) => json!({ "error": format!("{error:?}") }),
    }
}

fn request(words: &str) -> http::Request {
    let words: Vec<&str> = words.split(' ').collect();
    let (method, url, size) = match *words.as_slice() {
        [method, url, size] => (method, url, size.parse().unwrap_or(0)),
        [method, url] => (method, url, 0),
        _ => ("GET", words.first().copied().unwrap_or_default(), 0),
    };
    http::Request::new(method, url).header("x-faulty", "yes").body(vec![b'x'; size])
}

fn report(answer: &http::Response) -> Value {
    let text = String::from_utf8_lossy(answer.body.get(..200).unwrap_or(&answer.body)).into_owned();
    json!({ "status": answer.status, "size": answer.body.len(), "body": text, "location": answer.header("location") })
}

/// Reports a configured value, and all environment variables.
pub fn config(key: &str) -> Value {
    let env: BTreeMap<_, _> = std::env::vars().collect();
    json!({ "value": config::get(key), "env": env })
}

/// Connects a TCP socket. There is no grant for sockets, so it must fail in the sandbox.
pub fn socket() -> Result<(), Failure> {
    TcpStream::connect("127.0.0.1:80").map(drop).map_err(Failure::unavailable)
}

/// Tries every operation on the file at `path` and in its folder, and reports which ones succeed.
pub fn files(path: &str) -> Value {
    let can = |done: std::io::Result<()>| done.is_ok();
    let folder = path.rsplit_once('/').map_or("/", |(folder, _)| folder);
    let beside = format!("{folder}/faulty");
    json!({
        "read": std::fs::read_to_string(path).ok(),
        "listed": std::fs::read_dir(folder).is_ok(),
        "write": can(std::fs::write(path, "x")),
        "append": can(std::fs::OpenOptions::new().append(true).open(path).map(drop)),
        "create": can(std::fs::write(&beside, "x")),
        "create-dir": can(std::fs::create_dir(&beside)),
        "rename": can(std::fs::rename(path, &beside)),
        "link": can(std::fs::hard_link(path, &beside)),
        "remove": can(std::fs::remove_file(path)),
        "remove-dir": can(std::fs::remove_dir_all(folder)),
    })
}

/// Reports the size and the beginning of the file at `path`.
pub fn read_file(path: &str) -> Result<Value, Failure> {
    let bytes = std::fs::read(path).map_err(Failure::unavailable)?;
    let text = String::from_utf8_lossy(bytes.get(..200).unwrap_or(&bytes)).into_owned();
    Ok(json!({ "size": bytes.len(), "text": text }))
}

/// Opens the file at `path` again and again without closing it, until that fails.
pub fn open_many(path: &str) -> Result<(), Failure> {
    let mut open = Vec::new();
    loop {
        open.push(std::fs::File::open(path).map_err(|error| Failure::unavailable(format!("{}: {error}", open.len())))?);
    }
}

/// Counts the entries of the folder at `path`, by kind.
pub fn list_folder(path: &str) -> Result<Value, Failure> {
    let mut files = 0;
    let mut folders = 0;
    let mut others = 0;
    for entry in std::fs::read_dir(path).map_err(Failure::unavailable)? {
        let kind = entry.and_then(|entry| entry.file_type()).map_err(Failure::unavailable)?;
        *(if kind.is_file() {
            &mut files
        } else if kind.is_dir() {
            &mut folders
        } else {
            &mut others
        }) += 1;
    }
    Ok(json!({ "files": files, "folders": folders, "others": others }))
}

/// Panics: the command would harm the machine natively, or mean nothing there.
#[cfg(not(target_family = "wasm"))]
#[expect(clippy::panic, reason = "a test that gets here is wrong")]
pub fn sandbox_only() -> ! {
    panic!("this command only runs in a sandbox")
}

/// Tries everything that a leaf without grants must not be able to do, and lists the successful
/// attempts. `{}` means that none succeeded.
pub fn everything() -> Value {
    let attempts = [("env", env()), ("read", read()), ("written", written()), ("network", network())];
    let succeeded: BTreeMap<_, _> = attempts.into_iter().filter(|(_, found)| !found.is_empty()).collect();
    json!(succeeded)
}

/// Lists environment variables, arguments, and standard input.
fn env() -> Vec<String> {
    let mut found: Vec<String> = std::env::vars_os().map(|(name, _)| name.to_string_lossy().into_owned()).collect();
    found.extend(std::env::args_os().map(|argument| argument.to_string_lossy().into_owned()));
    let mut input = String::new();
    if std::io::stdin().read_line(&mut input).is_ok_and(|size| size > 0) {
        found.push(format!("stdin: {input}"));
    }
    found
}

/// Lists folders and files that can be read.
fn read() -> Vec<String> {
    let paths = ["/", ".", "..", "/tmp", "/proc", "/proc/self/environ", "/etc/passwd", "/etc/hosts", "/dev/urandom"];
    let readable = |path: &&&str| std::fs::read_dir(path).is_ok() || std::fs::File::open(path).is_ok();
    paths.iter().filter(readable).map(|path| (*path).to_owned()).collect()
}

/// Lists files that could be written, and removes them again.
fn written() -> Vec<String> {
    let paths = ["/frond-faulty", "frond-faulty", "/tmp/frond-faulty"];
    let writable = |path: &&&str| std::fs::write(path, "faulty").is_ok();
    let found = paths.iter().filter(writable).map(|path| (*path).to_owned()).collect();
    for path in paths {
        let _ = std::fs::remove_file(path);
    }
    found
}

/// Lists successful connections, listeners, and name lookups.
fn network() -> Vec<String> {
    let mut found = Vec::new();
    for address in ["127.0.0.1:80", "127.0.0.1:22", "[::1]:80", "169.254.169.254:80"] {
        if TcpStream::connect(address).is_ok() {
            found.push(format!("connected to {address}"));
        }
    }
    if TcpListener::bind("127.0.0.1:0").is_ok() {
        found.push("listens to TCP".to_owned());
    }
    if UdpSocket::bind("127.0.0.1:0").is_ok() {
        found.push("listens to UDP".to_owned());
    }
    if "localhost:80".to_socket_addrs().is_ok_and(|mut addresses| addresses.next().is_some()) {
        found.push("resolved localhost".to_owned());
    }
    found
}
