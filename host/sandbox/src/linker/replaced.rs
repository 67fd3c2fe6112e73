//! WASI functions that the host replaces: files ([`crate::files`]), sockets, so that their denial
//! is recorded, and the functions by which a guest inspects errors.

use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource};
use wasmtime_wasi::p2::bindings::sockets::ip_name_lookup::ResolveAddressStream;
use wasmtime_wasi::p2::bindings::sockets::network::{ErrorCode, IpAddressFamily, Network};
use wasmtime_wasi::p2::bindings::sockets::tcp::TcpSocket;
use wasmtime_wasi::p2::bindings::sockets::udp::UdpSocket;
use wasmtime_wasi_http::p2::bindings::http::types::ErrorCode as HttpCode;

use crate::escape::quoted;
use crate::files::descriptor;
use crate::host::Host;
use crate::http::code_of;

/// Version under which wasmtime's WASI offers its interfaces. A replacement must use the same
/// version: under another one it would be an addition that no guest calls, and the tests of denials
/// would fail.
const WASI: &str = "0.2.12";

/// Replaces WASI's functions by the host's.
pub(super) fn replace(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    descriptor::link(linker, WASI)?;
    sockets(linker)?;
    errors(linker)?;
    linker.allow_shadowing(false);
    Ok(())
}

/// Denies sockets, which are never granted. WASI would deny them as well, but would not report it,
/// or would make the socket first.
fn sockets(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    const REMEDY: &str = "sockets are never granted: use wasi:http, with [[grants.http]] in frond.toml";
    type Family = (IpAddressFamily,);
    let interface = |name: &str| format!("wasi:sockets/{name}@{WASI}");
    linker.instance(&interface("tcp-create-socket"))?.func_wrap(
        "create-tcp-socket",
        |mut store: StoreContextMut<'_, Host>, _: Family| -> wasmtime::Result<(Result<Resource<TcpSocket>, _>,)> {
            store.data_mut().refuse("asked for a TCP socket", REMEDY);
            Ok((Err(ErrorCode::AccessDenied),))
        },
    )?;
    linker.instance(&interface("udp-create-socket"))?.func_wrap(
        "create-udp-socket",
        |mut store: StoreContextMut<'_, Host>, _: Family| -> wasmtime::Result<(Result<Resource<UdpSocket>, _>,)> {
            store.data_mut().refuse("asked for a UDP socket", REMEDY);
            Ok((Err(ErrorCode::AccessDenied),))
        },
    )?;
    linker.instance(&interface("ip-name-lookup"))?.func_wrap(
        "resolve-addresses",
        |mut store: StoreContextMut<'_, Host>,
         (_, name): (Resource<Network>, String)|
         -> wasmtime::Result<(Result<Resource<ResolveAddressStream>, _>,)> {
            let what = format!("asked for the addresses of {}", quoted(&name));
            store.data_mut().refuse(&what, REMEDY);
            Ok((Err(ErrorCode::PermanentResolverFailure),))
        },
    )
}

/// Replaces the functions that inspect errors: WASI's `to-debug-string` leaks the host's backtrace
/// if the environment asks for backtraces, and its `http-error-code` does not know the errors of
/// bodies.
fn errors(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    linker.instance(&format!("wasi:io/error@{WASI}"))?.func_wrap(
        "[method]error.to-debug-string",
        |store: StoreContextMut<'_, Host>, (error,): (Resource<wasmtime::Error>,)| {
            Ok((store.data().table.get(&error)?.to_string(),))
        },
    )?;
    linker.instance(&format!("wasi:http/types@{WASI}"))?.func_wrap(
        "http-error-code",
        |store: StoreContextMut<'_, Host>,
         (error,): (Resource<wasmtime::Error>,)|
         -> wasmtime::Result<(Option<HttpCode>,)> { Ok((code_of(store.data().table.get(&error)?),)) },
    )
}
