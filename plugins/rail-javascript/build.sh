#!/bin/sh
# Builds a JavaScript plugin: sh build.sh WORLD OUTPUT SOURCE.js
#
# WORLD is one of wit/world.wit: leaf for a leaf that takes pieces, merger, splitter, or plugin for
# leaf and merge in one component; whole-leaf and whole-plugin, if the leaf gets its partition as a
# whole. The source is an ES module, and may import modules beside it. The engine is
# QuickJS: it has the language, but no Web APIs.
#
# It needs Node.js 18 or later with npm. The first run gets componentize-qjs into .tools/javascript:
# 40 MB, from npm.
#
# FROND_TOOLS and FROND_WIT name other folders instead of .tools and wit.
# Exit code 69: something must be installed first.
set -eu
[ $# -eq 3 ] || { sed -n '2s/^# //p' "$0" >&2; exit 64; }
world=$1 output=$2 source=$3
cd "$(dirname "$0")"
. build/tools.sh

COMPONENTIZE=0.4.5
WASI=0.2.6
mkdir -p "${FROND_TOOLS:-.tools}/javascript" "$(dirname "$output")"
tools=$(cd "${FROND_TOOLS:-.tools}/javascript" && pwd)
wit=${FROND_WIT:-wit}

get_componentize() {
  command -v npm >/dev/null || missing "npm" "$remedy"
  say "getting componentize-qjs $COMPONENTIZE from npm into ${FROND_TOOLS:-.tools}/javascript, once: some seconds"
  npm --prefix "$1" --no-fund --no-audit --loglevel=error install "componentize-qjs@$COMPONENTIZE" >&2 && touch "$1/ready"
}

# Writes the world, and the WASI interface that random.js needs, to the folder $1: JavaScript only
# gets the interfaces that its world imports.
write_world() {
  mkdir -p "$1/deps/plugin" "$1/deps/random"
  cp "$wit"/*.wit "$1/deps/plugin"
  [ ! -d "$wit/deps" ] || cp -RL "$wit/deps/." "$1/deps"
  printf 'package wasi:random@%s;\ninterface random {\n  get-random-bytes: func(len: u64) -> list<u8>;\n}\n' \
    "$WASI" >"$1/deps/random/random.wit"
  package=$(sed -n 's/^package \([^;]*\);.*/\1/p' "$wit"/*.wit | head -n 1)
  version=${package#"${package%@*}"}
  printf 'package frond:build;\nworld component {\n  include %s/%s%s;\n  import wasi:random/random@%s;\n}\n' \
    "${package%@*}" "$world" "$version" "$WASI" >"$1/world.wit"
}

remedy='as root: apt-get install nodejs npm; or from https://nodejs.org'
node -e 'process.exit(parseInt(process.versions.node) < 18 ? 1 : 0)' 2>/dev/null || missing "Node.js 18 or later" "$remedy"
obtain "componentize-qjs-$COMPONENTIZE" ready get_componentize

stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
trap 'exit 130' INT TERM
write_world "$stage/wit"
# The entry module exists only in memory: it makes `Math.random` draw from the host, and re-exports
# the source. Its path only has to be one of this folder. Without `sync` the component would need an
# asynchronous host.
cat >"$stage/componentize.mjs" <<'END'
import { writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { resolve } from "node:path";
const [tools, witPath, source, output] = process.argv.slice(2);
const { componentize } = createRequire(resolve(tools, "package.json"))("componentize-qjs");
const jsSource = `import { drawFromTheHost } from "./random.js";\nexport * from ${JSON.stringify(`./${source}`)};\ndrawFromTheHost();\n`;
const options = { world: "component", jsPath: resolve("build.sh"), moduleRoot: process.cwd(), sync: true };
try {
  writeFileSync(output, (await componentize({ ...options, witPath, jsSource })).component);
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
END
library=$(steady)
LD_PRELOAD=$library node "$stage/componentize.mjs" "$tools/componentize-qjs-$COMPONENTIZE" "$stage/wit" "$source" \
  "$stage/plugin.wasm" >&2
put "$stage/plugin.wasm" "$output"
say "$output: $(wc -c <"$output") bytes"
