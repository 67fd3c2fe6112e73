#!/bin/sh
# Builds a C plugin: sh build.sh WORLD OUTPUT SOURCE...
#
# WORLD is one of wit/world.wit: leaf, merger, splitter, or plugin for a leaf and its merge in one
# component.
#
# It needs a Rust toolchain, for its linker, and clang 19 or later with its library for wasm32. The
# first run also gets wit-bindgen, built by cargo in a minute or two, and wasi-libc, from Debian,
# into .tools/c. With a WASI SDK, named by WASI_SDK_PATH, neither clang nor wasi-libc is needed.
#
# FROND_TOOLS and FROND_WIT name other folders instead of .tools and wit.
# Exit code 69: something must be installed first.
set -eu
[ $# -ge 3 ] || { sed -n '2s/^# //p' "$0" >&2; exit 64; }
world=$1 output=$2
shift 2
cd "$(dirname "$0")"
. build/tools.sh

BINDGEN=0.63.0
wit=${FROND_WIT:-wit}
mkdir -p "${FROND_TOOLS:-.tools}/c" "$(dirname "$output")"
tools=$(cd "${FROND_TOOLS:-.tools}/c" && pwd)
remedy='as root: apt-get install clang-19 libclang-rt-19-dev-wasm32; elsewhere unpack a WASI SDK and set WASI_SDK_PATH'

get_bindgen() {
  say "building wit-bindgen $BINDGEN into ${FROND_TOOLS:-.tools}/c, once: a minute or two"
  # Built without optimisation: it runs for milliseconds, and compiles four times as fast.
  CARGO_PROFILE_DEV_DEBUG=0 cargo install --quiet --locked --debug --no-default-features --features c \
    --version "$BINDGEN" --target-dir "$1/target" --root "$1" wit-bindgen-cli >&2 && rm -rf "$1/target"
}

# Debian's releases up to 13 have a wasi-libc without wasip2. A later wasi-libc is fetched with apt
# in a private folder: the machine's packages and sources stay as they are.
get_wasi_libc() {
  for command in apt-get dpkg-deb; do
    command -v $command >/dev/null || missing "wasi-libc with wasm32-wasip2" "$remedy"
  done
  mirror=$(apt-get update --print-uris 2>/dev/null | sed -n "s#^'\([^']*/debian\)/*dists/.*#\1#p" | head -n 1)
  [ -n "$mirror" ] || missing "wasi-libc with wasm32-wasip2" "$remedy"
  new=$1 apt=$1/apt
  for suite in trixie-backports forky sid; do
    say "fetching wasi-libc from Debian's $suite into ${FROND_TOOLS:-.tools}/c, once"
    rm -rf "$apt"
    mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial"
    : >"$apt/status"
    echo "deb $mirror $suite main" >"$apt/sources"
    set -- -qq -o Dir::Etc::SourceList="$apt/sources" -o Dir::Etc::SourceParts=/dev/null \
      -o Dir::State::Lists="$apt/lists" -o Dir::State::status="$apt/status" -o Dir::Cache="$apt/cache" \
      -o APT::Sandbox::User="$(id -un)" -o Acquire::Languages=none
    apt-get "$@" update >&2 || continue
    (cd "$apt" && apt-get "$@" download wasi-libc >&2 && dpkg-deb -x wasi-libc_*.deb unpacked) || continue
    [ -f "$apt/unpacked/usr/lib/wasm32-wasip2/libc.a" ] || continue
    mv "$apt/unpacked/usr" "$new/usr"
    rm -rf "$apt"
    return
  done
  missing "wasi-libc with wasm32-wasip2" "$remedy"
}

find_clang() {
  for version in 22 21 20 19; do
    command -v "clang-$version" && return
  done
  major=$(clang -dumpversion 2>/dev/null | cut -d. -f1)
  [ "${major:-0}" -ge 19 ] && command -v clang
}

command -v cargo >/dev/null || missing "a Rust toolchain" "install it through rustup: https://rustup.rs"
if [ -n "${WASI_SDK_PATH:-}" ]; then
  clang=$WASI_SDK_PATH/bin/clang sysroot='' flags='' libraries=''
  [ -x "$clang" ] || missing "$clang" "WASI_SDK_PATH should name the folder of a WASI SDK"
else
  clang=$(find_clang) || missing "clang 19 or later" "$remedy"
  builtins=$("$clang" -print-resource-dir)/lib/wasi/libclang_rt.builtins-wasm32.a
  [ -f "$builtins" ] || missing "clang's library for wasm32" "$remedy"
  linkers=$(rustc --print sysroot)/lib/rustlib/$(rustc -vV | sed -n 's/^host: //p')/bin
  PATH=$linkers:$linkers/gcc-ld:$PATH
  command -v wasm-component-ld >/dev/null || missing "the linker wasm-component-ld" "rustup target add wasm32-wasip2"
  sysroot=/usr
  if ! [ -f /usr/lib/wasm32-wasip2/libc.a ]; then
    obtain wasi-libc usr/lib/wasm32-wasip2/libc.a get_wasi_libc
    sysroot=$tools/wasi-libc/usr
  fi
  # Debian installs clang's library outside the path that clang searches.
  flags=-nodefaultlibs libraries="-lc $builtins"
fi

# Last, because it takes minutes: whatever is missing has been named by now.
if [ "$(wit-bindgen --version 2>/dev/null)" = "wit-bindgen-cli $BINDGEN" ]; then
  generate=wit-bindgen
else
  obtain "wit-bindgen-$BINDGEN" bin/wit-bindgen get_bindgen
  generate=$tools/wit-bindgen-$BINDGEN/bin/wit-bindgen
fi

generated=$(mktemp -d)
trap 'rm -rf "$generated"' EXIT
"$generate" c "$wit" --world "$world" --rename-world plugin --out-dir "$generated" 2>"$generated/log" || { cat "$generated/log" >&2; exit 1; }
# shellcheck disable=SC2086
"$clang" --target=wasm32-wasip2 ${sysroot:+"--sysroot=$sysroot"} -mexec-model=reactor -Wl,--strip-debug,--stack-first,-z,stack-size=1048576,--initial-memory=16777216 -std=gnu17 -O2 -Wall -Wextra -Werror \
  -I"$generated" -I. $flags "$@" "$generated/plugin.c" "$generated/plugin_component_type.o" $libraries -o "$generated/plugin.wasm"
put "$generated/plugin.wasm" "$output"
say "$output: $(wc -c <"$output") bytes"
